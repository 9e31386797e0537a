//! No datagram may panic the packet codec, and what it accepts survives a round trip.
#![no_main]

use appliance::proto::spead::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    if let Ok(packet) = Packet::parse(datagram) {
        let mut again = Vec::new();
        packet.emit(&mut again);
        assert_eq!(Packet::parse(&again).map(|p| p.heap), Ok(packet.heap));
    }
});
