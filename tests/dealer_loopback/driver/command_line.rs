//! `appliance call`: a process for every call.

use super::{ANSWER_WITHIN, Call, Driver, Heard, complaint_of_text, from_json, to_json};
use crate::processes::appliance;
use crate::site::Site;
use std::process::{Child, Stdio};

pub struct CommandLine {
    target: String,
    running: Option<Child>,
}

impl CommandLine {
    pub fn new(site: &Site) -> CommandLine {
        CommandLine { target: site.json.clone(), running: None }
    }
}

impl Driver for CommandLine {
    fn begin(&mut self, call: &Call) {
        let mut command = appliance();
        command.args(["call", "--timeout", &ANSWER_WITHIN.as_secs().to_string(), &self.target]);
        command.arg(format!("dealer.{}", call.method));
        command.args(call.args.iter().map(to_json));
        command.args(call.kwargs.iter().map(|(name, value)| format!("{name}={}", to_json(value))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.running = Some(command.spawn().expect("it starts"));
    }

    fn finish(&mut self) -> Heard {
        let running = self.running.take().expect("a call was made");
        // It gives up by itself.
        let output = running.wait_with_output().expect("it ends");
        let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.code() {
            Some(0) => Ok(from_json(&said)),
            Some(1) => match why.strip_prefix("appliance call: ") {
                Some(why) => Err(complaint_of_text(why)),
                // A player refused: that is in the answer.
                None => Ok(from_json(&said)),
            },
            other => panic!("exit status {other:?}: {said}{why}"),
        }
    }
}
