//! What the player is told and what it orders.

use crate::api::Outcome;
use crate::config::dibas::Dibas;
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::plan::Child;
use crate::plan::runner::StepId;
use crate::player::methods::PlayerCall;
use crate::player::proof::ScanFile;
use crate::player::saved::Saved;
use crate::player::state::{Host, Link};
use crate::proto::valon::order::{Answer, Order, SynthError};
use crate::reactor::{ChildSignal, Exit, Program};
use crate::sys::realtime::ClockQuality;
use crate::units::{Mono, Utc};
use crate::value::Value;

pub use super::buffers::{BuffersKey, BuffersOrder};
pub use crate::api::Ticket;

/// Names a step of a plan, across plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepKey {
    pub(super) serial: u64,
    pub(super) id: StepId,
}

/// Names a procedure on the board or the synthesizer that is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkId(pub u64);

/// Names an FPGA order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FpgaKey {
    /// A step of the running plan.
    Plan(StepKey),
    /// A procedure beside the plans.
    Work(WorkId),
    /// Our own look whether the board still runs the mode's design.
    Probe,
}

/// Names a status memory order.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusKey {
    /// A step of the running plan.
    Plan(StepKey),
    /// Answers a call that returns null.
    Written(Ticket),
    /// Answers `get_status`.
    Cards(Ticket, Value),
    /// Answers `scan_status`.
    ScanStatus(Ticket),
    /// What the guard over a running scan looks at.
    Watch,
    /// What the keys were when the scan ended.
    DiskAtEnd,
    /// Whether the DAQ program has stopped after a scan.
    AfterStop,
    /// Nobody waits for it.
    Quiet,
}

/// An order to the status memory.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusOrder {
    /// Write keys, all under one lock.
    Put(Vec<(String, String)>),
    /// Read these keys, or all there are; the answer has those that exist.
    Read(Option<Vec<String>>),
    /// Empty it.
    Clear,
}

/// Its answer: keys and values for `Read`, nothing for the others.
pub type StatusAnswer = Result<Vec<(String, Value)>, String>;

/// What the player is told.
#[derive(Debug)]
pub enum Input {
    /// A call with bound arguments.
    Call {
        /// The call.
        ticket: Ticket,
        /// What is asked.
        call: PlayerCall,
    },
    /// Completion of an FPGA order.
    Fpga {
        /// Names the order.
        key: FpgaKey,
        /// How it ended.
        result: Result<FpgaReply, FpgaError>,
    },
    /// Completion of an order to the synthesizer on the serial line.
    Synth {
        /// The procedure.
        id: WorkId,
        /// How it ended.
        result: Result<Answer, SynthError>,
    },
    /// The serial line to the synthesizer is open, or is not for this reason.
    SynthLine(Result<(), String>),
    /// Completion of a status order.
    Status {
        /// Names the order.
        key: StatusKey,
        /// What it gave.
        answer: StatusAnswer,
    },
    /// A program runs.
    ChildStarted {
        /// The program.
        child: Child,
        /// Its process id.
        pid: u32,
    },
    /// A program could not be started.
    SpawnFailed {
        /// The program.
        child: Child,
        /// Why not.
        error: String,
    },
    /// A program ended.
    ChildExited {
        /// The program.
        child: Child,
        /// How it ended.
        exit: Exit,
    },
    /// The helper program ended, or could not be started for this reason.
    HelperEnded(Result<Exit, String>),
    /// The FPGA link came or went.
    Link(Link),
    /// Addresses of hosts that were asked for.
    Hosts(Vec<Host>),
    /// Answer to [`Output::ReadParFile`].
    ParFile {
        /// The file.
        path: String,
        /// Its text, or why there is none.
        text: Result<String, String>,
    },
    /// What the kernel says of the wall clock, or why it says nothing.
    Clock(Result<ClockQuality, String>),
    /// Who places the call that follows.
    Caller {
        /// The call.
        ticket: Ticket,
        /// The client.
        client: String,
    },
    /// Completion of an order about data buffers: `true`, they were made anew.
    Buffers {
        /// Who waits for it.
        key: BuffersKey,
        /// How it ended.
        result: Result<bool, String>,
    },
    /// Bytes free where the data go.
    Space(Result<u64, String>),
    /// Sum of the file of a gateware, or why there is none.
    GatewareSummed {
        /// Its name.
        name: String,
        /// SHA-256 in hexadecimal digits.
        sum: Result<String, String>,
    },
    /// What became of a proof that was to be written: its path, or why it is not there.
    ProofWritten {
        /// Of the scan.
        id: String,
        /// Its path.
        result: Result<String, String>,
    },
    /// The configuration was read again.
    Reloaded(Box<Dibas>),
    /// The client of a pending `start` withdraws it.
    Cancel {
        /// The call.
        ticket: Ticket,
    },
    /// What [`Output::Save`] ordered is done, or cannot be.
    Saved,
    /// Orderly end of the process.
    Shutdown,
    /// Orderly end of the process, which another takes the place of.
    HandOver,
}

/// What the player orders.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Answer a call.
    Reply {
        /// The call.
        ticket: Ticket,
        /// The answer.
        outcome: Outcome,
    },
    /// Submit to the FPGA.
    Fpga {
        /// Names the order.
        key: FpgaKey,
        /// The operation.
        op: FpgaOp,
    },
    /// Give to the synthesizer on the serial line of this node.
    Synth {
        /// The procedure.
        id: WorkId,
        /// The order.
        order: Order,
    },
    /// Touch the status memory; orders are carried out in order.
    Status {
        /// Names the order.
        key: StatusKey,
        /// The order.
        order: StatusOrder,
    },
    /// Start a program.
    Spawn {
        /// The program.
        child: Child,
        /// What to start.
        program: Program,
    },
    /// A command line for a program, end of line included.
    Line {
        /// The program.
        child: Child,
        /// The line.
        line: String,
    },
    /// Close a program's standard input.
    CloseInput {
        /// The program.
        child: Child,
    },
    /// Signal a program.
    Signal {
        /// The program.
        child: Child,
        /// The signal.
        signal: ChildSignal,
    },
    /// Run a helper program, and say with [`Input::HelperEnded`] how it ended.
    RunHelper(Program),
    /// Kill it.
    KillHelper,
    /// For the append-only record: this plan is about to run.
    Record(Value),
    /// For the record: these hardware writes have ended.
    Written(Value),
    /// Re-read the configuration file, say so with [`Input::Reloaded`], and answer the call.
    ReadConfig {
        /// The call.
        ticket: Ticket,
    },
    /// To be found by the next process if this one ends.
    Save(Box<Saved>),
    /// Read a text file and say so with [`Input::ParFile`].
    ReadParFile {
        /// The file, an absolute path.
        path: String,
    },
    /// Write the proof of a scan, so that there is a whole file at any moment; say so with [`Input::ProofWritten`].
    WriteProof(ScanFile),
    /// Make data buffers, or look at them, and say so with [`Input::Buffers`]. Blocks for seconds.
    Buffers {
        /// Who waits for it.
        key: BuffersKey,
        /// The order.
        order: BuffersOrder,
    },
    /// Sum the file of a gateware and say so with [`Input::GatewareSummed`].
    SumGateware {
        /// Where the files are.
        directory: String,
        /// Its name.
        name: String,
    },
    /// Say with [`Input::Space`] how much is free there.
    MeasureSpace {
        /// Where.
        directory: String,
        /// Directories below this one may be missing yet: they will be on its disk.
        root: Option<String>,
    },
    /// The state changed; subscribers want to know.
    Changed,
    /// Everything has been stopped after [`Input::Shutdown`].
    Finished,
}

/// When to call [`Player::tick`] at the latest, on either clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deadlines {
    /// monotonic
    pub mono: Option<Mono>,
    /// wall clock
    pub utc: Option<Utc>,
}
