//! No datagram may panic the packet codec, and what it accepts survives a round trip. The same bytes as an order
//! of arrival: whatever comes when, the assembler of spectra accounts for every packet.
#![no_main]

use appliance::daq::heaps::{Heaps, Output};
use appliance::proto::spead::{Description, PAYLOAD_BYTES, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(packet) = Packet::parse(data) {
        let mut again = Vec::new();
        packet.emit(&mut again);
        assert_eq!(Packet::parse(&again).map(|p| p.heap), Ok(packet.heap));
    }
    assemble(data);
});

/// Two packets a heap; five bytes an arrival: number of the heap, then which of the two, and bit 7 for "a start is expected".
fn assemble(arrivals: &[u8]) {
    let mut heaps = Heaps::new(1024, 1).expect("two packets a heap");
    let mut out = Vec::new();
    let payload = [0; PAYLOAD_BYTES];
    for arrival in arrivals.chunks_exact(5) {
        let heap = u32::from_le_bytes(arrival[..4].try_into().expect("four of five"));
        if arrival[4] & 0x80 != 0 {
            heaps.expect_restart();
        }
        let offset = u64::from(arrival[4] & 1) * PAYLOAD_BYTES as u64;
        let description = Some(Description::default());
        let mut datagram = Vec::new();
        Packet { heap, heap_size: 2 * PAYLOAD_BYTES as u64, offset, description, payload: &payload }
            .emit(&mut datagram);
        heaps.datagram(&datagram, &mut out);
    }
    heaps.flush(&mut out);
    let c = heaps.counters();
    assert_eq!(c.received + c.lost, 2 * (c.heaps + c.heaps_lost), "{c:?}");
    // Spectra come in order, and each says exactly how many heaps are missing before it (numbers wrap).
    let mut next = 0u32;
    for output in out {
        next = match output {
            Output::Started => 0,
            Output::Spectrum(s) => {
                assert_eq!(s.heap, next.wrapping_add(s.lost_before as u32), "after {next}");
                s.heap.wrapping_add(1)
            }
        };
    }
}
