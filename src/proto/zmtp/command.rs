//! Commands: READY, ERROR, PING, PONG. Body: name length, name, data.

use super::frame;

/// A PONG carries back at most this much of a PING's context.
pub const CONTEXT_MAX: usize = 16;
/// An identity is at most this long.
pub const IDENTITY_MAX: usize = 255;

/// A command, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// End of the handshake.
    Ready(Ready<'a>),
    /// The peer refuses us; its reason.
    Error(&'a [u8]),
    /// Are you there?
    Ping {
        /// Silence of the peer, in tenths of a second, after which it wants to be dropped; 0 = never.
        ttl_ds: u16,
        /// To be sent back.
        context: &'a [u8],
    },
    /// I am here.
    Pong,
    /// SUBSCRIBE and whatever else: to be ignored.
    Other,
}

/// Properties of READY that matter to us; absent ones are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ready<'a> {
    /// `REQ`, `REP`, ...
    pub socket_type: &'a [u8],
    /// The name a peer gave itself.
    pub identity: &'a [u8],
}

/// A command that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A property ends after the command.
    #[error("READY ends within a property")]
    TruncatedProperty,
    /// No room for the two bytes of the time-to-live.
    #[error("PING without a time-to-live")]
    TruncatedPing,
    /// Longer than 255 bytes.
    #[error("READY has an identity of {0} bytes, at most {IDENTITY_MAX} are allowed")]
    Identity(usize),
}

/// Reads the body of a command frame.
pub fn read(body: &[u8]) -> Result<Command<'_>, CommandError> {
    let Some((name, data)) = split_short(body) else { return Ok(Command::Other) };
    match name {
        b"READY" => read_ready(data).map(Command::Ready),
        b"ERROR" => Ok(Command::Error(split_short(data).map_or(data, |(reason, _)| reason))),
        b"PING" => {
            let (ttl, context) = data.split_first_chunk().ok_or(CommandError::TruncatedPing)?;
            Ok(Command::Ping { ttl_ds: u16::from_be_bytes(*ttl), context })
        }
        b"PONG" => Ok(Command::Pong),
        _ => Ok(Command::Other),
    }
}

fn read_ready(mut data: &[u8]) -> Result<Ready<'_>, CommandError> {
    let mut ready = Ready::default();
    while !data.is_empty() {
        let (name, rest) = split_short(data).ok_or(CommandError::TruncatedProperty)?;
        let (len, rest) = rest.split_first_chunk().ok_or(CommandError::TruncatedProperty)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let (value, rest) = rest.split_at_checked(len).ok_or(CommandError::TruncatedProperty)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            ready.socket_type = value;
        } else if name.eq_ignore_ascii_case(b"Identity") {
            if len > IDENTITY_MAX {
                return Err(CommandError::Identity(len));
            }
            ready.identity = value;
        }
        data = rest;
    }
    Ok(ready)
}

/// A length byte and as many bytes; what follows them.
fn split_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

/// READY, framed. libzmq's REP sends no Identity, its REQ always does.
pub fn ready(socket_type: &str, identity: Option<&[u8]>) -> Vec<u8> {
    let mut properties = Vec::new();
    push_property(&mut properties, b"Socket-Type", socket_type.as_bytes());
    if let Some(identity) = identity {
        push_property(&mut properties, b"Identity", identity);
    }
    let mut out = Vec::new();
    frame::push_command(&mut out, &[b"\x05READY", &properties]);
    out
}

fn push_property(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

/// Appends a PING that asks to be dropped after `ttl_ds` tenths of a second of silence.
pub fn push_ping(out: &mut Vec<u8>, ttl_ds: u16) {
    frame::push_command(out, &[b"\x04PING", &ttl_ds.to_be_bytes()]);
}

/// Appends the answer to a PING.
pub fn push_pong(out: &mut Vec<u8>, context: &[u8]) {
    frame::push_command(out, &[b"\x04PONG", &context[..context.len().min(CONTEXT_MAX)]]);
}

/// Appends ERROR; the reason is cut at 255 bytes.
pub fn push_error(out: &mut Vec<u8>, reason: &str) {
    let reason = &reason.as_bytes()[..reason.len().min(255)];
    frame::push_command(out, &[b"\x05ERROR", &[reason.len() as u8], reason]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_bytes_are_libzmqs() {
        assert_eq!(ready("REP", None), b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP");
        assert_eq!(
            ready("REQ", Some(b"")),
            b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0"
        );
        let named = ready("REQ", Some(b"dealer-1"));
        assert_eq!(named[..2], [4, 0x2E]);
        let want = Ready { socket_type: b"REQ", identity: b"dealer-1" };
        assert_eq!(read(&named[2..]), Ok(Command::Ready(want)));
    }

    #[test]
    fn property_names_ignore_case_and_unknown_ones_are_skipped() {
        let body = b"\x05READY\x04Xtra\0\0\0\x01!\x0bsocket-TYPE\0\0\0\x06DEALER";
        assert_eq!(read(body), Ok(Command::Ready(Ready { socket_type: b"DEALER", identity: b"" })));
        assert_eq!(read(b"\x05READY"), Ok(Command::Ready(Ready::default())));
    }

    #[test]
    fn truncated_properties_are_errors() {
        for body in [&b"\x05READY\x0bSocket"[..], b"\x05READY\x01a\0\0", b"\x05READY\x01a\xFF\xFF\xFF\xFF"] {
            assert_eq!(read(body), Err(CommandError::TruncatedProperty));
        }
        let mut long = b"\x05READY\x08Identity\0\0\x01\0".to_vec();
        long.resize(long.len() + 256, b'i');
        assert_eq!(read(&long), Err(CommandError::Identity(256)));
    }

    #[test]
    fn heartbeats() {
        assert_eq!(read(b"\x04PING\x00\x14ctx"), Ok(Command::Ping { ttl_ds: 20, context: b"ctx" }));
        assert_eq!(read(b"\x04PING\x00"), Err(CommandError::TruncatedPing));
        let mut out = Vec::new();
        push_pong(&mut out, &[7; 40]);
        assert_eq!(out.len(), 2 + 5 + CONTEXT_MAX);
        let mut out = Vec::new();
        push_ping(&mut out, 20);
        assert_eq!(out, b"\x04\x07\x04PING\x00\x14");
    }

    #[test]
    fn nonsense_is_other() {
        for body in [&b""[..], b"\x09SUB", b"\x09SUBSCRIBEtopic", b"\xFF"] {
            assert_eq!(read(body), Ok(Command::Other));
        }
        assert_eq!(read(b"\x05ERROR\x02no"), Ok(Command::Error(b"no")));
    }
}
