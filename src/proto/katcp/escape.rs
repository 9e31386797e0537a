//! The escape table, both ways. Runs of plain bytes are copied at once: payloads are megabytes.

use super::LineError;

/// Per byte: 0 travels as it is, anything else is the letter after the backslash.
const LETTERS: [u8; 256] = letters();

const fn letters() -> [u8; 256] {
    let mut table = [0u8; 256];
    table[b'\\' as usize] = b'\\';
    table[b' ' as usize] = b'_';
    table[0] = b'0';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[0x1B] = b'e';
    table[b'\t' as usize] = b't';
    table
}

/// Appends the wire form of an argument; an empty one is `\@`.
pub fn escape(arg: &[u8], out: &mut Vec<u8>) {
    if arg.is_empty() {
        out.extend_from_slice(b"\\@");
        return;
    }
    out.reserve(arg.len());
    let mut rest = arg;
    while let Some(at) = rest.iter().position(|b| LETTERS[usize::from(*b)] != 0) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', LETTERS[usize::from(rest[at])]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// The bytes an argument stands for. `raw_control`: accept NUL and ESC unescaped.
pub fn unescape(word: &[u8], raw_control: bool) -> Result<Vec<u8>, LineError> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\\' | 0 | 0x1B)) {
        out.extend_from_slice(&rest[..at]);
        rest = match rest[at] {
            b'\\' => {
                let letter = *rest.get(at + 1).ok_or(LineError::BadEscape)?;
                if let Some(byte) = meaning(letter)? {
                    out.push(byte);
                }
                &rest[at + 2..]
            }
            control if raw_control => {
                out.push(control);
                &rest[at + 1..]
            }
            _ => return Err(LineError::RawControl),
        };
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// What `\letter` stands for; `\@` is nothing.
fn meaning(letter: u8) -> Result<Option<u8>, LineError> {
    Ok(Some(match letter {
        b'@' => return Ok(None),
        b'\\' => b'\\',
        b'_' => b' ',
        b'0' => 0,
        b'n' => b'\n',
        b'r' => b'\r',
        b'e' => 0x1B,
        b't' => b'\t',
        _ => return Err(LineError::BadEscape),
    }))
}

/// At most `limit` bytes for a log line: printable ASCII as it is, the rest as `\xNN`.
pub fn printable(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(limit) {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if bytes.len() > limit {
        text.push_str("...");
    }
    text
}
