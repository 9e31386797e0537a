//! An opened device: bytes of registers, each access checked against register and device before the first word.

use super::address::MmapAddress;
use super::{Order, refused};
use crate::fpga::model::AccessError;
use crate::fpga::{FpgaError, FpgaOp};
use crate::proto::gateware::{self, Register, RegisterMap};
use crate::proto::register_table;
use crate::sys::device_map::{DeviceMap, Place};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

/// Bytes of a word.
const WORD: usize = 4;
/// Largest register map file read, bytes: a `.bof` holds its bitstream.
const MAX_MAP_FILE: u64 = 256 << 20;
/// What a bus reads where nobody answers.
const NOBODY: u32 = 0xFFFF_FFFF;

/// A device with its registers.
#[derive(Debug)]
pub struct Window {
    device: DeviceMap,
    registers: RegisterMap,
    address: MmapAddress,
}

impl Window {
    /// Reads the register map and maps the device. Touches files: not for the loop.
    pub fn open(address: &MmapAddress) -> Result<Window, String> {
        let registers = read_map(&address.map)?;
        let place = Place { otherwise: registers.window(), ..address.place.clone() };
        let device = DeviceMap::open(&place).map_err(|e| explained(&place.path, &e))?;
        let window = Window { device, registers, address: address.clone() };
        for r in window.registers.iter().filter(|r| window.words(r, 0, r.size).is_none()) {
            log::warn!(
                "{}: register {} is beyond the {} bytes that are mapped",
                address,
                r.name,
                window.device.len()
            );
        }
        window.present()?;
        Ok(window)
    }

    /// The registers of the design.
    pub fn registers(&self) -> &RegisterMap {
        &self.registers
    }

    /// Whether the device is there, as far as can be told.
    pub fn present(&self) -> Result<(), String> {
        if !self.device.is_whole() {
            return Err("the file behind it was cut short".into());
        }
        match self.probed()? {
            Some((name, NOBODY, wanted)) if wanted != NOBODY => Err(format!(
                "{name} reads 0xffffffff: the device does not answer (has it left the bus, is its memory decoding off?)"
            )),
            _ => Ok(()),
        }
    }

    /// Whether the register that is known has its value; true when none is known.
    pub fn runs_its_design(&self) -> Result<bool, String> {
        Ok(self.probed()?.is_none_or(|(_, value, wanted)| value == wanted))
    }

    /// Name, value and wanted value of the register that is known.
    fn probed(&self) -> Result<Option<(&str, u32, u32)>, String> {
        let Some(probe) = &self.address.probe else { return Ok(None) };
        let register = self.registers.get(&probe.register);
        let words = register.and_then(|r| self.words(r, 0, 4));
        match words {
            Some(words) => Ok(Some((&probe.register, self.load(words.start), probe.value))),
            None => {
                Err(format!("probe: {} is no register of {}", probe.register, self.address.map.display()))
            }
        }
    }

    /// Whether bytes of a register may be read.
    pub fn check_read(&self, name: &str, offset: u32, len: u32) -> Result<(), FpgaError> {
        let op = || FpgaOp::Read { register: name.to_owned(), offset, len };
        self.covered(name, offset, len, |r| match r.access.readable() {
            true => None,
            false => Some(AccessError::NotReadable(name.to_owned()).to_string()),
        })
        .map(|_| ())
        .map_err(|why| refused(&op(), why))
    }

    /// Whether bytes of a register may be written.
    pub fn check_write(&self, name: &str, offset: u32, data: &[u8]) -> Result<(), FpgaError> {
        let op = || FpgaOp::Write { register: name.to_owned(), offset, data: data.to_vec(), verify: false };
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let allowed = |r: &Register| {
            let parts = [offset, len].iter().any(|n| !n.is_multiple_of(WORD as u32))
                || !r.offset.is_multiple_of(WORD as u32);
            match (r.access.writable(), self.device.read_only()) {
                (false, _) => Some(AccessError::NotWritable(name.to_owned()).to_string()),
                (_, true) => Some("the device is opened for reading only (access=ro)".to_owned()),
                _ if parts && !self.address.merge => Some(format!(
                    "{len} bytes at {offset} of {name} are not whole words; partial=merge would read, change and write back the words around them"
                )),
                _ => None,
            }
        };
        self.covered(name, offset, len, allowed).map(|_| ()).map_err(|why| refused(&op(), why))
    }

    /// Bytes of a register, as KATCP gives them: the first word's most significant byte first.
    pub fn read(&self, name: &str, offset: u32, len: u32) -> Result<Vec<u8>, FpgaError> {
        self.check_read(name, offset, len)?;
        let Some((register, words)) = self.find(name, offset, len) else { return Ok(Vec::new()) };
        let before = (register.offset as usize + offset as usize) - words.start;
        let mut bytes: Vec<u8> = words.step_by(WORD).flat_map(|at| self.load(at).to_be_bytes()).collect();
        bytes.drain(..before);
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    /// Writes bytes of a register, word by word in ascending order, and reads the last word back: only a read
    /// pushes a write through a bus that posts them.
    pub fn write(&mut self, name: &str, offset: u32, data: &[u8]) -> Result<(), FpgaError> {
        self.check_write(name, offset, data)?;
        let len = data.len() as u32;
        let Some((register, words)) = self.find(name, offset, len) else { return Ok(()) };
        let (first, pushed_by_a_read) =
            (register.offset as usize + offset as usize, register.access.readable());
        let last = words.end - WORD;
        for at in words.step_by(WORD) {
            let value = match first <= at && at + WORD <= first + data.len() {
                true => word(&data[at - first..]),
                false => self.merged(at, first, data),
            };
            self.store(at, value);
        }
        if pushed_by_a_read {
            self.device.load(last);
        }
        Ok(())
    }

    /// The word at `at` with those of its bytes replaced that `data`, beginning at `first`, covers.
    fn merged(&self, at: usize, first: usize, data: &[u8]) -> u32 {
        let mut bytes = self.load(at).to_be_bytes();
        for (n, byte) in bytes.iter_mut().enumerate() {
            if let Some(new) = (at + n).checked_sub(first).and_then(|n| data.get(n)) {
                *byte = *new;
            }
        }
        u32::from_be_bytes(bytes)
    }

    fn load(&self, at: usize) -> u32 {
        let raw = self.device.load(at);
        match self.address.order {
            Order::Big => u32::from_be(raw),
            Order::Little => u32::from_le(raw),
        }
    }

    fn store(&mut self, at: usize, value: u32) {
        let raw = match self.address.order {
            Order::Big => value.to_be(),
            Order::Little => value.to_le(),
        };
        self.device.store(at, raw);
    }

    fn covered(
        &self,
        name: &str,
        offset: u32,
        len: u32,
        objection: impl Fn(&Register) -> Option<String>,
    ) -> Result<Range<usize>, String> {
        let register = self
            .registers
            .get(name)
            .ok_or_else(|| AccessError::NoSuchRegister(name.to_owned()).to_string())?;
        if let Some(why) = objection(register) {
            return Err(why);
        }
        let beyond = |size| AccessError::Range {
            register: name.to_owned(),
            offset: u64::from(offset),
            len: u64::from(len),
            size,
        };
        if u64::from(offset) + u64::from(len) > u64::from(register.size) {
            return Err(beyond(register.size).to_string());
        }
        self.words(register, offset, len).ok_or_else(|| {
            format!(
                "{len} bytes at {offset} of {name} are beyond the {} bytes that are mapped",
                self.device.len()
            )
        })
    }

    fn find(&self, name: &str, offset: u32, len: u32) -> Option<(&Register, Range<usize>)> {
        let register = self.registers.get(name)?;
        Some((register, self.words(register, offset, len)?))
    }

    /// The whole words around bytes of a register, if all of them are mapped.
    fn words(&self, register: &Register, offset: u32, len: u32) -> Option<Range<usize>> {
        let first = register.offset as usize + offset as usize;
        let end = (first + len as usize).next_multiple_of(WORD);
        (end <= self.device.len()).then_some(first - first % WORD..end)
    }
}

/// The first word of some bytes.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(WORD).fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The registers of a `.bof`, a `.fpg`, or a table.
pub fn read_map(path: &Path) -> Result<RegisterMap, String> {
    let at = |e: &dyn std::fmt::Display| format!("register map {}: {e}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| at(&e))?;
    file.take(MAX_MAP_FILE + 1).read_to_end(&mut bytes).map_err(|e| at(&e))?;
    if bytes.len() as u64 > MAX_MAP_FILE {
        return Err(at(&format!("larger than {MAX_MAP_FILE} bytes")));
    }
    if gateware::detect(&bytes).is_some() {
        return gateware::register_map(&bytes).map_err(|e| at(&e));
    }
    let text = String::from_utf8(bytes).map_err(|_| at(&"neither .bof, .fpg nor a table"))?;
    register_table::parse(&text).map_err(|e| at(&e))
}

/// What an error at opening means for a device of registers.
fn explained(path: &Path, error: &std::io::Error) -> String {
    let path = path.display();
    let hint = match (error.kind(), error.raw_os_error()) {
        (ErrorKind::PermissionDenied, Some(libc::EPERM)) => {
            "the kernel forbids it: with secure boot it locks the memory of devices"
        }
        (ErrorKind::PermissionDenied, _) => "give the service's group access by a udev rule",
        (_, Some(libc::EINVAL)) => {
            "a driver may have claimed the region for itself, or it is an I/O-port BAR"
        }
        (_, Some(libc::ENODEV)) => "it cannot be mapped",
        (ErrorKind::NotFound, _) => "is its driver loaded?",
        _ => return format!("{path}: {error}"),
    };
    format!("{path}: {error} ({hint})")
}
