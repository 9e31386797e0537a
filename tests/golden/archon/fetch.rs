//! Frames full of bytes that look like replies, cut anywhere.

use crate::report::{GoldenFile, Report};
use appliance::proto::archon::{BLOCK, Colon, Command, Decoder, Item};
use appliance::session::archon_link::{ArchonLink, Config, LinkEvent, Output, Token};
use appliance::units::Now;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Runs `{"stream_hex", "cuts", "sha256_payload", ..}`.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(case) =
        file.json().filter(|v| v.get("stream_hex").is_some() && v.get("sha256_payload").is_some())
    else {
        return false;
    };
    let stream = unhex(case["stream_hex"].as_str().unwrap_or_default());
    let cuts: Vec<usize> = case["cuts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c.as_u64())
        .map(|c| c as usize)
        .collect();
    let whole = vec![0, stream.len()];
    let bytewise = (0..=stream.len()).collect();
    let given = [&[0][..], &cuts, &[stream.len()]].concat();
    for (name, places) in [("whole", whole), ("byte by byte", bytewise), ("at the given cuts", given)] {
        let pieces = places.windows(2).map(|w| &stream[w[0]..w[1]]);
        report.check(&format!("{} {name}", file.name), check(case, pieces.clone()));
        report.check(&format!("{} {name}, through a link", file.name), through_link(case, pieces));
    }
    for cut in &cuts {
        let pieces = [&stream[..*cut], &stream[*cut..]];
        report.check(&format!("{} cut at {cut}", file.name), check(case, pieces.into_iter()));
    }
    true
}

fn check<'a>(case: &Value, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), String> {
    let number = |key: &str| case[key].as_u64().ok_or(format!("no {key}"));
    let fetch = number("fetch_id")? as u8;
    let colon = |id| if id == fetch { Colon::Block } else { Colon::Stray };
    let mut decoder = Decoder::default();
    let (mut payload, mut texts, mut blocks) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let mut input = piece;
        while let Some(item) = decoder.next(&mut input, colon).map_err(|e| e.to_string())? {
            match item {
                Item::Data { bytes, end_of_block, .. } => {
                    payload.extend_from_slice(bytes);
                    blocks += u64::from(end_of_block);
                }
                Item::Text { id, text } => texts.push((u64::from(id), text)),
                Item::Refused { id } => return Err(format!("a refusal of {id:02X} out of nothing")),
            }
        }
    }
    let want = [(number("lock_id")?, String::new()), (number("unlock_id")?, String::new())];
    if texts != want || blocks != number("blocks")? || payload.len() as u64 != blocks * BLOCK as u64 {
        return Err(format!("{blocks} blocks, {} bytes, texts {texts:?}", payload.len()));
    }
    same_pixels(case, payload)
}

/// Without the padding of the last block.
fn same_pixels(case: &Value, mut payload: Vec<u8>) -> Result<(), String> {
    let number = |key: &str| case[key].as_u64().ok_or(format!("no {key}"));
    let length = number("width")? * number("height")? * number("bytes_per_pixel")?;
    payload.truncate(length as usize);
    let sum: String = Sha256::digest(&payload).iter().map(|b| format!("{b:02x}")).collect();
    if case["sha256_payload"] == sum.as_str() { Ok(()) } else { Err(format!("payload has {sum}")) }
}

/// LOCK, FETCH and LOCK0 in flight at once, on a link that has counted its ids up to theirs.
fn through_link<'a>(case: &Value, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), String> {
    let number = |key: &str| case[key].as_u64().ok_or(format!("no {key}"));
    let now = Now::default();
    let mut link = ArchonLink::new(Config { chunk: 1500, ..Config::default() });
    link.tick(now);
    link.connected(now);
    for id in 0..number("lock_id")? {
        link.submit(Token(id), Command::Frame, now);
        link.receive(format!("<{id:02X}\n").as_bytes(), now);
    }
    while link.poll().is_some() {}
    let fetch = Command::Fetch { address: 0xA000_0000, blocks: number("blocks")? as u32 };
    for (id, command) in [("lock_id", Command::Lock(1)), ("fetch_id", fetch), ("unlock_id", Command::Lock(0))]
    {
        link.submit(Token(number(id)?), command, now);
    }
    let (mut payload, mut replies) = (Vec::new(), Vec::new());
    for piece in pieces {
        link.receive(piece, now);
        while let Some(output) = link.poll() {
            match output {
                Output::Event(LinkEvent::Data { bytes, .. }) => payload.extend_from_slice(&bytes),
                Output::Event(LinkEvent::Reply { token, result }) => replies.push((token.0, result)),
                Output::Send(_) => {}
                other => return Err(format!("{other:?}")),
            }
        }
    }
    let ids = [number("lock_id")?, number("fetch_id")?, number("unlock_id")?];
    if replies != ids.map(|id| (id, Ok(String::new()))) {
        return Err(format!("replies {replies:?}"));
    }
    same_pixels(case, payload)
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks(2).map(|p| digit(&p[0]) << 4 | p.get(1).map_or(0, digit)).collect()
}
