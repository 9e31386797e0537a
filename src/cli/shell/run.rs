//! [`Talk`]: a conversation with a node. Takes lines, makes the calls, gives the text to show.

use super::complete::Scene;
use super::line::{self, Line, Written};
use super::{help, show};
use crate::api::{CallError, Class, Family, Method, builtin};
use crate::cli::client::Client;
use crate::cli::identity::Identity;
use crate::cli::paint::Paint;
use crate::cli::remedy::{self, Place};
use crate::cli::remote_table::{RemoteTable, no_answer};
use crate::cli::target::Target;
use crate::proto::json;
use crate::value::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Columns when there is no terminal to ask.
const WIDTH: usize = 80;

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

/// What a parameter is set to, below its meaning; of several players each on a line of its own.
fn set_to(shown: &str) -> String {
    let mut lines = shown.lines();
    match (lines.next(), lines.next()) {
        (Some(only), None) => format!("\n  now: {only}"),
        _ => format!("\n  now:{}", shown.lines().map(|line| format!("\n    {line}")).collect::<String>()),
    }
}

impl Talk {
    /// Connects and learns what the node can do.
    ///
    /// # Errors
    /// No such node, or `watch` with a target that tells answers only.
    pub fn with(
        identity: &Identity,
        target: &Target,
        timeout: Duration,
        watch: bool,
    ) -> Result<Talk, String> {
        if watch && matches!(target, Target::Json(_)) {
            return Err(format!(
                "--watch: {target} speaks JSON, which tells answers only; give rpc://host:port or unix:/path"
            ));
        }
        let mut client = Client::connect_as(identity, target, timeout).map_err(|e| e.message)?;
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
        // Ctrl-C that came when nothing ran any more is not meant for this line.
        self.given_up.store(false, Ordering::Relaxed);
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
        let mut ask =
            |method: &str| self.client.call(&self.interface, method, vec![name.into()], vec![]).ok();
        let meaning = ask("help_param")?;
        let meaning =
            meaning.as_str().filter(|text| !text.is_empty() && !text.starts_with("No such parameter"))?;
        let value = ask("get_param").map(|v| show::result(&v, self.width, self.paint));
        let value = value.map(|v| set_to(&v)).unwrap_or_default();
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
        let unnamed = !call.args.is_empty();
        match self.outcome(&interface, &name, call) {
            Ok(value) => {
                self.keep_lease(&interface, &name, &value);
                self.answered(method, &value)
            }
            Err(error) => {
                self.subscribed &= !no_answer(&error);
                let mut text = remedy::error(&error, &name, Place::Shell, self.paint);
                let named = method.is_some_and(|m| m.keywords.is_some());
                if named && unnamed && error.family == Family::Invalid {
                    text += &format!(
                        "\n  {name} takes NAME=VALUE, with nothing else between: {name} scan_length=5"
                    );
                }
                Said::Failed(text)
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

    /// What was acquired here is for the calls to come, also on a connection that is made anew.
    fn keep_lease(&mut self, interface: &str, method: &str, value: &Value) {
        match (interface, method, value.get("token").and_then(Value::as_str)) {
            (builtin::INTERFACE, "acquire" | "renew", Some(token)) => self.client.set_lease(token),
            (builtin::INTERFACE, "release", _) if *value == Value::Bool(true) => self.client.set_lease(""),
            _ => {}
        }
    }

    fn answered(&self, method: Option<&'static Method>, value: &Value) -> Said {
        let text = show::result(value, self.width, self.paint);
        match method.map(|m| m.class) {
            Some(Class::Read) => Said::Done(text),
            _ if !show::refused(value) => Said::Changed(text),
            _ => Said::Failed(text),
        }
    }

    fn unknown(&self, name: &str) -> String {
        remedy::unknown(name, self.scene(), Place::Shell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_each_player_has_its_line() {
        assert_eq!(set_to("60.0"), "\n  now: 60.0");
        assert_eq!(set_to("BANKA  60.0\nBANKB  0.5"), "\n  now:\n    BANKA  60.0\n    BANKB  0.5");
    }
}
