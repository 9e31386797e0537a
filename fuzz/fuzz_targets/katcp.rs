#![no_main]
//! Any bytes at the line decoder, at a client from a server, and at the simulated server from a client.
use appliance::proto::katcp::{Decoder, Kind, Message};
use appliance::session::katcp_client::{Class, Config, KatcpClient};
use appliance::sim::roach2::{ClientId, Roach, RoachConfig};
use appliance::units::Now;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let now = Now::default();
    let (mut decoder, mut client) = (Decoder::default(), KatcpClient::new(Config::default()));
    let mut server = Roach::new(RoachConfig::default());
    server.connect(ClientId(1), "fuzz", now);
    client.tick(now);
    client.connected(now);
    client.receive(b"#version-connect katcp-protocol 5.0-MI\n", now);
    client.request(Message::new(Kind::Request, "read"), Class::Normal, now);
    for piece in data.chunks(100) {
        decoder.feed(piece);
        while let Some(item) = decoder.next_message() {
            if let Ok(message) = item {
                let wire = message.to_bytes();
                let again = Message::parse(&wire[..wire.len() - 1], appliance::proto::katcp::Dialect::STRICT);
                assert_eq!(again, Ok(Some(message)));
            }
        }
        client.receive(piece, now);
        while client.poll().is_some() {}
        server.receive(ClientId(1), piece, now);
        while server.poll().is_some() {}
    }
});
