//! What an order allows. Commands without an order may only ask - and wake up a STATUS that stands still.

use super::{Class, Consent};

/// Why a command is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Nobody asked: polls, what follows a reconnect or a timer.
    Watch,
    /// A question.
    Question,
    /// As typed by an operator.
    Talk,
    /// Read everything.
    Attach,
    /// Stop the script's doings; also `start_mode = reset`.
    Reset,
    /// Upload.
    Load,
    /// Power.
    Power,
    /// Flush.
    Flush,
    /// Window.
    Window,
    /// One parameter.
    Parameter,
    /// One line of configuration memory.
    WriteLine,
    /// An exposure, from its setting up to its readout.
    Expose,
    /// Lock, fetch.
    Fetch,
    /// The frame is safe on disk, or the operator gives it up: locks may go.
    Release,
}

/// What the running order allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Why its commands are sent.
    pub purpose: Purpose,
    /// Classes of the never-without-an-order kind the operator asked for explicitly.
    pub ordered: Vec<Class>,
    /// What the operator agreed to.
    pub consent: Consent,
}

impl Grant {
    /// An order without dangerous parts.
    pub fn of(purpose: Purpose) -> Grant {
        Grant { purpose, ordered: Vec::new(), consent: Consent::default() }
    }

    /// An order with these dangerous parts and this consent.
    pub fn with(purpose: Purpose, ordered: &[Class], consent: &Consent) -> Grant {
        Grant { purpose, ordered: ordered.to_vec(), consent: consent.clone() }
    }

    /// This class belongs to the purpose, or was ordered by name.
    pub fn allows(&self, class: Class) -> bool {
        self.ordered.contains(&class)
            || ALLOWED.iter().any(|(purpose, classes)| *purpose == self.purpose && classes.contains(&class))
    }
}

use Class::{
    ApplyAll, ApplyModule, ApplyPart, Clear, LoadParameter, Lock, Parameter, PollOff, PollOn, PowerOff,
    Query, Timing, Write,
};

/// What each purpose includes. POWERON, APPLYALL, LOADTIMING, RESETTIMING and POWEROFF are in no list but that of
/// typed commands: an order names them.
const ALLOWED: &[(Purpose, &[Class])] = &[
    (Purpose::Watch, &[Query, PollOn, Lock]),
    (Purpose::Question, &[Query]),
    (
        Purpose::Talk,
        &[
            Query,
            PollOn,
            Lock,
            Timing,
            Parameter,
            LoadParameter,
            Write,
            ApplyPart,
            ApplyModule,
            ApplyAll,
            PowerOff,
            Class::PowerOn,
            Class::LoadTiming,
            Class::ResetTiming,
            Class::Boot,
            Class::Flash,
            Class::Unknown,
        ],
    ),
    (Purpose::Attach, &[Query, PollOn, Lock]),
    (Purpose::Reset, &[Query, Timing, Parameter, PollOn]),
    (
        Purpose::Load,
        &[
            Query,
            Timing,
            Parameter,
            PollOn,
            PollOff,
            Clear,
            Write,
            ApplyPart,
            ApplyModule,
            LoadParameter,
            Lock,
        ],
    ),
    (Purpose::Power, &[Query, PollOn]),
    (Purpose::Flush, &[Query, Timing, Parameter]),
    (Purpose::Window, &[Query, Parameter, Write, ApplyPart]),
    (Purpose::Parameter, &[Parameter]),
    (Purpose::WriteLine, &[Query, Write, ApplyPart, ApplyModule]),
    (Purpose::Expose, &[Query, Timing, Parameter]),
    (Purpose::Fetch, &[Query, Lock, Class::Fetch]),
    (Purpose::Release, &[Query, Lock]),
];
