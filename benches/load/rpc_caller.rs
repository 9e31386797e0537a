//! One client of the binary RPC that stays connected: the client session of the library over a blocking socket.

use super::ANSWER_MAX;
use appliance::api::Call;
use appliance::proto::rpc_frame::Hello;
use appliance::session::client::{Client, ClientOutput};
use appliance::session::rpc_client::RpcClient;
use appliance::sys::clock;
use appliance::value::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A connection, and bytes it has carried so far.
pub struct RpcCaller {
    stream: TcpStream,
    client: RpcClient,
    scratch: Vec<u8>,
    pub sent: usize,
    pub received: usize,
}

impl RpcCaller {
    pub fn connect(at: SocketAddr) -> io::Result<RpcCaller> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let client = RpcClient::new(&Hello::of("client", "bench"), clock::now());
        Ok(RpcCaller { stream, client, scratch: vec![0; 64 << 10], sent: 0, received: 0 })
    }

    /// One call and its answer; a refusal is an error with its text.
    pub fn call(&mut self, interface: &str, method: &str, named: &[(&str, Value)]) -> io::Result<Value> {
        let kwargs = named.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let call = Call { interface: interface.into(), method: method.into(), args: vec![], kwargs };
        self.client.call(call, clock::now());
        loop {
            while let Some(output) = self.client.poll() {
                match output {
                    ClientOutput::Send(bytes) => {
                        self.sent += bytes.len();
                        self.stream.write_all(&bytes)?;
                    }
                    ClientOutput::Reply { outcome, .. } => {
                        return outcome
                            .map_err(|e| io::Error::other(format!("{interface}.{method}: {}", e.message)));
                    }
                    ClientOutput::Close(reason) => return Err(io::Error::other(reason)),
                    ClientOutput::Open | ClientOutput::Event { .. } => {}
                }
            }
            let n = self.stream.read(&mut self.scratch)?;
            if n == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.received += n;
            self.client.receive(&self.scratch[..n], clock::now());
        }
    }
}
