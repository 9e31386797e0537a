//! [`Give`]: how the replies of a script become the value of the call.

use super::ten_gbe;
use crate::api::{CallError, ErrorClass, Family};
use crate::fpga::FpgaReply;
use crate::units::Mono;
use crate::value::Value;

/// What the answer is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Give {
    /// null
    Null,
    /// this text
    Word(&'static str),
    /// true: an answer came at all
    True,
    /// the names in the reply
    Names,
    /// all bytes read, joined
    Bytes,
    /// the word read, signed
    Int,
    /// the word read
    Uint,
    /// the argument after `ok`, or `ok` if there is none
    SecondWord,
    /// all arguments of the reply and of the informs before it
    Request,
    /// a clock in MHz, from two readings of its counter
    ClockMhz,
    /// what a 10 GbE core is set to
    Core,
    /// the same, into our log; the ARP table only if asked for
    LogCore {
        /// which core
        name: String,
        /// with its ARP table
        arp: bool,
    },
    /// a time in seconds in the unit of the server
    Time(f64),
}

impl Give {
    /// The value; each reply comes with the time it came.
    pub fn value(&self, replies: &[(FpgaReply, Mono)]) -> Result<Value, CallError> {
        Ok(match self {
            Give::Null => Value::Null,
            Give::Word(word) => Value::from(*word),
            Give::True if replies.iter().all(|(r, _)| *r == FpgaReply::Flag(true)) => Value::Bool(true),
            Give::True => return Err(peer("Request watchdog failed.")),
            Give::Names => match replies.last() {
                Some((FpgaReply::Names(names), _)) => {
                    names.iter().map(|n| n.as_str().into()).collect::<Vec<Value>>().into()
                }
                _ => Value::List(Vec::new()),
            },
            Give::Bytes => Value::Bytes(bytes(replies)),
            Give::Int => Value::Int(i64::from(word(replies, 0)?.cast_signed())),
            Give::Uint => Value::Int(i64::from(word(replies, 0)?)),
            Give::SecondWord => match replies.last() {
                Some((FpgaReply::Raw { args, .. }, _)) => {
                    args.first().map_or_else(|| "ok".into(), |a| text_or_bytes(a))
                }
                _ => Value::from("ok"),
            },
            Give::Request => whole_reply(replies),
            Give::ClockMhz => clock(replies)?,
            Give::Core => ten_gbe::details(&bytes(replies))?,
            Give::LogCore { name, arp } => {
                log::info!("10 GbE core {name}: {}", ten_gbe::in_words(&bytes(replies), *arp)?);
                Value::Null
            }
            Give::Time(seconds) => match replies.last() {
                Some((FpgaReply::Flag(true), _)) => Value::Float(seconds * 1e3),
                _ => Value::Float(*seconds),
            },
        })
    }
}

/// An object.
pub(super) fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

/// A board that answers what it must not.
pub(super) fn peer(text: impl Into<String>) -> CallError {
    CallError::new(ErrorClass::RuntimeError, Family::Peer, text)
}

fn bytes(replies: &[(FpgaReply, Mono)]) -> Vec<u8> {
    let read = |(reply, _): &(FpgaReply, Mono)| match reply {
        FpgaReply::Bytes(bytes) => bytes.clone(),
        _ => Vec::new(),
    };
    replies.iter().flat_map(read).collect()
}

/// The n-th word that was read.
fn word(replies: &[(FpgaReply, Mono)], n: usize) -> Result<u32, CallError> {
    let words = replies.iter().filter_map(|(reply, _)| match reply {
        FpgaReply::Bytes(bytes) => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(u32::from_be_bytes),
        _ => None,
    });
    words.into_iter().nth(n).ok_or_else(|| peer("the board's reply is no 32-bit word"))
}

/// Text where it is ASCII, so that a terminal shows it; else bytes.
fn text_or_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Value::from(text),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

fn whole_reply(replies: &[(FpgaReply, Mono)]) -> Value {
    let list = |args: &[Vec<u8>]| args.iter().map(|a| text_or_bytes(a)).collect::<Vec<_>>();
    let Some((FpgaReply::Raw { args, informs }, _)) = replies.last() else { return Value::List(Vec::new()) };
    let mut reply = vec![Value::from("ok")];
    reply.extend(list(args));
    let informs = informs.iter().map(|i| Value::List(list(i))).collect();
    Value::List(vec![Value::List(reply), Value::List(informs)])
}

/// Ticks between two readings over the time between their replies; the counter wraps at 2^32.
fn clock(replies: &[(FpgaReply, Mono)]) -> Result<Value, CallError> {
    let ticks = word(replies, 1)?.wrapping_sub(word(replies, 0)?);
    let time = match replies {
        [(_, first), .., (_, last)] => last.since(*first).as_secs_f64(),
        _ => 0.0,
    };
    if time <= 0.0 {
        return Err(peer("the clock was read twice at the same time"));
    }
    Ok(Value::Float(f64::from(ticks) / time / 1e6))
}
