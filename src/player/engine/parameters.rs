//! The table of parameters of every engine.

use crate::api::Kind;

/// One settable parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name in `set_param`.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Unit, empty if none.
    pub unit: &'static str,
    /// Allowed values in words.
    pub range: &'static str,
    /// Help text.
    pub help: &'static str,
}
