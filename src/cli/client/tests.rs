//! Over real sockets on loopback, against our own serving sessions.

use super::*;
use crate::session::rpc_server::RpcServer;
use crate::session::zmq_rep::ZmqRep;
use crate::session::{Server, ServerOutput};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;

/// Serves one connection until its end: echoes the method's name, refuses `fail`, never answers `silent`.
fn serve(mut stream: impl Read + Write, mut session: impl Server) {
    let mut buffer = [0; 4096];
    loop {
        while let Some(output) = session.poll() {
            match output {
                ServerOutput::Send(bytes) => stream.write_all(&bytes).expect("the client reads"),
                ServerOutput::Call { call, .. } if call.method == "silent" => {}
                ServerOutput::Call { seq, call, .. } if call.method == "fail" => {
                    session.reply(seq, Err(CallError::key_error("x")), clock::now());
                }
                ServerOutput::Call { seq, call, .. } if call.method == "telling" => {
                    session.publish("progress", &Value::Int(7), clock::now());
                    session.reply(seq, Ok(Value::Null), clock::now());
                }
                ServerOutput::Call { seq, call, .. } => {
                    session.reply(seq, Ok(call.method.into()), clock::now())
                }
                _ => {}
            }
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => session.receive(&buffer[..n], clock::now()),
            _ => return,
        }
    }
}

fn json_server(connections: usize) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().expect("a client");
            serve(stream, ZmqRep::new(clock::now()));
        }
    });
    format!("tcp://{address}").parse().expect("a target")
}

const SOON: Duration = Duration::from_secs(20);

fn exercise(target: &Target) {
    let mut client = Client::connect(target, SOON).expect("connects");
    assert_eq!(client.call("bank", "get_mode", vec![], vec![]), Ok("get_mode".into()));
    assert_eq!(client.call("bank", "fail", vec![], vec![]), Err(CallError::key_error("x")));
    assert_eq!(client.call("bank", "again", vec![Value::Int(1)], vec![]), Ok("again".into()));
}

#[test]
fn calls_over_json() {
    exercise(&json_server(1));
}

#[test]
fn calls_over_binary_tcp_and_unix() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = format!("rpc://{}", listener.local_addr().expect("bound")).parse().expect("a target");
    let me = Hello::of("player", "test");
    let hello = me.clone();
    thread::spawn(move || {
        serve(listener.accept().expect("a client").0, RpcServer::new(&hello, clock::now()))
    });
    exercise(&target);

    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rpc.sock");
    let listener = UnixListener::bind(&path).expect("binds");
    thread::spawn(move || serve(listener.accept().expect("a client").0, RpcServer::new(&me, clock::now())));
    exercise(&Target::Unix(path));
}

#[test]
fn what_was_subscribed_to_is_heard_during_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = format!("rpc://{}", listener.local_addr().expect("bound")).parse().expect("a target");
    let hello = Hello::of("archon", "test");
    thread::spawn(move || {
        serve(listener.accept().expect("a client").0, RpcServer::new(&hello, clock::now()))
    });
    let mut client = Client::connect(&target, SOON).expect("connects");
    client.call("rpc", "subscribe", vec!["progress".into()], vec![]).expect("subscribed");
    let mut heard = Vec::new();
    let outcome = client.call_hearing("archon", "telling", vec![], vec![], &mut |topic, body| {
        heard.push((topic.to_owned(), body.clone()));
    });
    assert_eq!((outcome, heard), (Ok(Value::Null), vec![("progress".to_owned(), Value::Int(7))]));
}

#[test]
fn a_timeout_is_an_error_and_the_next_call_connects_anew() {
    let target = json_server(2);
    let mut client = Client::connect(&target, SOON).expect("connects");
    client.set_timeout(Duration::from_millis(50));
    let error = client.call("bank", "silent", vec![], vec![]).expect_err("no answer");
    assert_eq!(error.family, Family::Timeout);
    client.set_timeout(SOON);
    assert_eq!(client.call("bank", "again", vec![], vec![]), Ok("again".into()));
}

#[test]
fn a_connection_that_ended_while_nobody_looked_is_replaced_before_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = format!("tcp://{}", listener.local_addr().expect("bound")).parse().expect("a target");
    let (tell, gone) = std::sync::mpsc::channel();
    thread::spawn(move || {
        drop(listener.accept().expect("a client"));
        tell.send(()).expect("the test waits");
        serve(listener.accept().expect("the client again").0, ZmqRep::new(clock::now()));
    });
    let mut client = Client::connect(&target, SOON).expect("connects");
    gone.recv().expect("closed");
    assert!(!client.is_connected());
    assert_eq!(client.call("bank", "get_mode", vec![], vec![]), Ok("get_mode".into()));
    assert!(client.is_connected());
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = format!("tcp://{}", listener.local_addr().expect("bound")).parse().expect("a target");
    drop(listener);
    let error = Client::connect(&target, SOON).err().expect("refused");
    assert_eq!(error.family, Family::Environment);
    assert!(error.message.contains("cannot connect"), "{}", error.message);
}
