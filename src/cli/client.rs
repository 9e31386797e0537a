//! [`Client`]: a blocking client for commands that make a few calls. It connects when it has to, waits no
//! longer than its timeout, and turns whatever goes wrong into an error of the call.

use super::identity::Identity;
use super::target::Target;
use crate::api::{Call, CallError, ErrorClass, Family, Outcome};
use crate::proto::rpc_frame::Hello;
use crate::session::client::{Client as Session, ClientOutput};
use crate::session::rpc_client::RpcClient;
use crate::session::zmq_req::ZmqReq;
use crate::sys::clock;
use crate::sys::stream::Stream;
use crate::units::Mono;
use crate::value::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a call may take when nobody says otherwise: `set_mode` can take minutes.
pub const TIMEOUT: Duration = Duration::from_secs(180);
/// How long connecting may take, if the call has that long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that can be told to give up looks so often whether it was.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Reads after a pause; what is left then is read during the call.
const CATCH_UP_READS: usize = 64;

/// Told topic and body of an event.
pub type Hear<'a> = &'a mut dyn FnMut(&str, &Value);

/// A blocking client. After a failure of the connection, or a timeout, the next call connects anew.
pub struct Client {
    target: Target,
    timeout: Duration,
    connection: Option<Connection>,
    give_up: Option<Arc<AtomicBool>>,
    who: String,
    lease: String,
}

impl Client {
    /// Connects in the name of the user, under no lease. `timeout` bounds this and each later call.
    pub fn connect(target: &Target, timeout: Duration) -> Result<Client, CallError> {
        Client::connect_as(&Identity::default(), target, timeout)
    }

    /// The same in another name, or under a lease.
    pub fn connect_as(identity: &Identity, target: &Target, timeout: Duration) -> Result<Client, CallError> {
        let (who, lease) = (identity.name(), identity.token().unwrap_or_default().to_owned());
        let target = target.clone();
        let mut client = Client { target, timeout, connection: None, give_up: None, who, lease };
        client.connection = Some(client.open(clock::mono() + timeout)?);
        Ok(client)
    }

    /// The lease of the calls to come; none if it is empty. Connections that are made anew have it, too.
    pub fn set_lease(&mut self, token: &str) {
        token.clone_into(&mut self.lease);
        if let Some(connection) = &mut self.connection {
            connection.session.set_lease(token);
        }
    }

    /// Bounds the calls to come.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// A call ends with the family `Timeout` when this is set: the user does not want to wait any longer.
    pub fn give_up_when(&mut self, set: Arc<AtomicBool>) {
        self.give_up = Some(set);
    }

    /// Looks at the connection after a pause, in which heartbeats were not answered. `false`: it is not there any
    /// more, and the next call connects anew; nothing of that call has been sent before.
    pub fn is_connected(&mut self) -> bool {
        if !self.connection.as_mut().is_some_and(Connection::catch_up) {
            self.connection = None;
        }
        self.connection.is_some()
    }

    /// One call. Failures of the connection have the families `Environment`, `Peer` and `Timeout`.
    pub fn call(
        &mut self,
        interface: &str,
        method: &str,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
    ) -> Outcome {
        self.call_hearing(interface, method, args, kwargs, &mut |_, _| {})
    }

    /// The same, and `hear` is told topic and body of what comes meanwhile of what was subscribed to
    /// (`rpc.subscribe`, binary targets).
    pub fn call_hearing(
        &mut self,
        interface: &str,
        method: &str,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
        hear: Hear<'_>,
    ) -> Outcome {
        let until = clock::mono() + self.timeout;
        self.is_connected();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open(until)?,
        };
        self.bind(&mut connection, interface, method, until)?;
        let call = Call { interface: interface.to_owned(), method: method.to_owned(), args, kwargs };
        match connection.call(call, until, self.give_up.as_deref(), hear) {
            Ok(outcome) => {
                self.connection = Some(connection);
                outcome
            }
            Err(lost) => Err(self.lost(lost, interface, method)),
        }
    }

    /// The binary RPC has no place for a lease beside a call: the connection is bound to it before its first call. A lease
    /// that cannot be had keeps nobody from looking and from `stop`.
    fn bind(
        &mut self,
        connection: &mut Connection,
        interface: &str,
        method: &str,
        until: Mono,
    ) -> Result<(), CallError> {
        if connection.binds_by_call && connection.bound != self.lease && !self.lease.is_empty() {
            let mut ask = |interface: &str, method: &str, arg: &str| {
                let (args, kwargs) = (vec![arg.into()], vec![]);
                let call = Call { interface: interface.into(), method: method.into(), args, kwargs };
                let outcome = connection.call(call, until, self.give_up.as_deref(), &mut |_, _| {});
                outcome.map_err(|lost| self.lost(lost, interface, method))
            };
            if let Err(refused) = ask("rpc", "renew", &self.lease)? {
                let about = ask("rpc", "describe", &format!("{interface}.{method}"))?.unwrap_or_default();
                let is = |key: &str, value: Value| about.get(key) == Some(&value);
                if !is("class", "read".into()) && !is("urgent", true.into()) && interface != "rpc" {
                    let text = format!("lease {}: {}", self.lease, refused.message);
                    return Err(CallError::new(refused.class, refused.family, text));
                }
            } else {
                connection.bound.clone_from(&self.lease);
            }
        }
        Ok(())
    }

    fn lost(&self, lost: Lost, interface: &str, method: &str) -> CallError {
        match lost {
            Lost::Timeout => self.error(
                Family::Timeout,
                format!("no answer to {interface}.{method} within {:?}", self.timeout),
            ),
            Lost::GivenUp => {
                let text = format!(
                    "no longer waiting for the answer to {interface}.{method}, which may still be at work"
                );
                self.error(Family::Timeout, text)
            }
            Lost::Closed(reason) => self.error(Family::Peer, format!("connection closed: {reason}")),
            Lost::Io(error) => self.error(Family::Environment, error.to_string()),
        }
    }

    fn open(&self, until: Mono) -> Result<Connection, CallError> {
        Connection::open(&self.target, &self.who, &self.lease, until).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::ConnectionRefused => {
                    "; nothing listens there: is the node running, and is this its port?"
                }
                ErrorKind::NotFound => "; is the node running, and does it listen there?",
                _ => "",
            };
            self.error(Family::Environment, format!("cannot connect: {error}{hint}"))
        })
    }

    fn error(&self, family: Family, text: String) -> CallError {
        CallError::new(ErrorClass::Exception, family, format!("{}: {text}", self.target))
    }
}

/// Why there is no answer.
enum Lost {
    Timeout,
    GivenUp,
    Closed(String),
    Io(io::Error),
}

struct Connection {
    stream: Stream,
    session: Box<dyn Session + Send>,
    /// A lease is not said with each call here.
    binds_by_call: bool,
    /// The lease it was bound to; empty: none.
    bound: String,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(target: &Target, who: &str, lease: &str, until: Mono) -> io::Result<Connection> {
        let now = clock::now();
        let json = || Box::new(ZmqReq::named(who, now)) as Box<dyn Session + Send>;
        let binary = || Box::new(RpcClient::new(&Hello::of("client", who), now)) as Box<dyn Session + Send>;
        let left = || time_left(until).map(|left| left.min(CONNECT_TIMEOUT));
        let (stream, mut session, binds_by_call) = match target {
            Target::Json(at) => (Stream::connect_tcp(&at.resolve()?, left)?, json(), false),
            Target::Rpc(at) => (Stream::connect_tcp(&at.resolve()?, left)?, binary(), true),
            Target::Unix(path) => (Stream::connect_unix(path)?, binary(), true),
        };
        session.set_lease(lease);
        Ok(Connection { stream, session, binds_by_call, bound: String::new(), buffer: vec![0; READ_BYTES] })
    }

    /// Takes in what came while nobody looked. `false`: the connection has ended.
    fn catch_up(&mut self) -> bool {
        for _ in 0..CATCH_UP_READS {
            match self.stream.read_now(&mut self.buffer) {
                Ok(0) => return false,
                Ok(n) => self.session.receive(&self.buffer[..n], clock::now()),
                Err(error) => return matches!(lost(error), Lost::Timeout),
            }
        }
        true
    }

    /// The inner outcome is the server's.
    fn call(
        &mut self,
        call: Call,
        until: Mono,
        give_up: Option<&AtomicBool>,
        hear: Hear<'_>,
    ) -> Result<Outcome, Lost> {
        let wanted = self.session.call(call, clock::now());
        loop {
            if let Some(outcome) = self.drain(wanted, until, hear)? {
                return Ok(outcome);
            }
            if give_up.is_some_and(|set| set.load(Ordering::Relaxed)) {
                return Err(Lost::GivenUp);
            }
            self.wait(until, give_up.map(|_| LOOK_EVERY))?;
            self.session.tick(clock::now());
        }
    }

    /// Writes what there is to write; gives the answer if it is there.
    fn drain(&mut self, wanted: u64, until: Mono, hear: Hear<'_>) -> Result<Option<Outcome>, Lost> {
        let mut answer = None;
        while let Some(output) = self.session.poll() {
            match output {
                ClientOutput::Send(bytes) => {
                    let left = time_left(until).ok_or(Lost::Timeout)?;
                    self.stream.set_timeouts(left).map_err(Lost::Io)?;
                    self.stream.write_all(&bytes).map_err(lost)?;
                }
                ClientOutput::Reply { seq, outcome } if seq == wanted => answer = Some(outcome),
                ClientOutput::Event { topic, body, .. } => hear(&topic, &body),
                ClientOutput::Close(reason) => return Err(Lost::Closed(reason)),
                _ => {}
            }
        }
        Ok(answer)
    }

    /// Waits for bytes until the call's end, the session's own deadline or the next look, whichever is first.
    fn wait(&mut self, until: Mono, at_most: Option<Duration>) -> Result<(), Lost> {
        let left = time_left(until).ok_or(Lost::Timeout)?;
        let left = at_most.map_or(left, |most| left.min(most));
        let until_tick = self.session.deadline().map(|at| time_left(at).unwrap_or(Duration::from_millis(1)));
        self.stream.set_timeouts(until_tick.map_or(left, |t| t.min(left))).map_err(Lost::Io)?;
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(Lost::Closed("the server ended it".into())),
            Ok(n) => {
                self.session.receive(&self.buffer[..n], clock::now());
                Ok(())
            }
            Err(error) => match lost(error) {
                Lost::Timeout => Ok(()), // the caller looks at the clock
                other => Err(other),
            },
        }
    }
}

fn lost(error: io::Error) -> Lost {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Lost::Timeout,
        _ => Lost::Io(error),
    }
}

/// At least a millisecond: zero means "for ever" to a socket.
fn time_left(until: Mono) -> Option<Duration> {
    let left = until.since(clock::mono());
    (!left.is_zero()).then(|| left.max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests;
