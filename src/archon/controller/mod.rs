//! One controller as a state machine: procedures, power, windows, frames, alarms.

pub mod messages;

pub use messages::{Alarm, Answer, Fault, Level, Locked, Order, OrderKey, Output, Report, Which};

use super::status_word::StatusWord;
use super::window::Window;
use crate::config::acf::Acf;
use crate::config::archon::limits::ControllerLimits;
use crate::config::archon::{ControllerEntry, IntParam, Timeouts};
use crate::frames::geometry::FrameGeometry;
use crate::proto::archon::{Frame, Status, System};
use crate::session::archon_link::LinkEvent;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;

/// How a controller is run.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Name, address, CCDs.
    pub entry: ControllerEntry,
    /// `timeouts` of the configuration.
    pub timeouts: Timeouts,
    /// Which parameter carries the exposure time.
    pub int_param: IntParam,
    /// Set on every reset.
    pub default_parameters: Vec<(String, i64)>,
    /// What the detector survives; `None`: no file, or the controller is not in it.
    pub limits: Option<ControllerLimits>,
    /// `start_mode = reset`: window and reset on attach, as the reference does.
    pub reset_on_attach: bool,
    /// Configuration lines in flight while uploading.
    pub upload_depth: usize,
    /// Read back and compare after an upload.
    pub verify_config: bool,
    /// `talk` may send FLASH, ERASE, REBOOT, WARMBOOT.
    pub allow_flash: bool,
    /// STATUS is asked this often.
    pub status_interval: Duration,
}

/// What is known about a controller, for replies and headers. Everything old says how old.
#[derive(Clone, Debug)]
pub struct View {
    /// The link is up and the controller was read.
    pub attached: bool,
    /// The link is up.
    pub connected: bool,
    /// Why not, if not.
    pub why: String,
    /// Status word.
    pub word: StatusWord,
    /// SYSTEM, as read on attach.
    pub system: Option<Arc<System>>,
    /// The last STATUS and when it came.
    pub status: Option<(Arc<Status>, Mono)>,
    /// The last FRAME and when it came.
    pub frame: Option<(Arc<Frame>, Mono)>,
    /// Configuration memory as read back or uploaded.
    pub config: Option<Arc<Acf>>,
    /// Where it was loaded from; empty: found on the controller.
    pub acf_path: String,
    /// SHA-256 of its lines as on the wire, joined by LF.
    pub acf_hash: String,
    /// Window in force; `None` before the configuration is known.
    pub window: Option<Window>,
    /// Window of the ACF's parameters.
    pub default_window: Option<Window>,
    /// Alarms that are on.
    pub alarms: Vec<Alarm>,
    /// The buffer that is locked, and the frame in it.
    pub locked: Option<Locked>,
}

/// One controller.
pub struct Controller {}

impl Controller {
    /// A controller nothing is known about.
    pub fn new(_config: ControllerConfig, _now: Now) -> Controller {
        unimplemented!("owner: controller")
    }
    /// An order. It is refused at once (in a report) or runs when its turn has come.
    pub fn order(&mut self, _key: OrderKey, _order: Order, _now: Now) {
        unimplemented!("owner: controller")
    }
    /// A fact about its link.
    pub fn link(&mut self, _event: LinkEvent, _now: Now) {
        unimplemented!("owner: controller")
    }
    /// Time has passed.
    pub fn tick(&mut self, _now: Now) {
        unimplemented!("owner: controller")
    }
    /// When to call [`Controller::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        unimplemented!("owner: controller")
    }
    /// The next order or report; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        unimplemented!("owner: controller")
    }
    /// What is known about it.
    pub fn view(&self) -> &View {
        unimplemented!("owner: controller")
    }
    /// Shape the next frame will have by configuration and window; `None` before it is known.
    pub fn expected_frame(&self) -> Option<FrameGeometry> {
        unimplemented!("owner: controller")
    }
    /// Everything about it in one object, with ages in seconds.
    pub fn describe(&self, _now: Now) -> Value {
        unimplemented!("owner: controller")
    }
}
