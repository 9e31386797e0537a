//! One operation as requests, and what each reply means.

use super::rejected;
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::proto::katcp::{Kind, Message};
use crate::session::katcp_client::{Answer, Class};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::Range;

/// Reads and writes are split at this many bytes: other requests stay quick.
pub const CHUNK: usize = 64 << 10;
/// Longest tap name a server takes.
const MAX_TAP_NAME: usize = 8;

/// A request and what to do with its reply.
#[derive(Debug)]
pub(super) struct Ask {
    name: String,
    args: Vec<Vec<u8>>,
    class: Class,
    then: Then,
}

/// What a reply is good for.
#[derive(Debug)]
enum Then {
    /// It must be `ok`.
    Ok,
    /// The informs carry names.
    Names,
    /// `ok` and `fail` are both answers.
    Flag,
    /// Bytes of a register from this offset.
    Bytes { register: String, offset: u32, len: usize },
    /// The bytes must be these.
    Compare { register: String, offset: u32, wrote: Vec<u8> },
    /// Bytes from the bus, in the last argument.
    I2c { len: usize },
    /// Everything.
    Raw,
}

/// What the replies so far gave.
#[derive(Debug, Default)]
pub(super) struct Collected {
    names: Option<Vec<String>>,
    flag: Option<bool>,
    raw: Option<FpgaReply>,
    /// Bytes read: by register, with their offsets.
    bytes: HashMap<String, Vec<(u32, Vec<u8>)>>,
    /// Register (empty if none) and what went wrong.
    pub(super) failures: Vec<(String, FpgaError)>,
}

impl Collected {
    /// The reply of an operation of one round: its first failure, or what there is.
    pub(super) fn reply(self) -> Result<FpgaReply, FpgaError> {
        if let Some((_, error)) = self.failures.first() {
            return Err(error.clone());
        }
        let read = self.bytes.keys().next().map(|r| FpgaReply::Bytes(self.read(r, 0..u32::MAX)));
        let names = self.names.map(FpgaReply::Names);
        Ok(names.or(self.flag.map(FpgaReply::Flag)).or(self.raw).or(read).unwrap_or(FpgaReply::Done))
    }

    /// What was read of a register at offsets within a range, joined in order of offset.
    pub(super) fn read(&self, register: &str, within: Range<u32>) -> Vec<u8> {
        let all = self.bytes.get(register).map_or(&[][..], |parts| parts);
        let mut parts: Vec<_> = all.iter().filter(|(at, _)| within.contains(at)).collect();
        parts.sort_by_key(|(at, _)| *at);
        parts.into_iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }

    fn add(&mut self, register: &str, offset: u32, bytes: Vec<u8>) {
        self.bytes.entry(register.to_owned()).or_default().push((offset, bytes));
    }
}

impl Ask {
    fn new(name: &str, args: Vec<Vec<u8>>, then: Then) -> Ask {
        Ask { name: name.to_owned(), args, class: class_of(name), then }
    }

    pub(super) fn request(&self) -> Message {
        Message::new(Kind::Request, self.name.clone()).args(self.args.iter().cloned())
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// The register this is about, empty if none.
    pub(super) fn register(&self) -> &str {
        match &self.then {
            Then::Bytes { register, .. } | Then::Compare { register, .. } => register,
            _ if self.name == "write" => {
                self.args.first().and_then(|a| std::str::from_utf8(a).ok()).unwrap_or("")
            }
            _ => "",
        }
    }

    /// Judges a reply.
    pub(super) fn evaluate(&self, answer: Answer, into: &mut Collected) -> Result<(), FpgaError> {
        let word = answer.reply.args.first().map(Vec::as_slice);
        if matches!(self.then, Then::Flag) && matches!(word, Some(b"ok" | b"fail")) {
            into.flag = Some(word == Some(b"ok"));
            return Ok(());
        }
        if !answer.is_ok() {
            return Err(rejected(answer));
        }
        match &self.then {
            Then::Ok | Then::Flag => {}
            Then::Names => into.names = Some(names(&answer)),
            Then::Raw => into.raw = Some(raw(answer)),
            Then::Bytes { register, offset, len } => {
                let bytes = payload(answer, 1, *len)?;
                into.add(register, *offset, bytes);
            }
            Then::I2c { len } => {
                let last = answer.reply.args.len().saturating_sub(1);
                into.add("", 0, payload(answer, last, *len)?);
            }
            Then::Compare { register, offset, wrote } => {
                let read = payload(answer, 1, wrote.len())?;
                compare(register, *offset, wrote, &read)?;
            }
        }
        Ok(())
    }
}

fn class_of(request: &str) -> Class {
    match request {
        "progdev" => Class::Program,
        "upload" | "progremote" | "uploadbof" | "saveremote" | "uploadbin" => Class::Upload,
        "tap-start" | "tap-stop" => Class::Tap,
        _ => Class::Normal,
    }
}

fn names(answer: &Answer) -> Vec<String> {
    answer.informs.iter().filter_map(|i| i.first()).map(|n| String::from_utf8_lossy(n).into_owned()).collect()
}

fn raw(answer: Answer) -> FpgaReply {
    let mut args = answer.reply.args;
    args.remove(0);
    FpgaReply::Raw { args, informs: answer.informs }
}

/// Argument `at` of a reply, which must have the length asked for.
fn payload(answer: Answer, at: usize, len: usize) -> Result<Vec<u8>, FpgaError> {
    match answer.reply.args.get(at) {
        Some(bytes) if bytes.len() == len => Ok(bytes.clone()),
        other => {
            let got = other.map_or(0, Vec::len);
            Err(FpgaError::Protocol(format!(
                "{}: {got} bytes in the reply instead of {len}",
                answer.request.name
            )))
        }
    }
}

/// Names the first word that differs.
pub(in crate::fpga) fn compare(
    register: &str,
    offset: u32,
    wrote: &[u8],
    read: &[u8],
) -> Result<(), FpgaError> {
    let Some(at) = wrote.iter().zip(read).position(|(w, r)| w != r) else { return Ok(()) };
    let word = at - at % 4;
    Err(FpgaError::VerifyFailed {
        register: register.to_owned(),
        offset: offset + word as u32,
        wrote: word_at(wrote, word),
        read: word_at(read, word),
    })
}

/// Big-endian word at a byte; bytes beyond the end count as zero.
fn word_at(bytes: &[u8], at: usize) -> u32 {
    (at..at + 4).fold(0, |word, n| word << 8 | u32::from(bytes.get(n).copied().unwrap_or(0)))
}

/// The requests of an operation of one round.
pub(super) fn script(op: FpgaOp, unverified: &[String]) -> Result<Vec<Ask>, FpgaError> {
    Ok(match op {
        FpgaOp::ListDev => vec![Ask::new("listdev", vec![], Then::Names)],
        FpgaOp::ListBof => vec![Ask::new("listbof", vec![], Then::Names)],
        // An empty argument deprograms and then fails, so deprogramming takes none.
        FpgaOp::Program { image } => {
            vec![Ask::new("progdev", image.into_iter().map(String::into_bytes).collect(), Then::Ok)]
        }
        FpgaOp::Status => vec![Ask::new("status", vec![], Then::Flag)],
        FpgaOp::Ping => vec![Ask::new("watchdog", vec![], Then::Flag)],
        FpgaOp::Read { register, offset, len } => read(&register, offset, len)?,
        FpgaOp::Write { register, offset, data, verify } => {
            let verify = verify && !unverified.contains(&register);
            write(&register, offset, &data, verify)?
        }
        FpgaOp::TapStart { tap, device, mac, ip, port } => vec![tap_start(&tap, &device, mac, ip, port)?],
        FpgaOp::TapStop { tap } => vec![Ask::new("tap-stop", vec![tap.into_bytes()], Then::Ok)],
        FpgaOp::I2cWrite { address, data } => vec![i2c_write(address, data)],
        FpgaOp::I2cRead { address, len } => vec![i2c_read(address, len)],
        FpgaOp::Raw { name, args } => vec![raw_request(&name, args)?],
        FpgaOp::SetArp { .. } | FpgaOp::WriteChanged { .. } | FpgaOp::CountsMilliseconds => {
            return Err(FpgaError::Unsupported("one round of an operation of several".into()));
        }
    })
}

/// `?read REG OFFSET LEN` in chunks.
pub(super) fn read(register: &str, offset: u32, len: u32) -> Result<Vec<Ask>, FpgaError> {
    if len == 0 || offset.checked_add(len).is_none() {
        return Err(FpgaError::Invalid(format!("cannot read {len} bytes at offset {offset} of {register}")));
    }
    let chunks = (0..len).step_by(CHUNK).map(|at| {
        let part = (len - at).min(CHUNK as u32);
        let then = Then::Bytes { register: register.to_owned(), offset: offset + at, len: part as usize };
        Ask::new("read", access_args(register, offset + at, part.to_string().into_bytes()), then)
    });
    Ok(chunks.collect())
}

/// `?write REG OFFSET DATA` in chunks, then the reads that verify them.
pub(super) fn write(register: &str, offset: u32, data: &[u8], verify: bool) -> Result<Vec<Ask>, FpgaError> {
    let fits = u32::try_from(data.len()).ok().and_then(|len| offset.checked_add(len)).is_some();
    if data.is_empty() || !fits {
        let text = format!("cannot write {} bytes at offset {offset} of {register}", data.len());
        return Err(FpgaError::Invalid(text));
    }
    let chunks = || data.chunks(CHUNK).enumerate().map(|(n, chunk)| (offset + (n * CHUNK) as u32, chunk));
    let mut asks: Vec<Ask> = chunks()
        .map(|(at, chunk)| Ask::new("write", access_args(register, at, chunk.to_vec()), Then::Ok))
        .collect();
    if verify {
        asks.extend(chunks().map(|(at, chunk)| {
            let then = Then::Compare { register: register.to_owned(), offset: at, wrote: chunk.to_vec() };
            Ask::new("read", access_args(register, at, chunk.len().to_string().into_bytes()), then)
        }));
    }
    Ok(asks)
}

fn access_args(register: &str, offset: u32, last: Vec<u8>) -> Vec<Vec<u8>> {
    vec![register.as_bytes().to_vec(), offset.to_string().into_bytes(), last]
}

fn tap_start(tap: &str, device: &str, mac: u64, ip: Ipv4Addr, port: u16) -> Result<Ask, FpgaError> {
    if tap.len() > MAX_TAP_NAME {
        return Err(FpgaError::Invalid(format!("tap name '{tap}' is longer than {MAX_TAP_NAME} characters")));
    }
    let octets = &mac.to_be_bytes()[2..];
    let mac = octets.iter().map(|o| format!("{o:02X}")).collect::<Vec<_>>().join(":");
    let args = [tap.to_owned(), device.to_owned(), ip.to_string(), port.to_string(), mac];
    Ok(Ask::new("tap-start", args.into_iter().map(String::into_bytes).collect(), Then::Ok))
}

fn i2c_write(address: u8, data: Vec<u8>) -> Ask {
    let args = vec![address.to_string().into_bytes(), data.len().to_string().into_bytes(), data];
    Ask::new("i2c-write", args, Then::Ok)
}

fn i2c_read(address: u8, len: u8) -> Ask {
    let args = vec![address.to_string().into_bytes(), len.to_string().into_bytes()];
    Ask::new("i2c-read", args, Then::I2c { len: usize::from(len) })
}

/// Names are checked: a caller's text must not become a second line.
fn raw_request(name: &str, args: Vec<Vec<u8>>) -> Result<Ask, FpgaError> {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !letters || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(FpgaError::Invalid(format!("'{name}' is no KATCP request name")));
    }
    Ok(Ask::new(name, args, Then::Raw))
}
