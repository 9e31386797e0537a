//! What a controller is ordered to do and what it reports. The contract between the exposure logic and
//! the one that knows a single controller.

use super::super::safety::{Consent, Refusal};
use super::super::window::Window;
use crate::config::acf::{Acf, Difference};
use crate::frames::geometry::FrameGeometry;
use crate::frames::jobs::FrameId;
use crate::proto::archon::{Command, Frame, Status, System};
use crate::session::archon_link::Token;
use crate::units::{Now, Utc};
use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;

/// Names an order until it is reported done; the role's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderKey(pub u64);

/// Which buffer to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest complete one.
    Newest,
    /// This buffer, whatever frame is in it.
    Buffer(u8),
    /// This frame, or a refusal (recovery, or the frame that was ordered).
    Frame(FrameId),
}

/// What a controller can be asked. Timing orders run one at a time, fetch orders beside them, questions
/// at any time.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    // ---- questions
    /// Fresh SYSTEM.
    System,
    /// Fresh STATUS.
    Status,
    /// Fresh FRAME.
    Frame,
    /// All configuration lines.
    ReadConfig,
    /// A command as typed.
    Talk(String),

    // ---- timing
    /// Read SYSTEM, STATUS, FRAME and configuration; change nothing.
    Attach,
    /// Stop what the script does; idle.
    Reset {
        /// RESETTIMING too.
        timing: bool,
    },
    /// Upload, apply, power, reset: `init` and `config write`.
    Load {
        /// What to upload.
        acf: Arc<Acf>,
        /// Where it comes from, for headers.
        path: String,
        /// APPLYALL.
        apply_all: bool,
        /// Apply these instead (`LOADTIMING`, `APPLYMOD0A`).
        apply: Vec<String>,
        /// POWERON after APPLYALL.
        power: bool,
        /// Keys replaced on top of the file.
        overrides: Vec<(String, String)>,
        /// `init`: set initial parameters and release buffers.
        init: bool,
        /// What the operator agrees to.
        consent: Consent,
    },
    /// Compare a configuration with what the controller has; nothing is written.
    Diff {
        /// With what.
        acf: Arc<Acf>,
    },
    /// Power to the CCD.
    Power {
        /// On or off.
        on: bool,
        /// What the operator agrees to.
        consent: Consent,
    },
    /// Flush this many times.
    Flush {
        /// How often.
        count: u32,
    },
    /// Readout window.
    SetWindow(Window),
    /// A parameter of the timing script.
    SetParameter {
        /// Name, any case.
        name: String,
        /// 0..=0xFFFFF
        value: i64,
    },
    /// A configuration line.
    WriteLine {
        /// Key, any case, `/` or `\`.
        key: String,
        /// Value as text on the wire.
        value: String,
        /// Apply its module afterwards.
        apply: bool,
        /// What the operator agrees to.
        consent: Consent,
    },
    /// Everything of an exposure up to, but without, RELEASETIMING: several controllers start together.
    Prepare {
        /// Requested integration time.
        integration: Duration,
        /// Needs another free buffer: refuse if an unfetched frame would be overwritten.
        exposure: u64,
    },
    /// RELEASETIMING: the integration begins. The controller itself notices its end.
    Release,
    /// A prepared exposure is given up; timing is released, idle.
    Unprepare,
    /// End the integration early.
    Abort {
        /// Read out what there is.
        readout: bool,
    },
    /// Read the CCD into a buffer.
    Readout {
        /// Slow-down, s (`WaitCount`).
        delay: u32,
    },
    /// Locks of all buffers are given up (operator's decision: `discard`).
    Discard,

    // ---- fetch
    /// Lock a buffer and make sure of what is in it.
    Lock(Which),
    /// FETCH the locked buffer from this block on.
    Fetch {
        /// First block.
        from_block: u32,
    },
    /// Stop fetching: the file cannot take it. The link is opened anew if blocks are still to come.
    StopFetch,
    /// The frame is safe on disk: release the buffer.
    Unlock,
}

/// The frame that was locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Which frame.
    pub id: FrameId,
    /// Its shape.
    pub geometry: FrameGeometry,
    /// FETCH address.
    pub base: u64,
    /// Blocks in all.
    pub blocks: u32,
    /// Ticks between the rising and falling edge of the trigger; 0: not measured.
    pub exposure_ticks: u64,
    /// Frames the controller counted between the last one fetched and this.
    pub missed: u64,
}

/// Answer to an order that went well.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing to add.
    Done,
    /// Of [`Order::System`].
    System(Box<System>),
    /// Of [`Order::Status`].
    Status(Box<Status>),
    /// Of [`Order::Frame`].
    Frame(Box<Frame>),
    /// Of [`Order::ReadConfig`].
    Config(Arc<Acf>),
    /// Of [`Order::Talk`]: command and reply lines as on the wire; `false`: refused.
    Talk {
        /// `>81TIMER`
        command: String,
        /// `<81TIMER=...`
        response: String,
        /// Not refused.
        ok: bool,
    },
    /// Of [`Order::Diff`].
    Diff(Vec<Difference>),
    /// Of [`Order::Release`]: when the reply to RELEASETIMING came.
    Started(Now),
    /// Of [`Order::Readout`]: the frame's buffer and number.
    ReadOut {
        /// Buffer.
        buffer: u8,
        /// Frame number.
        frame: u64,
        /// When it was seen complete.
        at: Now,
    },
    /// Of [`Order::Lock`].
    Locked(Box<Locked>),
    /// Of [`Order::Fetch`]: all bytes were given out.
    Fetched {
        /// Bytes.
        bytes: u64,
    },
}

/// Why an order failed. The text always names the controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Wrong state, or a rule of safety: nothing was done.
    #[error("{controller} - {text}")]
    Refused {
        /// Who.
        controller: String,
        /// Why.
        text: String,
    },
    /// The controller refused a command, was silent, lost the link, or did something else than told.
    #[error("{controller} - {text}")]
    Failed {
        /// Who.
        controller: String,
        /// Which command, and what it waited for.
        text: String,
    },
    /// A wait ended without the thing waited for.
    #[error("{controller} - {text}")]
    Timeout {
        /// Who.
        controller: String,
        /// Which command or wait, and how long.
        text: String,
    },
    /// `abort`, `stop`, or another order took its place.
    #[error("{controller} - {text}")]
    Aborted {
        /// Who.
        controller: String,
        /// By what.
        text: String,
    },
}

impl Fault {
    /// A safety refusal.
    pub fn refused(controller: &str, refusal: &Refusal) -> Fault {
        Fault::Refused { controller: controller.into(), text: refusal.to_string() }
    }
}

/// How serious a step is (the actor's message codes d, i, w, e).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// d
    Debug,
    /// i
    Info,
    /// w
    Warning,
    /// e
    Error,
}

/// Something is wrong with the hardware, or no longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Stable name: `power_changed`, `status_stale`, `sensor_invalid`, `temperature`, `temperature_rate`, `heater`,
    /// `rail`, `overheat`, `module_lost`, `link_lost`, `boot_keys`.
    pub name: &'static str,
    /// STATUS key or module it is about; empty for the whole controller.
    pub subject: String,
    /// Raised or cleared.
    pub on: bool,
    /// In words, with number and limit.
    pub text: String,
    /// When.
    pub at: Utc,
}

/// What a controller tells the role.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A frame is complete that no order waited for.
    LateFrame,
    /// An order is finished.
    Done {
        /// Which.
        key: OrderKey,
        /// How.
        result: Result<Answer, Fault>,
    },
    /// A step of a running order, in words.
    Step {
        /// Which order.
        key: OrderKey,
        /// How serious.
        level: Level,
        /// `Reading frame to buffer 1.`
        text: String,
    },
    /// How far an order is (integration, readout, fetch, upload), 0..=1 with words and numbers.
    Progress {
        /// Which order.
        key: OrderKey,
        /// `phase`, `fraction`, `remaining_s` ...
        body: Value,
    },
    /// The integration has run its time (not its readout).
    IntegrationOver {
        /// When.
        at: Now,
    },
    /// Payload of the running fetch.
    Data {
        /// Which order.
        key: OrderKey,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The status word, power or link changed.
    Changed,
    /// A hardware alarm was raised or cleared.
    Alarm(Alarm),
    /// A line of the controller's own log.
    Log(String),
}

/// An order to the owner of the link.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a command; its answer comes back as a link event with this token.
    Command {
        /// Which.
        token: Token,
        /// What. It has passed the gate.
        command: Command,
    },
    /// Write this procedure into the record before the commands that follow leave.
    Record(Value),
    /// Close the link and open it anew (framing, stopped fetch).
    Relink(String),
    /// For the role.
    Report(Report),
}
