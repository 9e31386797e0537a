#![no_main]
//! A whole serving session behind a good hello, and every body decoder on the bare bytes.
use appliance::proto::rpc_frame::{Frame, Hello, Kind, body};
use appliance::session::{Server, ServerOutput, rpc_server::RpcServer};
use appliance::{units::Now, value::Value};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let me = Hello::of("fuzz", "here");
    let _ = (Hello::decode(data), body::decode_request(data), body::decode_value(data));
    let _ = (body::decode_event(data), body::decode_error(data), body::decode_text(data));
    let mut stream = Vec::new();
    Frame { kind: Kind::Hello, correlation: 0, body: &me.encode() }.push(&mut stream);
    stream.extend_from_slice(data);
    let mut session = RpcServer::new(&me, Now::default());
    for piece in stream.chunks(100) {
        session.receive(piece, Now::default());
        while let Some(output) = session.poll() {
            if let ServerOutput::Call { seq, .. } | ServerOutput::ListMethods { seq, .. } = output {
                session.reply(seq, Ok(Value::Null), Now::default());
            }
        }
    }
});
