//! Rude clients: the player keeps answering the polite one.

use super::rig::{Rig, connect, succeeded};
use appliance::cli::client::Client;
use appliance::proto::zmtp::greeting;
use appliance::value::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The polite client is answered within this, also on a busy machine: long before anybody gives a rude one up.
const AT_ONCE: Duration = Duration::from_secs(4);
/// A rude peer is closed by then.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// ZMTP's READY of a REQ socket: command frame, name, one property.
const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ";

fn dial(rig: &Rig) -> TcpStream {
    let stream = TcpStream::connect(rig.address().trim_start_matches("tcp://")).expect("it listens");
    stream.set_read_timeout(Some(CLOSED_WITHIN)).expect("set");
    stream.set_write_timeout(Some(CLOSED_WITHIN)).expect("set");
    stream
}

/// A connection that has shaken hands.
fn shaken(rig: &Rig) -> TcpStream {
    let mut stream = dial(rig);
    stream.write_all(&greeting::ours()).expect("sent");
    stream.write_all(READY).expect("sent");
    let mut answer = [0; greeting::LEN + 1];
    stream.read_exact(&mut answer).expect("the other side's greeting and the begin of its READY");
    stream
}

fn answered_at_once(client: &mut Client, while_: &str) {
    let asked = Instant::now();
    succeeded("player_state", client.call("bank", "player_state", vec![], vec![]));
    let took = asked.elapsed();
    assert!(took < AT_ONCE, "{while_}: an answer took {took:?}");
}

/// The end of the connection, read until it comes.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn rude_peers_are_closed_and_disturb_nobody() {
    let rig = Rig::start();
    let mut polite = rig.client();
    let half_open: Vec<_> = (0..50).map(|_| dial(&rig)).collect();
    answered_at_once(&mut polite, "with half-open peers");

    let mut oversize = vec![0x02];
    oversize.extend(u64::MAX.to_be_bytes());
    let mut long_command = vec![0x06];
    long_command.extend((1u64 << 40).to_be_bytes());
    let after_greeting: [(&str, &[u8]); 2] =
        [("an oversize frame", &oversize), ("an oversize command", &long_command)];
    for (what, bytes) in after_greeting {
        let mut stream = shaken(&rig);
        stream.write_all(bytes).expect("sent");
        answered_at_once(&mut polite, what);
        assert!(is_closed(&mut stream), "{what}");
    }
    let instead_of_greeting: [(&str, &[u8]); 4] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("zeros", &[0; 4096]),
        ("ZMTP 1.0", b"\x01\x00\x05hello"),
        ("a greeting of garbage", &[0xff; 64]),
    ];
    for (what, bytes) in instead_of_greeting {
        let mut stream = dial(&rig);
        stream.write_all(bytes).expect("sent");
        answered_at_once(&mut polite, what);
        assert!(is_closed(&mut stream), "{what}");
    }
    drop(half_open);
    answered_at_once(&mut polite, "at the end");
}

/// Byte by byte is slow, but right: it is answered, and delays nobody.
#[test]
fn a_slow_client_is_served_and_delays_nobody() {
    let rig = Rig::start();
    let mut polite = rig.client();
    let mut slow = dial(&rig);
    slow.set_nodelay(true).expect("set");
    let body = br#"{"name":"bank","proc":"list_modes","args":[],"kwargs":{}}"#;
    let mut request = vec![0x01, 0x00, 0x00, body.len() as u8];
    request.extend_from_slice(body);
    for byte in greeting::ours().iter().chain(READY).chain(&request) {
        slow.write_all(std::slice::from_ref(byte)).expect("sent");
        answered_at_once(&mut polite, "beside a slow client");
    }
    let mut seen = Vec::new();
    let mut buffer = [0; 256];
    while !String::from_utf8_lossy(&seen).contains("MODE1") {
        let n = slow.read(&mut buffer).expect("answered in time");
        assert!(n > 0, "closed: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..n]);
    }
}

/// A client that asks on and on and never reads fills its own buffers, not ours.
#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let rig = Rig::start();
    let mut polite = rig.client();
    let mut deaf = shaken(&rig);
    deaf.set_nonblocking(true).expect("set");
    let body = br#"{"name":"bank","proc":"list_methods","args":[],"kwargs":{}}"#;
    let mut request = vec![0x01, 0x00, 0x00, body.len() as u8];
    request.extend_from_slice(body);
    for round in 0..200 {
        for _ in 0..50 {
            // Refused, cut or closed: all the same to the others.
            let _ = deaf.write(&request);
        }
        if round % 10 == 0 {
            answered_at_once(&mut polite, "beside a deaf client");
        }
    }
}

#[test]
fn a_thousand_quick_connections_are_served() {
    const EACH: usize = 250;
    let rig = Rig::start();
    let mut polite = rig.client();
    let address = rig.address().to_owned();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    let methods = connect(&address).call("bank", "list_methods", vec![], vec![]);
                    assert_ne!(succeeded("list_methods", methods), Value::Null);
                }
            })
        })
        .collect();
    while !clients.iter().all(std::thread::JoinHandle::is_finished) {
        answered_at_once(&mut polite, "among quick connections");
    }
    clients.into_iter().for_each(|c| c.join().expect("each is answered"));
    assert!(rig.open_files() < 64, "{} descriptors stay open", rig.open_files());
}
