//! The append-only record: every call that changes something and every hardware plan it caused,
//! one JSON object a line, written before the first byte leaves.
//!
//! ```text
//! {"at":"2026-11-21 02:36:11.004210","kind":"call","id":7,"peer":"tcp://127.0.0.1:50122","method":"bank.set_mode","args":["MODE1"],"kwargs":{}}
//! {"at":"..","kind":"plan","title":"set_mode(MODE1)","phases":[..]}
//! {"at":"..","kind":"reply","id":7,"ok":true,"took_ms":1803.2,"result":[true,"New mode MODE1 set!"]}
//! ```
//!
//! [`entry`] is pure; [`append`] does the writing and belongs on a worker thread.

use crate::proto::json;
use crate::units::Utc;
use crate::value::Value;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A result longer than this is cut in the record.
const RESULT_MAX: usize = 2048;

/// Where the record is kept and how large it may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFile {
    /// The current file; older ones get `.1`, `.2`, ... appended.
    pub path: PathBuf,
    /// A file larger than this is put aside.
    pub max_bytes: u64,
    /// How many are kept beside the current one.
    pub keep: u32,
}

/// One line, end of line included.
pub fn entry(at: Utc, kind: &str, fields: Vec<(String, Value)>) -> String {
    let mut map = vec![("at".to_owned(), Value::Str(at.to_string())), ("kind".to_owned(), kind.into())];
    map.extend(fields);
    let text = json::to_text(&Value::Map(map));
    text.unwrap_or_else(|e| format!("{{\"at\":\"{at}\",\"kind\":\"{kind}\",\"unwritable\":\"{e}\"}}")) + "\n"
}

/// Entries of one kind at the end of the record, oldest first: at most `bytes` are read, of the file put aside last
/// and the current one. What cannot be read is left out. Blocks.
pub fn last_of(file: &RecordFile, kind: &str, bytes: u64) -> Vec<Value> {
    let current = end_of(&file.path, bytes);
    let older = end_of(&numbered(&file.path, 1), bytes.saturating_sub(current.len() as u64));
    let wanted = Value::from(kind);
    [older, current]
        .iter()
        .flat_map(|part| part.split(|b| *b == b'\n'))
        .filter_map(|line| json::read(line).ok())
        .filter(|entry| entry.get("kind") == Some(&wanted))
        .collect()
}

/// The last bytes of a file, from the beginning of a line; nothing if it cannot be read.
fn end_of(path: &Path, bytes: u64) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let skipped = file.metadata()?.len().saturating_sub(bytes);
        file.seek(io::SeekFrom::Start(skipped))?;
        let mut end = Vec::new();
        file.take(bytes).read_to_end(&mut end)?;
        if skipped > 0 {
            let line = end.iter().position(|b| *b == b'\n').map_or(end.len(), |at| at + 1);
            end.drain(..line);
        }
        Ok(end)
    };
    read().unwrap_or_default()
}

/// A value for the record: long ones are replaced by their beginning.
pub fn shortened(value: &Value) -> Value {
    match json::to_text(value) {
        Ok(text) if text.len() > RESULT_MAX => {
            Value::Str(text.chars().take(RESULT_MAX).chain("...".chars()).collect())
        }
        _ => value.clone(),
    }
}

/// Appends a line, putting a full file aside first. Blocks; for worker threads.
pub fn append(file: &RecordFile, line: &str) -> io::Result<()> {
    if let Some(dir) = file.path.parent() {
        fs::create_dir_all(dir)?;
    }
    let size = fs::metadata(&file.path).map_or(0, |m| m.len());
    if size > 0 && size + line.len() as u64 > file.max_bytes {
        rotate(file)?;
    }
    let mut out = OpenOptions::new().create(true).append(true).open(&file.path)?;
    out.write_all(line.as_bytes())
}

fn rotate(file: &RecordFile) -> io::Result<()> {
    for n in (1..file.keep).rev() {
        let older = numbered(&file.path, n + 1);
        match fs::rename(numbered(&file.path, n), older) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    if file.keep == 0 {
        return fs::remove_file(&file.path);
    }
    fs::rename(&file.path, numbered(&file.path, 1))
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_of_json() {
        let line = entry(Utc(0), "call", vec![("id".into(), Value::Int(7)), ("text".into(), "a\nb".into())]);
        assert_eq!(line.matches('\n').count(), 1);
        let back = json::read(line.trim_end().as_bytes()).expect("JSON");
        assert_eq!(back.get("id"), Some(&Value::Int(7)));
        assert_eq!(back.get("kind"), Some(&"call".into()));
    }

    #[test]
    fn the_end_of_the_record_is_found_again_by_kind() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = RecordFile { path: dir.path().join("record.jsonl"), max_bytes: 400, keep: 2 };
        assert_eq!(last_of(&file, "writes", 1000), Vec::<Value>::new(), "no record yet");
        for n in 0..10 {
            for kind in ["call", "writes"] {
                append(&file, &entry(Utc(0), kind, vec![("n".into(), Value::Int(n))])).expect("written");
            }
        }
        let numbers = |bytes| -> Vec<i64> {
            let n = |entry: &Value| match entry.get("n") {
                Some(Value::Int(n)) => *n,
                other => panic!("{other:?}"),
            };
            last_of(&file, "writes", bytes).iter().map(n).collect()
        };
        let all = numbers(100_000);
        assert!(all.len() > 5 && all.is_sorted() && all.last() == Some(&9), "{all:?}");
        let some = numbers(200);
        assert!(!some.is_empty() && some.len() < all.len() && all.ends_with(&some), "{some:?}");
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = RecordFile { path: dir.path().join("deep/record.jsonl"), max_bytes: 10, keep: 2 };
        for n in 0..4 {
            append(&file, &format!("line{n:4}\n")).expect("written");
        }
        let read = |name: &str| fs::read_to_string(dir.path().join("deep").join(name)).ok();
        assert_eq!(read("record.jsonl").as_deref(), Some("line   3\n"));
        assert_eq!(read("record.jsonl.1").as_deref(), Some("line   2\n"));
        assert_eq!(read("record.jsonl.2").as_deref(), Some("line   1\n"));
        assert_eq!(read("record.jsonl.3"), None);
    }
}
