//! FETCH: pieces, silence, pauses, and what breaks it off.

use super::*;

#[test]
fn a_frame_comes_in_pieces_and_then_its_reply() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0xA000_0000, blocks: 5 }, 0);
    assert_eq!(rig.sent, [">00FETCHA000000000000005"]);
    let stream: Vec<u8> = (0..5u8).flat_map(|b| [&b"<00:"[..], &[b; 1024]].concat()).collect();
    for piece in stream.chunks(700) {
        rig.receive(piece, 1);
    }
    let pieces: Vec<Vec<u8>> = rig
        .events
        .iter()
        .filter_map(|e| match e {
            LinkEvent::Data { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2048, 2048, 1024]);
    assert_eq!(pieces.concat(), (0..5u8).flat_map(|b| [b; 1024]).collect::<Vec<_>>());
    assert_eq!(rig.events.pop(), Some(LinkEvent::Reply { token: Token(1), result: Ok(String::new()) }));
}

#[test]
fn a_stream_that_stops_drops_the_connection_but_a_slow_one_does_not() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0xA000_0000, blocks: 5 }, 0);
    rig.submit(2, Command::Frame, 0);
    let block = [&b"<00:"[..], &[7; 1024]].concat();
    rig.receive(&block, 1900);
    rig.tick(2000);
    assert!(
        rig.events.iter().all(|e| !matches!(e, LinkEvent::Reply { .. })),
        "FRAME waits behind the stream"
    );
    rig.receive(&block[..10], 3800);
    rig.tick(5800);
    assert_eq!(rig.reply().0, 2, "silence for 2 s is too long for FRAME");
    rig.tick(8800);
    assert!(matches!(rig.reply(), (1, Err(LinkError::Timeout { .. }))));
    assert!(matches!(rig.events.remove(0), LinkEvent::Down { .. }));
    assert!(matches!(rig.orders.remove(0), Output::Disconnect(_)));
    let again = rig.link.deadline().expect("it comes back");
    assert!(again > at(8800).mono && again < at(9200).mono);
}

#[test]
fn a_paused_stream_is_not_late() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0xA000_0000, blocks: 5 }, 0);
    rig.link.set_paused(true, at(100));
    rig.tick(60_000);
    rig.link.set_paused(false, at(60_000));
    rig.settle();
    assert!(rig.events.is_empty());
    assert_eq!(rig.orders, [Output::PauseReading(true), Output::PauseReading(false)]);
    assert_eq!(rig.link.deadline(), Some(at(65_000).mono));
}

#[test]
fn lost_framing_drops_the_connection_and_answers_everybody() {
    let mut rig = Rig::up();
    rig.submit(1, Command::Fetch { address: 0, blocks: 2 }, 0);
    rig.submit(2, Command::Status, 0);
    rig.receive(&[&b"<00:"[..], &[0; 1024], b"xxxx"].concat(), 1);
    assert!(matches!(rig.reply(), (1, Err(LinkError::Down { sent: true, .. }))));
    assert!(matches!(rig.reply(), (2, Err(LinkError::Down { sent: true, .. }))));
    rig.submit(3, Command::Status, 2);
    assert!(matches!(
        rig.events.pop(),
        Some(LinkEvent::Reply { token: Token(3), result: Err(LinkError::Down { sent: false, .. }) })
    ));
}

#[test]
fn a_frame_refused_or_answered_in_words_is_an_error_and_the_link_stays() {
    let mut rig = Rig::up();
    rig.submit(1, fetch(2), 0);
    rig.receive(b"?00\n", 1);
    assert!(matches!(rig.reply(), (1, Err(LinkError::Refused { .. }))));
    rig.submit(2, fetch(2), 2);
    rig.receive(b"<01sorry\n", 3);
    let (token, result) = rig.reply();
    let error = result.expect_err("no frame").to_string();
    assert!(token == 2 && error.contains("'sorry' instead of blocks"), "{error}");
    rig.submit(3, fetch(1), 4);
    rig.receive(&block(2, 9), 5);
    assert!(matches!(&rig.events[..], [LinkEvent::Data { .. }, LinkEvent::Reply { result: Ok(_), .. }]));
    assert!(rig.orders.is_empty());
}

#[test]
fn a_second_frame_waits_for_its_owner_to_ask_again() {
    let mut rig = Rig::up();
    rig.submit(1, fetch(1), 0);
    rig.submit(2, fetch(1), 0);
    assert!(matches!(rig.reply(), (2, Err(LinkError::Full { .. }))));
    rig.receive(&block(0, 1), 1);
    rig.events.clear();
    rig.submit(3, fetch(1), 2);
    assert_eq!(rig.sent.len(), 2);
}

#[test]
fn a_block_too_many_too_few_or_of_another_ends_the_connection() {
    // (blocks asked for, what comes, what the note of the loss says)
    let cases: [(u32, Vec<u8>, &str); 6] = [
        (1, [block(0, 1), block(0, 2)].concat(), "no FETCH waits"),
        (2, [block(0, 1), block(1, 2)].concat(), "no FETCH waits"),
        (2, [block(0, 1), block(0x77, 2)].concat(), "no FETCH waits"),
        (2, [block(0, 1), b"<00\n".to_vec()].concat(), "in the middle"),
        (2, [block(0, 1), b"?00\n".to_vec()].concat(), "in the middle"),
        (2, [block(0, 1), b"\xff\xff\xff\xff".to_vec()].concat(), "0xff"),
    ];
    for (blocks, stream, why) in cases {
        let mut rig = Rig::up();
        rig.submit(1, fetch(blocks), 0);
        // LOCK0 waits: no pixels may be taken for its reply.
        rig.submit(2, Command::Lock(0), 0);
        rig.receive(&stream, 1);
        rig.receive(b"<01\n", 1);
        assert!(rig.dropped().contains(why), "{why}");
        let replies: Vec<_> =
            rig.events.iter().filter(|e| matches!(e, LinkEvent::Reply { .. })).cloned().collect();
        let lost = |e: &LinkEvent| {
            matches!(e, LinkEvent::Reply { token: Token(2), result: Err(LinkError::Down { sent: true, .. }) })
        };
        assert!(replies.len() == 2 && lost(&replies[1]), "{why}: {replies:?}");
    }
}

#[test]
fn other_replies_come_between_blocks_and_feed_no_frame() {
    let mut rig = Rig::up();
    rig.submit(1, fetch(2), 0);
    rig.submit(2, Command::Frame, 0);
    rig.submit(3, Command::Status, 0);
    rig.receive(&[block(0, 1), b"<01WBUF=1\n".to_vec()].concat(), 1000);
    assert_eq!(rig.reply(), (2, Ok("WBUF=1".into())));
    // Replies are no blocks: the silence of the FETCH goes on.
    rig.receive(b"<02VALID=1\n", 5900);
    rig.tick(6000);
    assert_eq!(rig.reply(), (3, Ok("VALID=1".into())));
    assert!(matches!(rig.reply(), (1, Err(LinkError::Timeout { waited_ms: 5000, .. }))));
    assert!(rig.dropped().contains("no block for 5000 ms"));
}

#[test]
fn pieces_are_filled_again() {
    let mut rig = Rig::up();
    rig.submit(1, fetch(4), 0);
    rig.receive(&[block(0, 1), block(0, 2)].concat(), 1);
    let Some(LinkEvent::Data { bytes, .. }) = rig.events.pop() else { panic!("a whole piece") };
    let memory = bytes.as_ptr();
    rig.link.recycle(bytes);
    rig.receive(&[block(0, 3), block(0, 4)].concat(), 2);
    let Some(LinkEvent::Data { bytes, .. }) = rig.events.first() else { panic!("another") };
    assert_eq!((bytes.as_ptr(), bytes[0], bytes[2047], bytes.len()), (memory, 3, 4, 2048));
    for _ in 0..SPARE_MAX + 10 {
        rig.link.recycle(vec![0; 10]);
    }
    assert_eq!(rig.link.spare.len(), SPARE_MAX, "the pool is bounded");
}

#[test]
fn a_pause_ends_with_the_connection() {
    let mut rig = Rig::up();
    rig.submit(1, fetch(4), 0);
    rig.pause(true, 1);
    assert_eq!(rig.link.deadline(), None);
    rig.link.closed("gone", at(2));
    rig.settle();
    rig.tick(1000);
    rig.link.connected(at(1000));
    rig.settle();
    rig.submit(2, Command::Status, 1000);
    assert_eq!(rig.link.deadline(), Some(at(6000).mono), "waits count on the new connection");
    rig.pause(false, 1001);
    assert_eq!(rig.orders.iter().filter(|o| matches!(o, Output::PauseReading(_))).count(), 1);
}
