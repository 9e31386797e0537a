//! Spectra to datagrams: numbering, counters and faults. Pure; the thread adds time and a socket.

use super::spectra::{Spectra, SplitMix};
use super::{Options, Start};
use crate::proto::spead::{Description, PAYLOAD_BYTES, Packet};

/// Number of the heap a free run begins with: large, as after days of power.
const FREE_RUN_HEAP: u32 = 5_000_000;

/// What happens to packets on the way; each a probability per packet, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Dropped.
    pub loss: f64,
    /// Sent twice.
    pub duplicate: f64,
    /// Exchanged with the packet that follows.
    pub reorder: f64,
}

/// Makes the datagrams of one spectrum after the other.
pub struct Generator {
    spectra: Spectra,
    random: SplitMix,
    faults: Faults,
    clocks: u64,
    divisor: u64,
    acc_len: u64,
    heap: u32,
    heap_bytes: u64,
    payload: Vec<u8>,
    /// Packets dropped on purpose.
    pub dropped: u64,
}

impl Generator {
    /// Heaps from 0, counters from 0; or, for a free run, from large numbers.
    pub fn new(options: &Options, start: &Start, free_run: bool) -> Generator {
        let nchan = start.nchan as usize;
        Generator {
            spectra: Spectra::new(options.seed, nchan, options.tone),
            random: SplitMix(options.seed ^ 0x0066_6175_6c74_7321),
            faults: options.faults,
            clocks: start.clocks(),
            divisor: u64::from(options.divisor),
            acc_len: u64::from(start.acc_len),
            heap: if free_run { FREE_RUN_HEAP } else { 0 },
            heap_bytes: 16 * u64::from(start.nchan),
            payload: Vec::with_capacity(16 * nchan),
            dropped: 0,
        }
    }

    /// Channel the tone is in.
    pub fn tone_channel(&self) -> usize {
        self.spectra.tone_channel()
    }

    /// The datagrams of the next spectrum, in the order in which they are sent.
    pub fn next_spectrum(&mut self, out: &mut Vec<Vec<u8>>) {
        out.clear();
        self.spectra.fill(&mut self.payload);
        let ticks = u64::from(self.heap) * self.divisor;
        let description = Description {
            time_counter: ticks.wrapping_mul(self.clocks),
            spectrum_counter: ticks,
            integration_size: self.acc_len * self.divisor,
            mode: 1,
            status: 0,
            payload_offset: 0,
        };
        for (k, payload) in self.payload.chunks(PAYLOAD_BYTES).enumerate() {
            let packet = Packet {
                heap: self.heap,
                heap_size: self.heap_bytes,
                offset: (k * PAYLOAD_BYTES) as u64,
                description: Some(description),
                payload,
            };
            let mut datagram = Vec::with_capacity(payload.len() + 88);
            packet.emit(&mut datagram);
            out.push(datagram);
        }
        self.heap = self.heap.wrapping_add(1);
        self.spoil(out);
    }

    fn spoil(&mut self, out: &mut Vec<Vec<u8>>) {
        let Faults { loss, duplicate, reorder } = self.faults;
        if loss <= 0.0 && duplicate <= 0.0 && reorder <= 0.0 {
            return;
        }
        let before = out.len();
        out.retain(|_| self.random.unit() >= loss);
        self.dropped += (before - out.len()) as u64;
        for k in 1..out.len() {
            if self.random.unit() < reorder {
                out.swap(k - 1, k);
            }
        }
        for k in 0..out.len() {
            if self.random.unit() < duplicate {
                out.push(out[k].clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Utc;
    use std::net::{Ipv4Addr, SocketAddrV4};

    pub(crate) fn start(nchan: u32) -> Start {
        Start {
            at: Utc(0),
            nchan,
            acc_len: 768,
            frequency_hz: 1.5e9,
            dest: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 50_000),
            source_ip: Ipv4Addr::LOCALHOST,
        }
    }

    #[test]
    fn counters_begin_at_zero_and_scale_with_the_divisor() {
        let options = Options { divisor: 10, ..Options::default() };
        let mut generator = Generator::new(&options, &start(16_384), false);
        let mut out = Vec::new();
        generator.next_spectrum(&mut out);
        assert_eq!(out.len(), 32);
        generator.next_spectrum(&mut out);
        let packet = Packet::parse(&out[31]).expect("our own packet");
        let d = packet.description.expect("full header");
        assert_eq!((packet.heap, packet.offset), (1, 31 * 8192));
        assert_eq!((d.time_counter, d.spectrum_counter, d.integration_size), (10 * 768 * 2048, 10, 7680));
    }

    #[test]
    fn the_period_of_mode_one() {
        assert_eq!(start(1024).period(1).as_nanos(), 524_288); // 98304 clocks of 187.5 MHz
        assert_eq!(start(1024).period(100).as_nanos(), 52_428_800);
    }

    #[test]
    fn foreign_destinations_and_impossible_numbers_are_refused() {
        let options = Options::default();
        let mut remote = start(1024);
        remote.dest = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 1);
        assert!(remote.check(&options).expect_err("remote").contains("--allow-remote"));
        assert!(remote.check(&Options { allow_remote: true, ..options.clone() }).is_ok());
        assert!(Start { nchan: 1000, ..start(1024) }.check(&options).is_err());
        assert!(Start { acc_len: 0, ..start(1024) }.check(&options).is_err());
    }

    #[test]
    fn faults_come_from_the_seed() {
        let faults = Faults { loss: 0.2, duplicate: 0.2, reorder: 0.2 };
        let options = Options { faults, ..Options::default() };
        let run = || {
            let mut generator = Generator::new(&options, &start(16_384), false);
            let mut out = Vec::new();
            generator.next_spectrum(&mut out);
            (out, generator.dropped)
        };
        assert_eq!(run(), run());
        assert!(run().1 > 0);
    }
}
