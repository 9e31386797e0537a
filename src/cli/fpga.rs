//! `appliance fpga`: the registers of a board, through its KATCP server or mapped memory, from the command line.
//!
//! Nothing is changed while a player of this host holds the board, unless `--yes` says so; every change is read
//! back and told.

mod inventory;
mod link;
mod show;

use super::board_lock;
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::proto::json;
use crate::proto::register_table::number;
use crate::value::Value;
use clap::{Args, Subcommand};
use inventory::Entry;
use link::{BoardAt, Link};
use std::process::ExitCode;
use std::time::Duration;

/// Bytes of a word.
const WORD: u64 = 4;

/// Look at and change the registers of an FPGA
#[derive(Args, Debug)]
pub struct FpgaArgs {
    /// The board: katcp://host[:port], or mmap:DEVICE?map=FILE (registers in this host's memory)
    #[arg(value_name = "BOARD")]
    board: BoardAt,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Change registers although a player drives the board
    #[arg(long, global = true)]
    yes: bool,
    /// Time limit of connecting and of each request, s
    #[arg(long, global = true, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    timeout: u32,
    #[command(subcommand)]
    command: FpgaCommand,
}

#[derive(Subcommand, Debug)]
enum FpgaCommand {
    /// Names, places and sizes of the registers
    List,
    /// Words of a register
    Read {
        /// Register
        name: String,
        /// First byte
        #[arg(default_value = "0", value_parser = bytes)]
        offset: u32,
        /// How many words of 4 bytes
        #[arg(default_value = "1", value_parser = count)]
        count: u32,
    },
    /// Write words of a register and read them back
    Write {
        /// Register
        name: String,
        /// A 32-bit value, decimal or 0x...; more go to the words that follow
        #[arg(required = true, value_parser = word, allow_negative_numbers = true)]
        value: Vec<u32>,
        /// First byte
        #[arg(long, default_value = "0", value_parser = bytes)]
        offset: u32,
        /// Do not read back
        #[arg(long)]
        blind: bool,
    },
    /// The first words of every register
    Dump {
        /// Most words of a register
        #[arg(long, default_value = "4", value_parser = count)]
        words: u32,
    },
    /// Is the board there, and does a design run?
    Status,
    /// Program an image the board holds, as `status` lists them
    Program {
        /// Its file name
        file: String,
    },
}

fn bytes(text: &str) -> Result<u32, String> {
    number(text).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| "no number of bytes below 2^32".into())
}

/// At most 1 MiB.
fn count(text: &str) -> Result<u32, String> {
    let count = number(text).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=1 << 18).contains(n));
    count.ok_or_else(|| "must be a number from 1 to 262144".into())
}

/// -2^31 to 2^32 - 1, negative numbers as two's complement.
fn word(text: &str) -> Result<u32, String> {
    let negative = text.strip_prefix('-').and_then(number).filter(|n| *n <= 1 << 31);
    let value = match negative {
        Some(n) => Some((n as u32).wrapping_neg()),
        None => number(text).and_then(|n| u32::try_from(n).ok()),
    };
    value.ok_or_else(|| "must be a number from -2147483648 to 4294967295, decimal or 0x...".into())
}

/// Runs the command. Exit status 1: it failed, and why.
pub fn run(args: FpgaArgs) -> ExitCode {
    super::logging::init();
    let done = act(&args).and_then(|told| match args.json {
        true => json::to_text(&told.value).map_err(|e| e.to_string()),
        false => Ok(told.text),
    });
    match done {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("appliance fpga: {}: {text}", args.board);
            ExitCode::FAILURE
        }
    }
}

/// What came of it, for people and for programs.
struct Told {
    text: String,
    value: Value,
}

fn act(args: &FpgaArgs) -> Result<Told, String> {
    if matches!(args.command, FpgaCommand::Write { .. } | FpgaCommand::Program { .. }) {
        free_or_told(args)?;
    }
    let mut link = Link::open(&args.board, Duration::from_secs(args.timeout.into()))?;
    let done = match &args.command {
        FpgaCommand::List => inventory::registers(&mut link).map(|entries| show::list(&entries)),
        FpgaCommand::Read { name, offset, count } => {
            words(&mut link, name, *offset, *count).map(|words| show::words(name, *offset, &words))
        }
        FpgaCommand::Write { name, value, offset, blind } => write(&mut link, name, value, *offset, !blind),
        FpgaCommand::Dump { words } => dump(&mut link, *words),
        FpgaCommand::Status => status(&mut link, holder(args)),
        FpgaCommand::Program { file } => program(&mut link, file),
    };
    done.map_err(|e| e.to_string())
}

/// The process that holds the board's lock on this host.
fn holder(args: &FpgaArgs) -> Option<String> {
    board_lock::holder(&match &args.board {
        BoardAt::Katcp(at) => board_lock::of_katcp(at.host(), at.port()),
        BoardAt::Mapped(address) => board_lock::of_mapped(address),
    })
}

fn free_or_told(args: &FpgaArgs) -> Result<(), String> {
    match holder(args) {
        Some(process) if !args.yes => Err(format!(
            "process {process} drives this board (a player); what it believes of the board would no longer be true. \
             Nothing was changed; --yes does it all the same"
        )),
        _ => Ok(()),
    }
}

fn words(link: &mut Link, name: &str, offset: u32, count: u32) -> Result<Vec<u32>, FpgaError> {
    let op = FpgaOp::Read { register: name.to_owned(), offset, len: count * WORD as u32 };
    match link.run(op)? {
        FpgaReply::Bytes(bytes) => Ok(words_of(&bytes)),
        other => Err(FpgaError::Protocol(format!("{other:?} is no answer to a read"))),
    }
}

/// Big-endian words; a last part of one counts as if zeros followed.
fn words_of(bytes: &[u8]) -> Vec<u32> {
    let word = |part: &[u8]| (0..4).fold(0, |w, n| w << 8 | u32::from(part.get(n).copied().unwrap_or(0)));
    bytes.chunks(WORD as usize).map(word).collect()
}

fn write(link: &mut Link, name: &str, value: &[u32], offset: u32, verify: bool) -> Result<Told, FpgaError> {
    // What cannot be read has no value before; whether it can be written, the write will tell.
    let before = words(link, name, offset, value.len() as u32).ok();
    let data = value.iter().flat_map(|v| v.to_be_bytes()).collect();
    link.run(FpgaOp::Write { register: name.to_owned(), offset, data, verify })?;
    Ok(show::written(name, offset, before.as_deref(), value, verify))
}

fn dump(link: &mut Link, most: u32) -> Result<Told, FpgaError> {
    let entries = inventory::registers(link)?;
    let mut dumped = Vec::new();
    for entry in entries {
        let len = entry.size.unwrap_or(WORD).min(u64::from(most) * WORD) as u32;
        let op = FpgaOp::Read { register: entry.name.clone(), offset: 0, len };
        let read = match link.run(op) {
            Ok(FpgaReply::Bytes(bytes)) => Ok(words_of(&bytes)),
            Ok(other) => Err(FpgaError::Protocol(format!("{other:?} is no answer to a read"))),
            // The link is gone: what follows would be noise.
            Err(error @ (FpgaError::NotConnected { .. } | FpgaError::Timeout { .. })) => return Err(error),
            Err(error) => Err(error),
        };
        dumped.push((entry, read));
    }
    Ok(show::dump(&dumped))
}

fn status(link: &mut Link, holder: Option<String>) -> Result<Told, FpgaError> {
    let runs = link.run(FpgaOp::Status)? == FpgaReply::Flag(true);
    let registers: Option<Vec<Entry>> = match runs {
        true => inventory::registers(link).ok(),
        false => None,
    };
    let images = match link.run(FpgaOp::ListBof) {
        Ok(FpgaReply::Names(names)) => names,
        _ => Vec::new(),
    };
    Ok(show::status(runs, registers.map(|r| r.len()), &images, holder.as_deref()))
}

fn program(link: &mut Link, file: &str) -> Result<Told, FpgaError> {
    if file.contains('/') {
        return Err(FpgaError::Invalid(format!(
            "'{file}' is a path; the board programs images it holds itself: give a name `status` lists"
        )));
    }
    link.run(FpgaOp::Program { image: Some(file.to_owned()) })?;
    let runs = link.run(FpgaOp::Status)? == FpgaReply::Flag(true);
    match runs {
        true => Ok(show::programmed(file)),
        false => {
            Err(FpgaError::Invalid(format!("{file} was programmed, but the board says that no design runs")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_command_line() {
        let values = ["0", "0x300", "-1", "-2147483648", "4294967295"].map(|t| word(t).ok());
        assert_eq!(values, [Some(0), Some(0x300), Some(u32::MAX), Some(1 << 31), Some(u32::MAX)]);
        for bad in ["", "-", "-2147483649", "4294967296", "zzz", "--1"] {
            word(bad).expect_err(bad);
        }
        assert_eq!((bytes("0x10"), count("0x10")), (Ok(16), Ok(16)));
        count("0").expect_err("none");
        count("262145").expect_err("too many");
        assert_eq!(words_of(&[0, 0, 3, 0, 1]), [0x300, 0x0100_0000]);
    }
}
