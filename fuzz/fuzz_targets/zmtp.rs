#![no_main]
//! A whole serving session: raw bytes, and bytes behind a good handshake of ZMTP 3 and of ZMTP 2; every call is answered.
use appliance::proto::zmtp::{Side, greeting};
use appliance::session::{Server, ServerOutput, zmq_rep::ZmqRep};
use appliance::{units::Now, value::Value};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let old = [&greeting::ours()[..10], &[1, 3, 0, 0]].concat();
    for prefix in [vec![], [&greeting::ours()[..], &Side::Req.ready()].concat(), old] {
        let mut session = ZmqRep::new(Now::default());
        for piece in [&prefix[..], data].into_iter().flat_map(|bytes| bytes.chunks(100)) {
            session.receive(piece, Now::default());
            while let Some(output) = session.poll() {
                if let ServerOutput::Call { seq, .. } | ServerOutput::ListMethods { seq, .. } = output {
                    session.reply(seq, Ok(Value::Null), Now::default());
                }
            }
        }
    }
});
