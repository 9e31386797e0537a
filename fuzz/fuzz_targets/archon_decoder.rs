#![no_main]
//! A controller's byte stream: the decoder gives the same items whatever the pieces, and a link answers every command
//! once whatever it is told. The first byte says how the stream is cut.
use appliance::proto::archon::{BLOCK, Colon, Command, Decoder, Item};
use appliance::session::archon_link::{ArchonLink, Config, LinkEvent, Output, Token};
use appliance::units::Now;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let cut = usize::from(cut).max(1);
    assert_eq!(items([stream].into_iter()), items(stream.chunks(cut)), "another cut, other items");
    link(stream.chunks(cut));
});

/// Lines, payload of blocks put together, and whether the framing was lost.
fn items<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<(u8, Vec<u8>)>, bool) {
    let mut decoder = Decoder::default();
    let mut items: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut within = false;
    for piece in pieces {
        let mut input = piece;
        loop {
            match decoder.next(&mut input, owner) {
                Err(_) => return (items, true),
                Ok(None) => break,
                Ok(Some(Item::Text { id, text })) => items.push((id, text.into_bytes())),
                Ok(Some(Item::Refused { id })) => items.push((id, b"?".to_vec())),
                Ok(Some(Item::Data { id, bytes, end_of_block })) => {
                    match items.last_mut() {
                        Some((_, block)) if within => block.extend_from_slice(bytes),
                        _ => items.push((id, bytes.to_vec())),
                    }
                    within = !end_of_block;
                    assert!(
                        items.last().is_some_and(|(_, b)| b.len() <= BLOCK && (within || b.len() == BLOCK))
                    );
                }
            }
        }
        assert!(input.is_empty());
    }
    (items, false)
}

fn owner(id: u8) -> Colon {
    match id {
        0..0x40 => Colon::Block,
        0x40..0x80 => Colon::Text,
        _ => Colon::Stray,
    }
}

fn link<'a>(pieces: impl Iterator<Item = &'a [u8]>) {
    let now = Now::default();
    let mut link = ArchonLink::new(Config { chunk: 1500, ..Config::default() });
    link.tick(now);
    link.connected(now);
    link.submit(Token(0), Command::Fetch { address: 0xA000_0000, blocks: 2 }, now);
    link.submit(Token(1), Command::Status, now);
    link.submit(Token(2), Command::Lock(0), now);
    let (mut answered, mut payload) = ([0; 3], 0);
    for piece in pieces {
        link.receive(piece, now);
    }
    link.close("end", now);
    while let Some(output) = link.poll() {
        match output {
            Output::Event(LinkEvent::Reply { token, result }) => {
                answered[token.0 as usize] += 1;
                assert!(
                    token.0 != 0 || result.is_err() || payload == 2 * BLOCK,
                    "a frame is whole or an error"
                );
            }
            Output::Event(LinkEvent::Data { bytes, .. }) => payload += bytes.len(),
            _ => {}
        }
    }
    assert_eq!(answered, [1; 3]);
}
