//! The desk's part in requests that come twice.

use super::Desk;
use crate::api::{Call, CallError, Method, Terms, Ticket};
use crate::node::repeats::{Key, Known};
use crate::node::work::Job;
use crate::reactor::{ConnId, Effects};
use crate::units::Now;
use crate::value::Value;

/// What a call that changes something is known by, if its client gave it an id. `stop` is carried out as often as it
/// is asked for: nobody who wants an end may be told of an older one.
pub(super) fn request(peer: &str, method: &Method, call: &Call, terms: &Terms) -> Option<(Key, Call)> {
    if terms.id.is_empty() || method.urgent {
        return None;
    }
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    Some(((host.to_owned(), terms.id.clone()), call.clone()))
}

impl<C, O> Desk<C, O> {
    /// Was this asked before? Then its client gets the answer of that, now or when it is there.
    ///
    /// # Errors
    /// The id was used for another call, or too many wait for this one.
    pub(super) fn asked_before<J>(
        &mut self,
        (key, call): &(Key, Call),
        conn: ConnId,
        seq: u64,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) -> Result<bool, CallError> {
        let first = match self.repeats.look_up(key, call, now)? {
            Known::New => return Ok(false),
            Known::Open(ticket) => {
                self.calls.join(ticket, conn, seq)?;
                ticket
            }
            Known::Answered(ticket, outcome) => {
                self.faces.reply(conn, seq, outcome, now);
                ticket
            }
        };
        let peer = self.faces.title(conn).unwrap_or_default();
        log::info!(
            "{peer} asks again for call {} (request id {:?}); it is not carried out twice",
            first.0,
            key.1
        );
        let fields = vec![("id".to_owned(), Value::Int(first.0 as i64)), ("peer".to_owned(), peer.into())];
        self.enter("repeat", fields, None, now, fx);
        Ok(true)
    }

    /// The answer to a call that was refused when its turn came: it may be asked again under the same id.
    pub(super) fn not_carried_out<J>(
        &mut self,
        ticket: Ticket,
        refused: CallError,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) {
        self.repeats.not_carried_out(ticket);
        self.reply(ticket, Err(refused), now, fx);
    }
}
