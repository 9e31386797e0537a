//! The table of the archon role's methods, and the typed calls they become.

use crate::api::bind::Bound;
use crate::api::table::Table;
use crate::api::{CallError, Method};

/// A call with its arguments typed. `controllers`: the ones named; empty: all.
#[derive(Clone, Debug, PartialEq)]
pub enum ArchonCall {}

/// The methods of interface `archon` and of `archon.<name>` for each controller.
pub fn table(_controllers: &[String]) -> Table {
    unimplemented!("owner: role")
}

/// The typed call of a method of [`table`] with its bound arguments.
pub fn call(_method: &'static Method, _bound: Bound) -> Result<ArchonCall, CallError> {
    unimplemented!("owner: role")
}
