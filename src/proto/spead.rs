//! The packets a VEGAS high-bandwidth spectrometer sends: one spectrum ("heap") in several datagrams.
//!
//! ```text
//!  0                8                              8 + 8n
//!  +----------------+------- ... ------------------+------------------- ... ---+
//!  | 53 04 03 05    | n items of 8 bytes:          | payload: big-endian i32,  |
//!  | 00 00  n (u16) | flag 1 | id 23 | value 40    | channel, sub-band, product|
//!  +----------------+------- ... ------------------+------------------- ... ---+
//! ```
//!
//! The first four items (heap counter, heap size, offset, length) are in every packet; items 4 to 9
//! describe the spectrum and may be left out of the later packets of a heap (then n = 4).
//! Source of the format: the capture program of the VEGAS spectrometer, whose behaviour the golden
//! vectors `vegas_packets.json` record. This codec is stricter: n < 4 is refused (there it runs wild)
//! and the payload must lie inside the heap.
//!
//! Not here: putting heaps together (`daq::heaps`), and the low-bandwidth packets.

use thiserror::Error;

/// Items in a packet at most.
pub const ITEMS_MAX: usize = 10;
/// Items that every packet has.
pub const ITEMS_MIN: usize = 4;
/// Payload bytes in one packet as the spectrometer sends them.
pub const PAYLOAD_BYTES: usize = 8192;
/// Longest datagram of this format: full header and payload.
pub const DATAGRAM_BYTES_MAX: usize = 8 + 8 * ITEMS_MAX + PAYLOAD_BYTES;
/// Bytes of one channel: four products (XX, YY, Re XY, Im XY) of four bytes.
pub const BYTES_PER_CHANNEL: usize = 16;

const MAGIC: [u8; 6] = [0x53, 0x04, 0x03, 0x05, 0, 0];
const VALUE_BITS: u32 = 40;
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;
const IMMEDIATE: u64 = 1 << 63;

/// Item identifiers, in the order of the items.
mod id {
    pub const HEAP_COUNTER: u32 = 0x01;
    pub const HEAP_SIZE: u32 = 0x02;
    pub const OFFSET: u32 = 0x03;
    pub const LENGTH: u32 = 0x04;
    pub const DESCRIPTION: [u32; 6] = [0x20, 0x21, 0x22, 0x23, 0x24, 0x25];
}

/// Bits of [`Description::status`].
pub mod status {
    /// The calibration noise source is on.
    pub const CAL: u8 = 1;
    /// Signal (0) or reference (1).
    pub const SIG_REF: u8 = 2;
    /// Advanced signal/reference: the state that comes next.
    pub const ADVANCED_SIG_REF: u8 = 4;
    /// The spectrum is to be ignored: the switching state was settling.
    pub const BLANKING: u8 = 8;
}

/// Why a datagram is not a packet of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Shorter than its header.
    #[error("datagram of {0} bytes ends inside the packet header")]
    Truncated(usize),
    /// The first six bytes are not `53 04 03 05 00 00`.
    #[error("datagram does not begin with the packet signature 53 04 03 05 00 00")]
    Signature,
    /// Item count outside 4..=10.
    #[error("{0} items in the packet header; 4 to 10 are possible")]
    ItemCount(u16),
    /// An item is not the one that belongs at this place.
    #[error("item {position} of the packet header has id {found:#x}, expected {expected:#x}")]
    ItemId {
        /// Place in the header, from 0.
        position: usize,
        /// The id that belongs there.
        expected: u32,
        /// The id found.
        found: u32,
    },
    /// The length item and the datagram disagree.
    #[error("packet says {stated} payload bytes, the datagram holds {held}")]
    Length {
        /// Value of the length item.
        stated: u64,
        /// Bytes after the header.
        held: usize,
    },
    /// The payload does not lie inside the heap, or is empty.
    #[error("payload of {length} bytes at {offset} does not fit a heap of {heap_size} bytes")]
    Extent {
        /// Value of the offset item.
        offset: u64,
        /// Payload bytes.
        length: usize,
        /// Value of the heap size item.
        heap_size: u64,
    },
}

/// What the packet says about its spectrum (items 4 to 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Description {
    /// FPGA clocks since the 1 PPS after arming, at the start of the spectrum; 40 bits, wraps.
    pub time_counter: u64,
    /// Spectra since arming, blanked ones included; 40 bits.
    pub spectrum_counter: u64,
    /// Raw spectra summed in the FPGA (one more than the value on the wire).
    pub integration_size: u64,
    /// Mode number of the gateware.
    pub mode: u64,
    /// Status bits, see [`status`].
    pub status: u8,
    /// Offset of the data in the heap; 0.
    pub payload_offset: u64,
}

/// A checked view of one datagram; borrows, copies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number of the heap; the wire has 40 bits, the format uses 32.
    pub heap: u32,
    /// Bytes of the whole heap.
    pub heap_size: u64,
    /// Where in the heap the payload belongs.
    pub offset: u64,
    /// Items 4 to 9, absent in short headers.
    pub description: Option<Description>,
    /// Big-endian 32-bit integers.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks one datagram.
    ///
    /// # Errors
    /// See [`PacketError`]; the caller counts and drops.
    pub fn parse(datagram: &'a [u8]) -> Result<Packet<'a>, PacketError> {
        let truncated = PacketError::Truncated(datagram.len());
        let (head, rest) = datagram.split_first_chunk::<8>().ok_or(truncated)?;
        if head[..6] != MAGIC {
            return Err(PacketError::Signature);
        }
        let count = u16::from_be_bytes([head[6], head[7]]);
        let items = usize::from(count);
        if !(ITEMS_MIN..=ITEMS_MAX).contains(&items) {
            return Err(PacketError::ItemCount(count));
        }
        let (items, payload) = rest.split_at_checked(8 * items).ok_or(truncated)?;
        let heap = item(items, 0, id::HEAP_COUNTER)? as u32;
        let heap_size = item(items, 1, id::HEAP_SIZE)?;
        let offset = item(items, 2, id::OFFSET)?;
        let stated = item(items, 3, id::LENGTH)?;
        if stated != payload.len() as u64 {
            return Err(PacketError::Length { stated, held: payload.len() });
        }
        if payload.is_empty() || offset + stated > heap_size {
            return Err(PacketError::Extent { offset, length: payload.len(), heap_size });
        }
        let description = Description::parse(items)?;
        Ok(Packet { heap, heap_size, offset, description, payload })
    }

    /// Appends the datagram to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let count = if self.description.is_some() { ITEMS_MAX } else { ITEMS_MIN };
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&(count as u16).to_be_bytes());
        put(out, IMMEDIATE, id::HEAP_COUNTER, u64::from(self.heap));
        put(out, IMMEDIATE, id::HEAP_SIZE, self.heap_size);
        put(out, IMMEDIATE, id::OFFSET, self.offset);
        put(out, IMMEDIATE, id::LENGTH, self.payload.len() as u64);
        if let Some(d) = &self.description {
            d.emit(out);
        }
        out.extend_from_slice(self.payload);
    }
}

impl Description {
    fn parse(items: &[u8]) -> Result<Option<Description>, PacketError> {
        if items.len() < 8 * ITEMS_MAX {
            return Ok(None);
        }
        let mut values = [0; id::DESCRIPTION.len()];
        for (k, (value, expected)) in values.iter_mut().zip(id::DESCRIPTION).enumerate() {
            *value = item(items, ITEMS_MIN + k, expected)?;
        }
        let [time_counter, spectrum_counter, size_less_one, mode, status, payload_offset] = values;
        Ok(Some(Description {
            time_counter,
            spectrum_counter,
            integration_size: size_less_one + 1,
            mode,
            status: status as u8,
            payload_offset,
        }))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let values = [
            self.time_counter,
            self.spectrum_counter,
            self.integration_size.saturating_sub(1),
            self.mode,
            u64::from(self.status),
            self.payload_offset,
        ];
        for (k, (value, name)) in values.into_iter().zip(id::DESCRIPTION).enumerate() {
            let flag = if k + 1 < id::DESCRIPTION.len() { IMMEDIATE } else { 0 };
            put(out, flag, name, value);
        }
    }
}

/// Value of the item at `position`, which must carry the id `expected`.
fn item(items: &[u8], position: usize, expected: u32) -> Result<u64, PacketError> {
    let bytes = items[8 * position..].first_chunk::<8>().expect("the caller checked the item count");
    let word = u64::from_be_bytes(*bytes);
    let found = ((word & !IMMEDIATE) >> VALUE_BITS) as u32;
    if found == expected {
        Ok(word & VALUE_MASK)
    } else {
        Err(PacketError::ItemId { position, expected, found })
    }
}

fn put(out: &mut Vec<u8>, flag: u64, name: u32, value: u64) {
    let word = flag | u64::from(name) << VALUE_BITS | value & VALUE_MASK;
    out.extend_from_slice(&word.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// First packet of heap 1 of a 1024-channel spectrum, by hand.
    const FIRST: [u8; 88] = [
        0x53, 0x04, 0x03, 0x05, 0, 0, 0, 0x0a, // signature, ten items
        0x80, 0, 0x01, 0, 0, 0, 0, 0x01, // heap 1
        0x80, 0, 0x02, 0, 0, 0, 0x40, 0x00, // 16384 bytes
        0x80, 0, 0x03, 0, 0, 0, 0, 0, // from the start
        0x80, 0, 0x04, 0, 0, 0, 0x20, 0x00, // 8192 of them
        0x80, 0, 0x20, 0x12, 0x34, 0x56, 0x78, 0x9a, // time counter, all 40 bits
        0x80, 0, 0x21, 0, 0, 0, 0, 0x4d, // spectrum 77
        0x80, 0, 0x22, 0, 0, 0, 0x03, 0xff, // 1024 raw spectra
        0x80, 0, 0x23, 0, 0, 0, 0, 0x01, // mode 1
        0x80, 0, 0x24, 0, 0, 0, 0, 0x05, // cal, advanced sig/ref
        0x00, 0, 0x25, 0, 0, 0, 0, 0, // not immediate
    ];

    fn first() -> Vec<u8> {
        let mut datagram = FIRST.to_vec();
        datagram.resize(88 + PAYLOAD_BYTES, 7);
        datagram
    }

    #[test]
    fn reads_the_example_of_the_format() {
        let datagram = first();
        let packet = Packet::parse(&datagram).expect("a good packet");
        let description = Description {
            time_counter: 0x12_3456_789a,
            spectrum_counter: 77,
            integration_size: 1024,
            mode: 1,
            status: status::CAL | status::ADVANCED_SIG_REF,
            payload_offset: 0,
        };
        assert_eq!((packet.heap, packet.heap_size, packet.offset), (1, 16384, 0));
        assert_eq!(packet.description, Some(description));
        let mut again = Vec::new();
        packet.emit(&mut again);
        assert_eq!(again, datagram);
    }

    #[test]
    fn refuses_what_would_run_wild() {
        let with = |at: usize, byte: u8| {
            let mut datagram = first();
            datagram[at] = byte;
            Packet::parse(&datagram).expect_err("a bad packet")
        };
        assert_eq!(with(0, 0x54), PacketError::Signature);
        assert_eq!(with(7, 3), PacketError::ItemCount(3));
        assert_eq!(with(7, 11), PacketError::ItemCount(11));
        assert_eq!(with(10, 9), PacketError::ItemId { position: 0, expected: 1, found: 9 });
        assert_eq!(with(38, 0x10), PacketError::Length { stated: 0x1000, held: 8192 });
        assert_eq!(with(30, 0x21), PacketError::Extent { offset: 0x2100, length: 8192, heap_size: 16384 });
        assert_eq!(Packet::parse(&FIRST[..80]), Err(PacketError::Truncated(80)));
        assert_eq!(Packet::parse(&[]), Err(PacketError::Truncated(0)));
    }

    proptest! {
        #[test]
        fn emit_then_parse_gives_the_same(heap: u32, offset in 0..1u64 << 20, short: bool,
                                          values in prop::array::uniform5(0..1u64 << 40), bits: u8,
                                          payload in prop::collection::vec(any::<u8>(), 1..256)) {
            let description = (!short).then_some(Description {
                time_counter: values[0],
                spectrum_counter: values[1],
                integration_size: values[2] + 1,
                mode: values[3],
                status: bits,
                payload_offset: values[4],
            });
            let packet = Packet { heap, heap_size: 1 << 21, offset, description, payload: &payload };
            let mut datagram = Vec::new();
            packet.emit(&mut datagram);
            prop_assert_eq!(Packet::parse(&datagram), Ok(packet));
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), like_ours: bool) {
            let mut bytes = bytes;
            if like_ours && bytes.len() >= 8 {
                bytes[..6].copy_from_slice(&MAGIC);
                bytes[6] = 0;
            }
            let _ = Packet::parse(&bytes);
        }
    }
}
