//! Control of the proxy, passed on: whoever holds the proxy's lease holds those of its players through us.
//!
//! ```text
//!              rpc.acquire                         rpc.release
//!   nothing ───────────────► ours (token) ───────────────────────► nothing
//!      ▲  └─► refused: by whom, until when   │ lost and back
//!      └────────── it has ended ◄── rpc.renew ┘  binds the new connection
//! ```
//!
//! Each player is brought to what is wanted by one ask at a time, whatever happened meanwhile: a renewal is another
//! `rpc.acquire` on the connection that has the lease. A player of somebody else is asked again when its state shows
//! that nobody holds it. Players of the reference have no leases.

use super::answer::{Answer, Failure};
use super::messages::{Index, Kind};
use super::procedure::Round;
use super::roster::Roster;
use super::seat::Seat;
use crate::api::{Call, CallError, builtin};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A player that does not answer by then has no lease for us.
pub const WITHIN: Duration = Duration::from_secs(2);
/// Shortest lease a player gives, s: one that ends sooner is asked for this long.
const SECONDS_MIN: f64 = 1.0;

const TAKE: Round = 0;
const BIND: Round = 1;
const GIVE: Round = 2;

/// The lease of the proxy, as its holder has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Names it.
    pub token: String,
    /// Whose.
    pub who: String,
    /// What for.
    pub purpose: String,
    /// Its end.
    pub until: Mono,
}

/// What a player gives us.
#[derive(Debug, Default)]
struct Place {
    /// Of the lease we hold there.
    token: Option<String>,
    /// The connection of now has it.
    bound: bool,
    /// It keeps out whoever has no lease.
    binds: bool,
    /// Asked, for this change.
    asking: Option<u64>,
    /// The last change that it has answered.
    reached: u64,
    /// It did not do what it was asked: not again, until something changes.
    resting: bool,
    /// Why we have none.
    refusal: String,
}

/// The lease of the proxy at every player.
#[derive(Debug, Default)]
pub struct PassedOn {
    /// Name of the proxy.
    name: String,
    held: Option<Held>,
    change: u64,
    places: BTreeMap<Index, Place>,
    /// Clients that wait until all players have answered.
    waiting: Vec<u64>,
}

impl PassedOn {
    /// Nobody has control. `name`: of the proxy.
    pub fn new(name: &str) -> PassedOn {
        PassedOn { name: name.to_owned(), ..PassedOn::default() }
    }

    /// Control of the proxy is with `held` from now on; these clients want to know what players say.
    pub fn changed(&mut self, held: Option<Held>, waiting: &[u64]) {
        self.change += 1;
        self.held = held;
        self.waiting.extend(waiting);
        self.places.values_mut().for_each(|place| place.resting = false);
    }

    /// While players keep out whoever has no lease, so does the proxy: its connections are the holder's.
    pub fn binds(&self) -> bool {
        let keeps_out = |p: &Place| p.asking.is_some() || (p.token.is_some() && p.binds);
        self.held.is_some() && self.places.values().any(keeps_out)
    }

    /// What a player is to be asked now, if anything.
    pub fn next(&mut self, player: Index, seat: &Seat, now: Now) -> Option<(Round, Call)> {
        let change = self.change;
        let place = self.places.entry(player).or_default();
        if place.asking.is_some() || place.resting || seat.kind() != Some(Kind::Ours) {
            return None;
        }
        let (round, call) = match (&self.held, &place.token) {
            (Some(held), Some(token)) if !place.bound => {
                (BIND, rpc("renew", vec![token.as_str().into(), seconds(held, now)]))
            }
            (Some(held), _) if place.reached < change => {
                let who = title(&held.who, &self.name).into();
                (TAKE, rpc("acquire", vec![who, seconds(held, now), held.purpose.as_str().into()]))
            }
            (None, Some(token)) => (GIVE, rpc("release", vec![token.as_str().into()])),
            _ => return None,
        };
        place.asking = Some(change);
        Some((round, call))
    }

    /// Is it being asked?
    pub fn is_asking(&self, player: Index) -> bool {
        self.places.get(&player).is_some_and(|place| place.asking.is_some())
    }

    /// It has answered, was lost, or is late. `true`: control of it is ours now and was not.
    pub fn answered(&mut self, player: Index, name: &str, round: Round, answer: &Answer) -> bool {
        let Some(place) = self.places.get_mut(&player) else { return false };
        let Some(change) = place.asking.take() else { return false };
        match (round, answer) {
            (TAKE | BIND, Ok(granted)) => {
                let new = place.token.is_none();
                place.token = granted.get("token").and_then(Value::as_str).map(str::to_owned);
                place.binds = granted.get("rule").and_then(Value::as_str) != Some("cooperative");
                (place.bound, place.reached) = (true, change);
                return new;
            }
            (BIND, Err(Failure::Raised(_))) => (place.token, place.reached) = (None, 0),
            (TAKE, Err(Failure::Raised(error))) => {
                (place.token, place.reached) = (None, change);
                place.refusal.clone_from(&error.message);
            }
            (GIVE, Ok(_) | Err(Failure::Raised(_))) => (place.token, place.bound) = (None, false),
            // What has become of it will be seen.
            (_, Err(failure)) => {
                place.resting = true;
                place.refusal = failure.text(name);
            }
            (_, Ok(_)) => {}
        }
        false
    }

    /// The connection is another one.
    pub fn connected(&mut self, player: Index) {
        let place = self.places.entry(player).or_default();
        (place.bound, place.resting) = (false, false);
        if place.token.is_none() {
            place.reached = 0;
        }
    }

    /// A player says what it does, and who has control of it.
    pub fn told(&mut self, player: Index, state: &Value) {
        let Some(place) = self.places.get_mut(&player) else { return };
        let free = state.get("lease") == Some(&Value::Null);
        if place.token.is_none() && free && place.asking.is_none() && place.reached > 0 {
            (place.resting, place.reached) = (false, 0);
        } else if place.resting && !place.bound {
            place.resting = false;
        }
    }

    /// The clients that waited, with what each player said: nothing is open any longer.
    pub fn settled(&mut self, roster: &Roster) -> Option<(Vec<u64>, Value)> {
        if self.waiting.is_empty() || self.places.values().any(|p| p.asking.is_some()) {
            return None;
        }
        Some((std::mem::take(&mut self.waiting), self.describe(roster)))
    }

    /// `{player: [true|false, text]}` of all players that have leases.
    pub fn describe(&self, roster: &Roster) -> Value {
        let all = roster.all().filter(|p| roster.seat(*p).kind() != Some(Kind::Reference));
        let one = |p: Index| {
            let seat = roster.seat(p);
            let entry = match self.places.get(&p) {
                _ if !seat.is_up() => Value::verdict(
                    false,
                    format!(
                        "{} It gets the lease when it is back.",
                        Failure::Lost(String::new()).text(&seat.name)
                    ),
                ),
                Some(place) if place.token.is_some() && place.bound => {
                    Value::verdict(true, "control is ours")
                }
                place => Value::verdict(false, place.map_or("", |p| &p.refusal)),
            };
            (seat.name.clone(), entry)
        };
        Value::Map(all.map(one).collect())
    }

    /// Leases we hold, for the next proxy: it gives them back.
    pub fn tokens(&self) -> impl Iterator<Item = (Index, &str)> {
        self.places.iter().filter_map(|(p, place)| Some((*p, place.token.as_deref()?)))
    }

    /// A lease that a proxy before us held.
    pub fn inherited(&mut self, player: Index, token: &str) {
        self.places.entry(player).or_default().token = Some(token.to_owned());
    }

    /// An error of a player, with what a client of the proxy can do about it.
    pub fn advise(&self, mut error: CallError) -> CallError {
        if let Some(what) = error.message.strip_suffix(CallError::LEASE_NEEDED) {
            let name = &self.name;
            error.message = format!(
                "{what}; call rpc.acquire(who, seconds) at the proxy{}{name}, which passes it on to its players",
                if name.is_empty() { "" } else { " " }
            );
        }
        error
    }
}

fn rpc(method: &str, args: Vec<Value>) -> Call {
    Call { interface: builtin::INTERFACE.into(), method: method.into(), args, kwargs: Vec::new() }
}

/// What is left of it.
fn seconds(held: &Held, now: Now) -> Value {
    Value::Float(held.until.since(now.mono).as_secs_f64().max(SECONDS_MIN))
}

/// `ann via control`, of which a player takes so many characters.
fn title(who: &str, proxy: &str) -> String {
    let via = if proxy.is_empty() { " via a dealer proxy".to_owned() } else { format!(" via {proxy}") };
    let via: String = via.chars().take(builtin::WHO_MAX / 2).collect();
    let room = builtin::WHO_MAX - via.chars().count();
    who.chars().take(room).chain(via.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_at_players_fits() {
        assert_eq!(title("ann", "control"), "ann via control");
        assert_eq!(title("ann", ""), "ann via a dealer proxy");
        let long = title(&"w".repeat(64), &"h".repeat(64));
        assert_eq!(long.chars().count(), builtin::WHO_MAX);
        assert!(long.contains("w via h"), "{long}");
    }

    #[test]
    fn whoever_needs_a_lease_is_told_where() {
        let passed = PassedOn::new("control");
        let error = passed.advise(CallError::lease_needed("bank.prepare"));
        assert_eq!(
            error.message,
            "bank.prepare refused: nothing may be changed without a lease here (listen.lease); call \
             rpc.acquire(who, seconds) at the proxy control, which passes it on to its players"
        );
        let other = CallError::exception("No such parameter");
        assert_eq!(passed.advise(other.clone()), other);
    }
}
