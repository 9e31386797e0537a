//! The clients in Python: `tests/interop/dealer_calls.py` makes the calls it reads line by line.

use super::{ANSWER_WITHIN, Call, Driver, Heard, complaint, from_json, to_json};
use crate::site::{Site, python};
use appliance::value::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

pub struct Python {
    child: Child,
    calls: ChildStdin,
    answers: Receiver<String>,
}

impl Python {
    /// `client`: `module` or `pyzmq`.
    pub fn start(client: &str, site: &Site) -> Option<Python> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/dealer_calls.py");
        let mut child = Command::new(python()?)
            .args([script, client, &site.json])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let calls = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, answers) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| tell.send(l)));
        Some(Python { child, calls, answers })
    }
}

impl Driver for Python {
    fn begin(&mut self, call: &Call) {
        let line = Value::Map(vec![
            ("proc".into(), call.method.into()),
            ("args".into(), Value::List(call.args.clone())),
            ("kwargs".into(), call.kwargs()),
        ]);
        writeln!(self.calls, "{}", to_json(&line)).expect("it reads");
    }

    fn finish(&mut self) -> Heard {
        let line = self.answers.recv_timeout(ANSWER_WITHIN).expect("an answer; why there is none is above");
        let answer = from_json(&line);
        match answer.get("EXCEPTION") {
            Some(triple) => Err(complaint(triple)),
            None => Ok(answer),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
