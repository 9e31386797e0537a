//! The shell on a pseudo-terminal.

use super::{ANSWER_WITHIN, Call, Driver, Heard, shown, to_json};
use crate::processes::appliance;
use crate::site::Site;
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

const PROMPT: &str = "dealer> ";
/// Wide enough for every call of the tests: the editor does not break their lines.
const COLUMNS: u16 = 120;

pub struct Shell {
    child: Child,
    keys: File,
    output: Receiver<Vec<u8>>,
    said: Vec<u8>,
}

impl Shell {
    pub fn start(site: &Site) -> Shell {
        let size = Winsize { ws_row: 50, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo-terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let child = appliance()
            .args(["shell", &site.json])
            .env("XDG_STATE_HOME", site.path("shell"))
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the shell starts");
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().expect("a descriptor");
        let (tell, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                if tell.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Shell { child, keys, output, said: Vec::new() };
        shell.hears(PROMPT);
        shell
    }

    /// What is said until this, which is gone then.
    fn hears(&mut self, wanted: &str) -> String {
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            let found = self.said.windows(wanted.len()).position(|w| w == wanted.as_bytes());
            if let Some(at) = found {
                let rest = self.said.split_off(at + wanted.len());
                let mut heard = std::mem::replace(&mut self.said, rest);
                heard.truncate(at);
                return String::from_utf8_lossy(&heard).into_owned();
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.said.extend(bytes),
                Err(_) => panic!("'{wanted}' was not said:\n{}", String::from_utf8_lossy(&self.said)),
            }
        }
    }
}

impl Driver for Shell {
    fn begin(&mut self, call: &Call) {
        let args = call.args.iter().map(to_json);
        let kwargs = call.kwargs.iter().map(|(name, value)| format!("{name}={}", to_json(value)));
        let all: Vec<String> = args.chain(kwargs).collect();
        let line = format!("{}({})", call.method, all.join(", "));
        assert!(PROMPT.len() + line.len() < usize::from(COLUMNS), "too long for one line: {line}");
        self.keys.write_all(format!("{line}\r").as_bytes()).expect("the terminal takes keys");
        self.hears("\n");
    }

    fn finish(&mut self) -> Heard {
        shown::read(&self.hears(PROMPT))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
