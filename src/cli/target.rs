//! TARGET of the command line: which face of which process to call.

use crate::sys::resolve;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a process listens, and what it speaks there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `tcp://host:port`: JSON over ZeroMQ.
    Json(HostPort),
    /// `rpc://host:port`: binary RPC.
    Rpc(HostPort),
    /// `unix:/path`: binary RPC.
    Unix(PathBuf),
}

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no target: give tcp://host:port (JSON), rpc://host:port or unix:/path (binary)")]
pub struct TargetError(String);

impl HostPort {
    /// `host:port`, `127.0.0.1:port`, `[::1]:port`.
    pub fn parse(text: &str) -> Option<HostPort> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(v6) => v6,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = port.parse().ok().filter(|p| *p > 0)?;
        (!host.is_empty()).then(|| HostPort { host: host.to_owned(), port })
    }

    /// The host as it was written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The addresses behind the name; may ask a name server.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        resolve::addresses_of(&self.host, self.port)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let parsed = if let Some(rest) = text.strip_prefix("tcp://") {
            HostPort::parse(rest).map(Target::Json)
        } else if let Some(rest) = text.strip_prefix("rpc://") {
            HostPort::parse(rest).map(Target::Rpc)
        } else {
            text.strip_prefix("unix:").filter(|p| !p.is_empty()).map(|p| Target::Unix(p.into()))
        };
        parsed.ok_or_else(|| TargetError(text.to_owned()))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut tcp = |scheme: &str, HostPort { host, port }: &HostPort| match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        };
        match self {
            Target::Json(at) => tcp("tcp", at),
            Target::Rpc(at) => tcp("rpc", at),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_and_print() {
        for text in ["tcp://north:6667", "rpc://127.0.0.1:6767", "tcp://[::1]:1", "unix:/run/x.sock"] {
            assert_eq!(text.parse::<Target>().map(|t| t.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "tcp://",
            "tcp://host",
            "tcp://host:0",
            "tcp://:1",
            "tcp://::1:1",
            "http://h:1",
            "unix:",
            "h:1",
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains("tcp://host:port"), "{error}");
        }
    }
}
