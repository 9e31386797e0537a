//! Area `shm`: the text of status memory in both dialects, and whole segments byte for byte.
//!
//! The text cases run on [`Cards`], which writes what the C libraries write. The whole segments are made
//! through [`StatusMemory`], in files and in a real System V segment.

use crate::report::{Content, GoldenFile, Report};
use appliance::proto::status_cards::{CARD, Card, Cards, Dialect, STATUS_SIZE, read};
use appliance::shm::databuf::header::{Header, LENGTH, STRUCT_SIZE};
use appliance::shm::databuf::{Buffer, Family, Kind, Layout, reformat};
use appliance::shm::{Location, StatusEditor, StatusMemory};
use appliance::sys::sysv_sem::SysvSem;
use appliance::sys::sysv_shm::SysvShm;
use serde_json::Value as Json;
use std::time::Duration;

const NOT_OURS: &str =
    "hashpipe programs make their buffers themselves, and the other data are checked in area daq";
const WAIT: Duration = Duration::from_secs(2);
const DIALECTS: [(Dialect, &str); 2] = [(Dialect::Hashpipe, "hashpipe"), (Dialect::Legacy, "legacy")];

/// Runs the cases of a file of this area.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    match &file.content {
        Content::Json(json) if json["cases"][0]["ops"].is_array() => put_cases(json, report),
        Content::Json(json) if json["queries"].is_array() => get_cases(json, report),
        Content::Bytes(bytes) if bytes.len() == STATUS_SIZE => segment(file, bytes, report),
        Content::Json(json) if json[0]["wire_header"].is_string() => {
            return crate::daq::run_packets(json, report);
        }
        Content::Bytes(bytes) if bytes.starts_with(b"unknown\0") && data_buffer(file, bytes, report) => {}
        Content::Bytes(bytes) if is_data(bytes) => report.skip(&file.name, NOT_OURS),
        _ => return false,
    }
    true
}

/// Data buffers, GUPPI RAW and FITS files start with text and are whole cards or whole headers long.
fn is_data(bytes: &[u8]) -> bool {
    bytes.len() >= 4096 && bytes[..6].iter().all(|b| b.is_ascii_graphic() || *b == b' ' || *b == 0)
}

// ---- setters

fn put_cases(json: &Json, report: &mut Report) {
    for case in json["cases"].as_array().into_iter().flatten() {
        for (dialect, name) in DIALECTS {
            let label = format!("put {} {name}", case["name"].as_str().unwrap_or("?"));
            match case[name].as_array() {
                None => report.skip(&label, "this library has no such setter"),
                Some(expected) => report.check(&label, put_case(&case["ops"], expected, dialect)),
            }
        }
    }
}

fn put_case(ops: &Json, expected: &[Json], dialect: Dialect) -> Result<(), String> {
    let mut text = vec![0u8; STATUS_SIZE];
    let mut cards = Cards::whole(&mut text, dialect);
    cards.raw(0, "END");
    for op in ops.as_array().into_iter().flatten() {
        let columns: Vec<&str> = op.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        apply(&mut cards, &columns).map_err(|why| format!("{columns:?}: {why}"))?;
    }
    compare(&shown(&text), &expected.iter().filter_map(Json::as_str).collect::<Vec<_>>())
}

fn apply(cards: &mut Cards<'_>, columns: &[&str]) -> Result<(), String> {
    fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
        text.parse().map_err(|_| format!("'{text}' is no number"))
    }
    let [op, key, ref rest @ ..] = *columns else { return Err("an operation and a key are needed".into()) };
    let value = rest.first().copied().unwrap_or("");
    let done = match op {
        "s" => cards.put_string(key, value),
        "i4" | "i8" => cards.put_i64(key, number(value)?),
        "u4" | "u8" => cards.put_u64(key, number(value)?),
        "r4" => cards.put_f32(key, number(value)?),
        "r8" => cards.put_f64(key, number(value)?),
        "nr8" => cards.put_f64_decimals(key, number(value)?, number(rest[1])?),
        "l" => cards.put_logical(key, value == "1"),
        "ra" => cards.put_ra(key, number(value)?),
        "dec" => cards.put_dec(key, number(value)?),
        "m" => cards.put_multi_line(key, value),
        "com" => {
            cards.put_comment(key, value);
            Ok(())
        }
        "del" => {
            cards.delete(key);
            Ok(())
        }
        "raw" => {
            cards.raw(number(key)?, value);
            Ok(())
        }
        _ => return Err(format!("unknown operation '{op}'")),
    };
    done.map_err(|e| e.to_string())
}

/// Cards up to the first NUL, blanks at the end removed.
fn shown(text: &[u8]) -> Vec<String> {
    let used = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    text[..used].chunks(CARD).map(|card| String::from_utf8_lossy(card).trim_end().to_owned()).collect()
}

fn compare<T: AsRef<str>>(got: &[String], expected: &[T]) -> Result<(), String> {
    let same = got.len() == expected.len() && got.iter().zip(expected).all(|(g, e)| g == e.as_ref());
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    if same { Ok(()) } else { Err(format!("\n     got {got:#?}\nexpected {expected:#?}")) }
}

// ---- getters

fn get_cases(json: &Json, report: &mut Report) {
    let mut buffer = vec![0u8; STATUS_SIZE];
    for (i, card) in json["cards"].as_array().into_iter().flatten().enumerate() {
        let text = format!("{:80}", card.as_str().unwrap_or(""));
        buffer[i * CARD..(i + 1) * CARD].copy_from_slice(&text.as_bytes()[..CARD]);
    }
    let differs = |key: &str| json["legacy_differs"].as_array().is_some_and(|l| l.iter().any(|k| k == key));
    for (dialect, name) in DIALECTS {
        let cards = Cards::whole(&mut buffer, dialect);
        for query in json["queries"].as_array().into_iter().flatten() {
            let key = query["key"].as_str().unwrap_or("");
            let label = format!("get {key} {name}");
            if dialect == Dialect::Legacy && differs(key) {
                // Legacy searches all of a long keyword and finds nothing.
                report.check(&label, if cards.get(key).is_none() { Ok(()) } else { Err("found".into()) });
            } else {
                report.check(&label, get_case(&cards, key, query, dialect));
            }
        }
    }
}

fn get_case(cards: &Cards<'_>, key: &str, query: &Json, dialect: Dialect) -> Result<(), String> {
    let Some(text) = cards.get(key) else {
        return if query["s"].is_null() { Ok(()) } else { Err("not found".into()) };
    };
    let Some(expected) = query["s"].as_str() else { return Err("found, but is absent in C".into()) };
    if text != expected.as_bytes() {
        return Err(format!("'{}' instead of '{expected}'", String::from_utf8_lossy(text)));
    }
    let float = |name: &str| query[name].as_str().and_then(|t| t.parse::<f64>().ok());
    let mut checks = vec![
        ("i4", Some(read::int32(text).into()) == query["i4"].as_i64()),
        ("l", Some(read::logical(text).into()) == query["l"].as_i64()),
        ("r8", Some(read::float64(text)) == float("r8")),
        ("r4", Some(read::float32(text)) == float("r4").map(|x| x as f32)),
    ];
    if dialect == Dialect::Hashpipe {
        checks.push(("u4", Some(read::uint32(text).into()) == query["u4"].as_u64()));
        checks.push(("i8", Some(read::int64(text)) == query["i8"].as_i64()));
        checks.push(("u8", Some(read::uint64(text)) == query["u8"].as_u64()));
    }
    match checks.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((getter, _)) => Err(format!("{getter} differs from {}", query[*getter])),
    }
}

// ---- data buffers

/// Buffers of either family; `false`: of neither.
fn data_buffer(file: &GoldenFile, bytes: &[u8], report: &mut Report) -> bool {
    let Some(start) = bytes.first_chunk::<LENGTH>() else { return false };
    let fits = |family: &Family| Header::from_bytes(start, *family).struct_size == STRUCT_SIZE;
    let Some(family) = [Family::Guppi, Family::Vegas].into_iter().find(fits) else { return false };
    let header = Header::from_bytes(start, family);
    let kind = match header.kind {
        Some(2) => Kind::Cpu,
        Some(3) => Kind::Disk,
        _ => Kind::Gpu,
    };
    let buffer = Buffer { key: 0, blocks: header.blocks.unsigned_abs(), block_size: header.block_size, kind };
    let (shmid_at, label) = if family == Family::Vegas { (112, "vegas") } else { (88, "guppi") };
    let id = |at: usize| i32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    let again = buffer.header(family).to_bytes(id(shmid_at), id(shmid_at + 4));
    let checks = [
        ("size", buffer.segment_size(family) == bytes.len() as u64),
        ("header", again == *start),
        ("recognised", header.fits(&buffer, family)),
    ];
    for (what, same) in checks {
        let result = if same { Ok(()) } else { Err(format!("{header:?} in {} bytes", bytes.len())) };
        report.check(&format!("{label} buffer {}, {what}", file.name), result);
    }
    // Fresh: nothing is in it but an END in each block's header.
    if bytes[STRUCT_SIZE as usize..].starts_with(b"END") {
        report.check(&format!("{label} buffer {}, made", file.name), made(family, buffer, shmid_at, bytes));
    }
    true
}

/// A buffer of ours is that of the C program, but for the numbers the kernel gives.
fn made(family: Family, buffer: Buffer, shmid_at: usize, expected: &[u8]) -> Result<(), String> {
    let key = 0x5D00_0000 | std::process::id() & 0xff_ffff;
    let buffers = vec![Buffer { key, ..buffer }];
    let layout = Layout { program: "golden".into(), family, buffers, fifos: Vec::new() };
    let made = reformat(&layout, &[]).map_err(|e| e.to_string());
    let shm = SysvShm::attach(key).map_err(|e| e.to_string())?;
    let set = SysvSem::find(key).map_err(|e| e.to_string())?;
    // Gone with the last of us, whatever comes.
    let removed = shm.remove().and_then(|()| set.map_or(Ok(()), SysvSem::remove));
    removed.map_err(|e| e.to_string())?;
    made?;
    let mut got = vec![0; expected.len()];
    shm.region().read(0, &mut got);
    got[shmid_at..shmid_at + 8].copy_from_slice(&expected[shmid_at..shmid_at + 8]);
    match got.iter().zip(expected).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => Err(format!("byte {at} is {} instead of {}", got[at], expected[at])),
    }
}

// ---- whole segments

fn segment(file: &GoldenFile, expected: &[u8], report: &mut Report) {
    let keys: Vec<String> =
        shown(expected).iter().map(|card| card[..card.len().min(8)].trim().into()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (hashpipe, written) = match &keys[..] {
        ["INSTANCE", written @ .., "END"] => (true, written),
        [written @ .., "END"] => (false, written),
        _ => (false, &["?"][..]),
    };
    if !written.is_empty() && written != TYPED {
        return report.skip(&file.name, "a segment, but how it was made is not known");
    }
    let dialect = if hashpipe { Dialect::Hashpipe } else { Dialect::Legacy };
    let instance = if hashpipe { read::int32(Card::new(&expected[..CARD]).text()) as u8 } else { 0 };
    let typed = !written.is_empty();

    let dir = tempfile::tempdir().expect("a temporary directory");
    let in_file = Location::File { dir: dir.path().to_owned() };
    let ours = std::process::id();
    let in_segment = Location::SysV {
        key: 0x5B00_0000 | ours & 0xff_ffff,
        lock_name: format!("/appliance_golden_{ours}"),
    };
    for (location, how) in [(in_file, "file"), (in_segment, "System V")] {
        report.check(
            &format!("segment {} in {how}", file.name),
            whole(&location, dialect, instance, typed, expected),
        );
    }
}

fn whole(
    location: &Location,
    dialect: Dialect,
    instance: u8,
    typed: bool,
    expected: &[u8],
) -> Result<(), String> {
    let mut memory = StatusMemory::create(location, dialect, instance).map_err(|e| e.to_string())?;
    let mut check = || {
        if typed {
            memory.try_update(write_typed).map_err(|e| e.to_string())?;
        }
        let got = memory.dump(WAIT).map_err(|e| e.to_string())?;
        match got.iter().zip(expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => Err(format!("differs at byte {at} (card {})", at / CARD)),
        }
    };
    let result = check();
    memory.remove().map_err(|e| e.to_string())?;
    result
}

/// Keys that the `typed` files have.
const TYPED: [&str; 7] = ["OBJECT", "SCANLEN", "NPKT", "EXPOSURE", "DATADIR", "NETSTAT", "LAST"];

/// What the C program did that made the `typed` files.
fn write_typed(editor: &mut StatusEditor<'_>) -> Result<(), appliance::shm::CardError> {
    editor.set_str("OBJECT", "3C286")?;
    editor.set_f64("SCANLEN", 30.5)?;
    editor.set_int("NPKT", 123_456)?;
    editor.set_f32("EXPOSURE", 0.5)?;
    editor.set_str("DATADIR", "/lustre/dibas")?;
    editor.set_str("NETSTAT", "waiting")?;
    editor.set_int("TODEL", 1)?;
    editor.delete("TODEL");
    editor.set_str("LAST", "end")
}
