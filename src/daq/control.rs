//! Commands on standard input: one on a line, any case.
//!
//! The reference obeys only the first line of a read; here every line counts, however the bytes arrive.

/// Longest line; more is thrown away up to the line end.
const LINE_MAX: usize = 1023;

/// What the program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Record.
    Start,
    /// Receive and throw away.
    Monitor,
    /// End the recording.
    Stop,
    /// End the program.
    Quit,
    /// Prepare a GPU; there is none to prepare.
    InitGpu,
    /// Anything else, as it was written.
    Unknown(String),
}

const COMMANDS: &[(&str, Command)] = &[
    ("START", Command::Start),
    ("MONITOR", Command::Monitor),
    ("STOP", Command::Stop),
    ("QUIT", Command::Quit),
    ("INIT_GPU", Command::InitGpu),
];

impl Command {
    /// From one line without its end; `None` for an empty one.
    pub fn parse(line: &[u8]) -> Option<Command> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let known = COMMANDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        Some(known.map_or_else(|| Command::Unknown(text.to_owned()), |(_, command)| command.clone()))
    }
}

/// Bytes to commands.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    overlong: bool,
}

impl Lines {
    /// Bytes in, the commands they complete out.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Command>) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end(out),
                _ if self.partial.len() >= LINE_MAX => self.overlong = true,
                _ => self.partial.push(byte),
            }
        }
    }

    fn end(&mut self, out: &mut Vec<Command>) {
        let line = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.overlong) {
            let shown = String::from_utf8_lossy(&line[..32]).into_owned();
            out.push(Command::Unknown(format!("{shown}... (longer than {LINE_MAX} bytes)")));
        } else {
            out.extend(Command::parse(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn commands(pieces: &[&[u8]]) -> Vec<Command> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        pieces.iter().for_each(|piece| lines.feed(piece, &mut out));
        out
    }

    #[test]
    fn both_commands_of_one_read_are_obeyed() {
        assert_eq!(
            commands(&[b"start\nStop\n\nbogus one\n"]),
            [Command::Start, Command::Stop, Command::Unknown("bogus one".into())]
        );
        assert_eq!(commands(&[b"init_gpu\r\nqu"]), [Command::InitGpu]);
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_does_no_harm() {
        let long = vec![b'x'; 1 << 20];
        let got = commands(&[&long, b"\nquit\n"]);
        assert!(matches!(&got[0], Command::Unknown(text) if text.len() < 100));
        assert_eq!(got[1], Command::Quit);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(cut in 0..28usize, again in 0..28usize) {
            let text = b"START\nmonitor\nwhat?\nSTOP\nQUI";
            let (a, b) = (cut.min(again), cut.max(again));
            prop_assert_eq!(commands(&[&text[..a], &text[a..b], &text[b..]]), commands(&[text]));
        }
    }
}
