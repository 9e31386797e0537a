#![no_main]
//! The proxy's link to a player that says anything: over ZMTP 3 and 2.0 and over the binary RPC, behind a good handshake
//! and bare. Both wires hear it, calls are asked and given up, and time passes.
use appliance::api::Call;
use appliance::dealer::link::{LinkOutput, PlayerLink, Protocol, WireId};
use appliance::dealer::messages::{AskId, Lane};
use appliance::proto::rpc_frame::{Frame, Hello, Kind};
use appliance::proto::zmtp::{Side, greeting};
use appliance::units::{Mono, Now};

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), ..Now::default() }
}

/// What a good player says first.
fn begun(protocol: Protocol, old: bool) -> Vec<u8> {
    match (protocol, old) {
        (Protocol::Json, false) => [&greeting::ours()[..], &Side::Rep.ready()].concat(),
        (Protocol::Json, true) => [&greeting::ours()[..10], &[1, 4, 0, 0]].concat(),
        (Protocol::Binary, _) => {
            let mut hello = Vec::new();
            let body = Hello::of("player", "fuzz").encode();
            Frame { kind: Kind::Hello, correlation: 0, body: &body }.push(&mut hello);
            hello
        }
    }
}

/// The link's wishes are granted, so far as they concern connections. At most so many a turn: it must come to rest.
fn grant(link: &mut PlayerLink, now: Now) {
    for _ in 0..1000 {
        match link.poll() {
            None => return,
            Some(LinkOutput::Connect { wire, .. }) => link.connected(wire, now),
            Some(LinkOutput::Disconnect { wire, why }) => link.closed(wire, &why, now),
            Some(_) => {}
        }
    }
    panic!("the link does not come to rest");
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for (protocol, old) in [(Protocol::Json, false), (Protocol::Json, true), (Protocol::Binary, false)] {
        for first in [begun(protocol, old), Vec::new()] {
            let mut link = PlayerLink::new(protocol, "proxy", at(0));
            link.tick(at(0));
            grant(&mut link, at(0));
            let mut ms = 0;
            for (n, piece) in first.chunks(100).chain(data.chunks(100)).enumerate() {
                let id = AskId(n as u64);
                let call = |method: &str| Call {
                    interface: "bank".into(),
                    method: method.into(),
                    args: vec![],
                    kwargs: vec![],
                };
                for wire in [WireId::Look, WireId::Work] {
                    link.received(wire, piece, at(ms));
                    grant(&mut link, at(ms));
                }
                let (method, lane) =
                    if n % 2 == 0 { ("prepare", Lane::Write) } else { ("get_mode", Lane::Read) };
                link.ask(id, call(method), lane, std::time::Duration::from_secs(1), at(ms));
                grant(&mut link, at(ms));
                if n % 3 == 0 {
                    link.abandon(id, at(ms));
                    grant(&mut link, at(ms));
                }
                ms += 400;
                link.tick(at(ms));
                grant(&mut link, at(ms));
            }
        }
    }
});
