//! The interface `bank.roach`: what a client may do with the board by hand.
//!
//! One entry of [`ROACH`] is one method: how it is called ([`Method`]) and how its arguments become a
//! [`Procedure`], a small machine that gives one order to the board at a time and ends in a value.
//! [`crate::player::bank`] decides when a procedure may run and passes its orders on.

mod arguments;
mod procedure;
mod registers;
mod snapshot;
mod table;
mod taps;
mod ten_gbe;
#[cfg(test)]
mod tests;
mod values;

pub use procedure::{LONGEST_WAIT, News, Next, Procedure, Told, board_error};
pub use table::{Entry, PLUMBING, ROACH, UNLISTED, methods};

use crate::api::bind::Bound;
use crate::api::{CallError, Class, Method};

/// A call of `bank.roach` or `bank.valon`, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardCall {
    /// The interface.
    pub interface: &'static str,
    /// The method.
    pub method: &'static str,
    /// It may change the board.
    pub changes: bool,
    /// What is to be done.
    pub procedure: Procedure,
}

impl BoardCall {
    /// The call of a method of the table.
    ///
    /// # Errors
    /// `ValueError` for an argument out of range, `KeyError` for an unknown method.
    pub fn from_bound(method: &str, bound: &Bound) -> Result<BoardCall, CallError> {
        BoardCall::of(ROACH.iter().chain(UNLISTED), method, bound)
    }

    /// The call of one of these methods.
    ///
    /// # Errors
    /// What the method has against its arguments, `KeyError` for an unknown one.
    pub fn of(
        mut entries: impl Iterator<Item = &'static Entry>,
        method: &str,
        bound: &Bound,
    ) -> Result<BoardCall, CallError> {
        let entry = entries.find(|e| e.method.name == method);
        let entry = entry.ok_or_else(|| CallError::key_error(method))?;
        let procedure = (entry.procedure)(bound)?;
        let Method { interface, name, class, .. } = entry.method;
        Ok(BoardCall { interface, method: name, changes: class != Class::Read, procedure })
    }
}
