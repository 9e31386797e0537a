//! [`Talk`]: a conversation with a node. Takes lines, makes the calls, gives the text to show.

use super::complete::Scene;
use super::line::{self, Line, Written};
use super::{help, show};
use crate::api::{CallError, Class, Method};
use crate::cli::client::Client;
use crate::cli::paint::Paint;
use crate::cli::remote_table::{RemoteTable, no_answer};
use crate::cli::target::Target;
use crate::proto::json;
use crate::value::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Columns when there is no terminal to ask.
const WIDTH: usize = 80;
/// Names that a misspelt one is compared with, at most so many shown.
const SIMILAR_MAX: usize = 6;

/// What became of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Done; what to show, if anything.
    Done(String),
    /// Not done; why.
    Failed(String),
    /// Done, and it may have changed what names there are.
    Changed(String),
    /// The conversation is over.
    End,
}

/// A conversation.
pub struct Talk {
    target: Target,
    client: Client,
    remote: RemoteTable,
    interface: String,
    timeout: Duration,
    watch: bool,
    subscribed: bool,
    given_up: Arc<AtomicBool>,
    /// Columns of the terminal.
    pub width: usize,
    /// Its colours.
    pub paint: Paint,
}

impl Talk {
    /// Connects and learns what the node can do.
    ///
    /// # Errors
    /// No such node, or `watch` with a target that tells answers only.
    pub fn with(target: &Target, timeout: Duration, watch: bool) -> Result<Talk, String> {
        if watch && matches!(target, Target::Json(_)) {
            return Err(format!(
                "--watch: {target} speaks JSON, which tells answers only; give rpc://host:port or unix:/path"
            ));
        }
        let mut client = Client::connect(target, timeout).map_err(|e| e.message)?;
        let given_up = Arc::new(AtomicBool::new(false));
        client.give_up_when(Arc::clone(&given_up));
        let mut remote = RemoteTable::default();
        remote.ask(&mut client).map_err(|e| e.message)?;
        let first = ["dealer", "archon", "bank"].into_iter().find(|i| remote.table.interfaces().contains(i));
        let interface = first.or(remote.table.interfaces().first().copied()).unwrap_or_default().to_owned();
        Ok(Talk {
            target: target.clone(),
            client,
            remote,
            interface,
            timeout,
            watch,
            subscribed: false,
            given_up,
            width: WIDTH,
            paint: Paint::PLAIN,
        })
    }

    /// Whom it is with.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Set it to give up the call that runs.
    pub fn given_up(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.given_up)
    }

    /// Where names are looked up.
    pub fn scene(&self) -> Scene<'_> {
        Scene { table: &self.remote.table, interface: &self.interface }
    }

    /// One line about whom this is with.
    pub fn greeting(&self) -> String {
        let count = self.remote.table.of_interface(&self.interface).map_or(0, <[_]>::len);
        let reference =
            if self.remote.is_reference { ", a player that does not describe itself" } else { "" };
        format!(
            "{}: {count} methods in {}{reference}. `help` says what there is, Tab completes, Ctrl-D ends.",
            self.target, self.interface
        )
    }

    /// Methods without an interface are of this one from now on.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn use_interface(&mut self, name: &str) -> Result<(), String> {
        let (full, _) = self.scene().split_name(&format!("{name}.x"));
        if !self.scene().has(&full) {
            let known = self.remote.table.interfaces().join(", ");
            return Err(format!("there is no interface '{}'; there are: {known}", show::clean(name)));
        }
        self.interface = full;
        Ok(())
    }

    /// Does what a line says.
    pub fn hear(&mut self, text: &str) -> Said {
        let parsed = line::parse(text, |name| self.scene().method(name).is_some());
        match parsed {
            Ok(Line::Empty) => Said::Done(String::new()),
            Ok(Line::Command("quit", _)) => Said::End,
            Ok(Line::Command(command, words)) => match self.command(command, &words) {
                Ok(text) if command == "use" => Said::Changed(text),
                Ok(text) => Said::Done(text),
                Err(why) => Said::Failed(why),
            },
            Ok(Line::Call(call)) => self.call(call),
            Err(why) => Said::Failed(format!("not understood: {}", show::clean(&why))),
        }
    }

    // ---------------------------------------------------------------------- commands

    fn command(&mut self, command: &str, words: &[String]) -> Result<String, String> {
        let word = words.first().map(String::as_str);
        match (command, word) {
            ("help", None) => Ok(help::overview(&self.remote.table, &self.interface, self.paint)),
            ("help", Some(name)) => self.help(name),
            ("interfaces", _) => Ok(self.remote.table.interfaces().join("\n")),
            ("methods", name) => {
                let interface = name.map_or(self.interface.clone(), str::to_owned);
                self.methods(&interface)
                    .ok_or_else(|| format!("there is no interface '{}'", show::clean(&interface)))
            }
            ("use", Some(name)) => self.use_interface(name).map(|()| String::new()),
            ("use", None) => Ok(format!("{} is in use", self.interface)),
            ("timeout", Some(seconds)) => {
                self.timeout = Duration::from_secs_f64(crate::cli::call::parse_seconds(seconds)?);
                self.client.set_timeout(self.timeout);
                Ok(String::new())
            }
            ("timeout", None) => Ok(format!("{} s", self.timeout.as_secs_f64())),
            (other, _) => Err(format!("{other} is no command")),
        }
    }

    fn methods(&self, interface: &str) -> Option<String> {
        let (full, _) = self.scene().split_name(&format!("{interface}.x"));
        self.remote.table.of_interface(&full).map(|methods| help::interface(methods, self.paint))
    }

    /// About a method, an interface, or a parameter of the mode.
    fn help(&mut self, name: &str) -> Result<String, String> {
        if let Some(method) = self.scene().method(name) {
            return Ok(help::method(method, self.paint));
        }
        if let Some((_, takes, does)) = line::COMMANDS.iter().find(|(command, ..)| *command == name) {
            return Ok(format!("{name} {takes}  {does}"));
        }
        if let Some(text) = self.methods(name) {
            return Ok(text);
        }
        self.parameter(name).ok_or_else(|| self.unknown(name))
    }

    /// What a parameter means, and what it is set to.
    fn parameter(&mut self, name: &str) -> Option<String> {
        self.scene().method("help_param")?;
        let mut ask = |method: &str| {
            self.given_up.store(false, Ordering::Relaxed);
            self.client.call(&self.interface, method, vec![name.into()], vec![]).ok()
        };
        let meaning = ask("help_param")?;
        let meaning =
            meaning.as_str().filter(|text| !text.is_empty() && !text.starts_with("No such parameter"))?;
        let value = ask("get_param").map(|v| show::result(&v, self.width, self.paint));
        let value = value.map(|v| format!("\n  now: {v}")).unwrap_or_default();
        Some(format!("parameter {}: {}{value}", self.paint.name(name), show::clean(meaning)))
    }

    // ---------------------------------------------------------------------- calls

    fn call(&mut self, call: Written) -> Said {
        let (interface, name) = self.scene().split_name(&call.name);
        let (interface, name) = (interface, name.to_owned());
        let mut method = self.scene().method(&call.name);
        if method.is_none() {
            // A proxy learns of methods when its players come.
            let _ = self.remote.ask(&mut self.client);
            method = self.scene().method(&call.name);
        }
        // Names with an underscore are in no list, but may be there (`_request`).
        if method.is_none() && !name.starts_with('_') {
            return Said::Failed(self.unknown(&call.name));
        }
        self.given_up.store(false, Ordering::Relaxed);
        match self.outcome(&interface, &name, call) {
            Ok(value) => self.answered(method, &value),
            Err(error) => {
                self.subscribed &= !no_answer(&error);
                Said::Failed(show::error(&error, self.paint))
            }
        }
    }

    fn outcome(&mut self, interface: &str, name: &str, call: Written) -> Result<Value, CallError> {
        self.subscribed &= self.client.is_connected();
        if self.watch && !self.subscribed {
            self.client.call("rpc", "subscribe", vec![], vec![])?;
            self.subscribed = true;
        }
        let mut hear = |topic: &str, body: &Value| {
            let body = json::to_text(body).unwrap_or_else(|e| e.to_string());
            println!("{} {}", show::clean(topic), show::clean(&body));
        };
        self.client.call_hearing(interface, name, call.args, call.kwargs, &mut hear)
    }

    fn answered(&self, method: Option<&'static Method>, value: &Value) -> Said {
        let text = show::result(value, self.width, self.paint);
        match method.map(|m| m.class) {
            Some(Class::Read) => Said::Done(text),
            _ if show::succeeded(value) => Said::Changed(text),
            _ => Said::Failed(text),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let similar = similar(name, self.scene());
        let shown = show::clean(name);
        match similar.is_empty() {
            true => format!("there is no '{shown}'; `methods` and `interfaces` list what there is"),
            false => format!("there is no '{shown}'; there is {}", similar.join(", ")),
        }
    }
}

/// Methods that have a name in common with what was written, those of the interface in use first.
fn similar(name: &str, scene: Scene<'_>) -> Vec<String> {
    let wanted = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let near = |m: &Method| {
        let have = m.name.to_ascii_lowercase();
        let words =
            |text: &str| text.split('_').filter(|w| w.len() > 2).map(str::to_owned).collect::<Vec<_>>();
        have.contains(&wanted) || words(&wanted).iter().any(|w| words(&have).contains(w))
    };
    let own = scene.table.of_interface(scene.interface).unwrap_or_default();
    let found = own.iter().filter(|m| near(m)).map(|m| m.name.to_owned());
    let others = scene.table.methods().iter().filter(|m| m.interface != scene.interface && m.name == wanted);
    found.chain(others.map(|m| format!("{}.{}", m.interface, m.name))).take(SIMILAR_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::methods::table;

    #[test]
    fn a_misspelt_name_finds_its_neighbours() {
        let table = table();
        let scene = Scene { table: &table, interface: "bank" };
        assert!(similar("status", scene).contains(&"get_status".to_owned()));
        assert!(
            similar("set_modes", scene).is_empty() || similar("mode", scene).contains(&"set_mode".to_owned())
        );
        assert_eq!(similar("listdev", scene), ["bank.roach.listdev"]);
        assert!(similar("xyzzy", scene).is_empty());
    }
}
