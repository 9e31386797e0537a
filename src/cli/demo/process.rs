//! The node of a demonstration: this binary once more, as a daemon with simulated hardware.

use super::pause;
use crate::cli::target::Target;
use crate::sys::{child, clock};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The node must have gone by then after SIGTERM.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// Looking whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running node; ended, if need be by force, when dropped.
pub struct NodeProcess {
    role: &'static str,
    child: Child,
    /// Where it speaks JSON.
    pub json: Target,
    /// Where it speaks the binary RPC.
    pub rpc: Target,
    /// What it says.
    pub log: PathBuf,
}

impl NodeProcess {
    /// Starts a node with these settings on ports of its own; its log and record are kept in `out`.
    pub fn spawn(role: &'static str, out: &Path, settings: &[(&str, String)]) -> Result<NodeProcess, String> {
        let exe = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let log = out.join(format!("{role}.log"));
        let file = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(exe);
        command.args(["--role", role, "--announce"]);
        let common = [
            ("record.dir", out.join("record").display().to_string()),
            ("listen.json", "tcp://127.0.0.1:0".to_owned()),
            ("listen.rpc", "tcp://127.0.0.1:0".to_owned()),
        ];
        for (key, value) in common.iter().chain(settings) {
            command.args(["--set".to_owned(), format!("{key}={value}")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        child::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(|e| format!("cannot start the {role}: {e}"))?;
        match ready(&mut child) {
            Ok((json, rpc)) => Ok(NodeProcess { role, child, json, rpc, log }),
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read_to_string(&log).unwrap_or_default();
                Err(format!("the {role} did not start ({why}):\n{said}"))
            }
        }
    }

    /// Stops it in order and waits for its end.
    pub fn stop(&mut self) -> Result<(), String> {
        let (role, log) = (self.role, self.log.display());
        child::terminate(self.child.id()).map_err(|e| e.to_string())?;
        let until = clock::mono() + GONE_WITHIN;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the {role} ended with {status}; see {log}")),
                Ok(None) if clock::mono() < until => pause(LOOK_EVERY),
                Ok(None) => return Err(format!("the {role} does not end; see {log}")),
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

/// The addresses of its `ready` line.
fn ready(child: &mut Child) -> Result<(Target, Target), String> {
    let stdout = child.stdout.take().ok_or("it has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
    let target = |face: &str| -> Result<Target, String> {
        let address = line.split_whitespace().find_map(|w| w.strip_prefix(face)?.strip_prefix('='));
        let address = address.ok_or_else(|| format!("it announced no {face} address"))?;
        address.parse().map_err(|e| format!("{address}: {e}"))
    };
    Ok((target("json")?, target("rpc")?))
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = child::terminate(self.child.id());
            let until = clock::mono() + GONE_WITHIN;
            while matches!(self.child.try_wait(), Ok(None)) && clock::mono() < until {
                pause(LOOK_EVERY);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
