use super::*;
use proptest::prelude::*;

fn datagram(heap: u32, index: usize) -> Vec<u8> {
    let description = Description {
        time_counter: u64::from(heap) * 1000,
        spectrum_counter: u64::from(heap),
        integration_size: 768,
        ..Description::default()
    };
    let payload = vec![(heap as u8).wrapping_mul(2).wrapping_add(index as u8); PAYLOAD_BYTES];
    let mut out = Vec::new();
    Packet {
        heap,
        heap_size: 16384,
        offset: (index * PAYLOAD_BYTES) as u64,
        description: Some(description),
        payload: &payload,
    }
    .emit(&mut out);
    out
}

fn run(order: &[(u32, usize)]) -> (Vec<u32>, Counters, u64) {
    let mut heaps = Heaps::new(1024, 1).expect("two packets a heap");
    let mut out = Vec::new();
    for &(heap, index) in order {
        heaps.datagram(&datagram(heap, index), &mut out);
    }
    heaps.flush(&mut out);
    let mut numbers = Vec::new();
    let mut lost = 0;
    for o in out {
        if let Output::Spectrum(s) = o {
            assert_eq!(s.data[0], (s.heap as u8).wrapping_mul(2));
            assert_eq!(s.data[PAYLOAD_BYTES], s.data[0].wrapping_add(1));
            lost += s.lost_before;
            numbers.push(s.heap);
        }
    }
    (numbers, heaps.counters(), lost)
}

#[test]
fn sizes_that_are_no_whole_number_of_packets_are_refused() {
    for (channels, subbands) in [(0, 1), (1000, 1), (usize::MAX, 2), (1 << 20, 1)] {
        assert!(Heaps::new(channels, subbands).is_err(), "{channels} x {subbands}");
    }
    assert!(Heaps::new(16384, 1).is_ok());
}

#[test]
fn nothing_counts_before_the_counters_restart() {
    let (numbers, counters, _) = run(&[(900_000, 0), (900_000, 1), (0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(numbers, [0, 1]);
    assert_eq!(counters, Counters { received: 4, heaps: 2, ..Counters::default() });
}

#[test]
fn a_hole_is_lost_and_never_negative() {
    let (numbers, counters, lost) = run(&[(0, 0), (0, 1), (1, 0), (3, 0), (3, 1)]);
    assert_eq!(numbers, [0, 3]);
    assert_eq!((counters.received, counters.lost, counters.heaps_lost, lost), (5, 3, 2, 2));
}

#[test]
fn duplicates_and_late_packets_are_told_apart() {
    let (numbers, counters, _) = run(&[(0, 0), (1, 0), (1, 0), (0, 1), (0, 1), (1, 1)]);
    assert_eq!(numbers, [0, 1]);
    assert_eq!((counters.duplicate, counters.late, counters.lost), (1, 1, 0));
}

#[test]
fn one_damaged_counter_does_no_harm_but_a_true_gap_is_followed() {
    let (numbers, counters, _) = run(&[(0, 0), (0, 1), (0x4000_0000, 0), (1, 0), (1, 1)]);
    assert_eq!((numbers.as_slice(), counters.bad), (&[0, 1][..], 1));
    let far = 1 << 20;
    let (numbers, counters, lost) = run(&[(0, 0), (0, 1), (far, 1), (far + 1, 0), (far + 1, 1)]);
    assert_eq!(numbers, [0, far + 1]);
    assert_eq!((counters.bad, lost), (1, u64::from(far)));
}

#[test]
fn a_second_arming_hands_on_what_was_complete() {
    let mut order: Vec<_> = (0..600).flat_map(|h| [(h, 0), (h, 1)]).collect();
    order.extend([(601, 0), (601, 1), (0, 0), (0, 1)]);
    let (numbers, counters, _) = run(&order);
    assert_eq!(numbers.len(), 602);
    assert_eq!(numbers.last(), Some(&0));
    assert_eq!(counters.received, 2);
}

#[test]
fn the_commanded_start_is_seen_after_a_short_false_one_although_packet_0_is_lost() {
    let mut heaps = Heaps::new(1024, 1).expect("two packets a heap");
    let feed = |heaps: &mut Heaps, packets: &mut dyn Iterator<Item = (u32, usize)>| {
        let mut out = Vec::new();
        packets.for_each(|(heap, index)| heaps.datagram(&datagram(heap, index), &mut out));
        (out.first() == Some(&Output::Started), out.len())
    };
    let all = |range: std::ops::Range<u32>| range.flat_map(|heap| [(heap, 0), (heap, 1)]);
    assert_eq!(feed(&mut heaps, &mut all(0..92)), (true, 93));
    // 184 packets are less than JUMP: without being told, these are late.
    assert_eq!(feed(&mut heaps, &mut all(0..3).skip(1)), (false, 0));
    heaps.expect_restart();
    // The false start may go on until the second; that changes nothing ...
    assert_eq!(feed(&mut heaps, &mut all(92..95)), (false, 3));
    // ... and then the counters begin anew.
    assert_eq!(feed(&mut heaps, &mut all(0..600).skip(1)), (true, 1 + 599));
    assert_eq!((heaps.counters().late, heaps.counters().lost), (0, 1));
}

#[test]
fn garbage_is_counted() {
    let mut heaps = Heaps::new(1024, 1).expect("two packets a heap");
    let mut out = Vec::new();
    heaps.datagram(b"", &mut out);
    heaps.datagram(&[0x53; 9000], &mut out);
    let mut foreign = datagram(0, 0);
    foreign[21] = 0x80; // heap of 32 kB
    heaps.datagram(&foreign, &mut out);
    assert_eq!((out.len(), heaps.counters().bad), (0, 3));
}

proptest! {
    /// Any order within the window, with any duplicates, gives the same spectra and the same losses.
    #[test]
    fn order_within_the_window_does_not_matter(lost in prop::collection::btree_set(2..60usize, 0..20),
                                               keys in prop::collection::vec(0..40usize, 64),
                                               twice in prop::collection::vec(any::<bool>(), 64)) {
        let sent: Vec<usize> = (0..64).filter(|p| !lost.contains(p)).collect();
        let place = |p: usize| (p as u32 / 2, p % 2);
        let straight = run(&sent.iter().map(|&p| place(p)).collect::<Vec<_>>());
        let mut shuffled: Vec<(usize, usize)> = Vec::new();
        for (k, &p) in sent.iter().enumerate() {
            shuffled.push((if p < 2 { 0 } else { k + keys[k] }, p));
            if twice[k] && p >= 2 {
                shuffled.push((k + keys[k], p));
            }
        }
        shuffled.sort();
        let mixed = run(&shuffled.iter().map(|&(_, p)| place(p)).collect::<Vec<_>>());
        prop_assert_eq!(&straight.0, &mixed.0);
        prop_assert_eq!(straight.1.received, mixed.1.received);
        prop_assert_eq!(straight.1.lost, mixed.1.lost);
        prop_assert_eq!(straight.2, mixed.2);
    }
}
