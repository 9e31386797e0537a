//! One operation on a board's link, against one recorded reply.

use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::{Fpga, FpgaError, FpgaOp, FpgaReply};
use appliance::proto::katcp::{Decoder, Kind, Message};
use appliance::units::Now;

/// The words of a request, and what the operation gave.
type Exchange = (Vec<Vec<u8>>, Result<FpgaReply, FpgaError>);

/// The words of the request, and what the reply makes of the operation.
pub fn one(op: FpgaOp, reply: &[Vec<u8>]) -> Result<Exchange, String> {
    let now = Now::default();
    let mut fpga = KatcpFpga::new(KatcpFpgaConfig::default());
    fpga.tick(now);
    fpga.connected(now);
    fpga.receive(b"#version test\n#build-state test\n", now);
    let id = fpga.submit(op, now);
    let mut decoder = Decoder::default();
    while let Some(output) = fpga.poll_link() {
        if let LinkOutput::Send(bytes) = output {
            decoder.feed(&bytes);
        }
    }
    let request = decoder.next_message().and_then(Result::ok).ok_or("nothing was sent")?;
    let words = std::iter::once(request.name.clone().into_bytes()).chain(request.args).collect();
    let reply = Message::new(Kind::Reply, request.name).args(reply.iter().cloned());
    fpga.receive(&reply.to_bytes(), now);
    match fpga.poll() {
        Some((done, result)) if done == id => Ok((words, result)),
        other => Err(format!("{other:?}")),
    }
}
