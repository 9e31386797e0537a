//! The host's side of the stream: `>XXCOMMAND` lines, written and (for the simulator) read.

/// Longest command line read; the vendor's longest command has 2065 characters.
pub const LINE_MAX: usize = 4096;

/// `>XXCOMMAND\n`.
pub fn line(id: u8, text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 4);
    bytes.extend(format!(">{id:02X}").bytes());
    bytes.extend(text.chars().map(octet));
    bytes.push(b'\n');
    bytes
}

/// Latin-1. What cannot be said on this wire, or would end the line and begin another, becomes `?`; what is
/// sent to hardware was refused before ([`Command::check`](super::Command::check)).
fn octet(c: char) -> u8 {
    match u8::try_from(u32::from(c)) {
        Ok(b'\n' | b'\r') | Err(_) => b'?',
        Ok(octet) => octet,
    }
}

/// A command line as a controller reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLine {
    /// The two id digits as sent; the reply repeats them.
    pub id: [u8; 2],
    /// The command (Latin-1).
    pub text: String,
}

/// Reads command lines. LF or CRLF ends one; empty lines, lines without `>XX` and lines that are too long
/// are passed over, as the hardware does.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    overlong: bool,
}

impl Lines {
    /// Takes the next line from the front of `input`, advancing it; `None`: all of it is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<HostLine> {
        loop {
            let Some(end) = input.iter().position(|b| *b == b'\n') else {
                self.hold(input);
                *input = &[];
                return None;
            };
            self.hold(&input[..end]);
            *input = &input[end + 1..];
            let overlong = std::mem::take(&mut self.overlong);
            let held = std::mem::take(&mut self.held);
            if !overlong && let Some(line) = parse(&held) {
                return Some(line);
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len() + bytes.len() > LINE_MAX {
            self.overlong = true;
            self.held.clear();
        }
        if !self.overlong {
            self.held.extend_from_slice(bytes);
        }
    }
}

fn parse(line: &[u8]) -> Option<HostLine> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let [b'>', a, b, text @ ..] = line else { return None };
    (a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
        .then(|| HostLine { id: [*a, *b], text: text.iter().map(|c| char::from(*c)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let mut input: &[u8] = piece;
            while let Some(l) = lines.next(&mut input) {
                seen.push(format!("{}{} {}", char::from(l.id[0]), char::from(l.id[1]), l.text));
            }
        }
        seen
    }

    #[test]
    fn lines_in_any_pieces() {
        assert_eq!(
            all(&[b">0aSTA", b"TUS\r\n\n>0", b"BFRAME\nrubbish\n>0CX\n"]),
            ["0a STATUS", "0B FRAME", "0C X"]
        );
        let long = [b">01".to_vec(), vec![b'A'; LINE_MAX], b"\n>02OK\n".to_vec()].concat();
        assert_eq!(all(&[&long]), ["02 OK"]);
    }

    #[test]
    fn a_text_is_never_two_lines() {
        assert_eq!(line(1, "A\r\n>02POWERON \u{3a9}"), b">01A??>02POWERON ?\n");
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = line(0x3F, "WCONFIG0001MOD4/LABEL=\u{b0}C");
        let mut input: &[u8] = &bytes;
        let read = Lines::default().next(&mut input);
        assert_eq!(read, Some(HostLine { id: *b"3F", text: "WCONFIG0001MOD4/LABEL=\u{b0}C".into() }));
    }
}
