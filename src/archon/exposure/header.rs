//! The cards of an image: those of the reference in their order, then ours.

use super::{Shot, Shutter};
use crate::archon::controller::{Locked, View};
use crate::archon::role::context::Context;
use crate::archon::role::messages::Index;
use crate::config::archon::{Detector, HeaderFrom, ReplyKey, ReplyOf};
use crate::frames::jobs::Card;
use crate::proto::archon::TICKS_PER_SECOND;
use crate::units::Utc;
use crate::value::Value;
use std::path::Path;

const VERSION: &str = concat!("appliance ", env!("CARGO_PKG_VERSION"));

fn card(key: &str, value: impl Into<Value>, comment: &str) -> Card {
    Card { key: key.to_owned(), value: value.into(), comment: comment.to_owned() }
}

/// Cards of one CCD's image, as known now: the same keys before and after the fetch.
pub(super) fn cards(
    cx: &Context,
    n: Index,
    shot: &Shot,
    ccd: &str,
    locked: &Locked,
    path: &Path,
) -> Vec<Card> {
    let view = cx.controllers[n.0].view();
    let entry = &cx.config.controllers[n.0].entry;
    let file = path.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    let mut cards = vec![
        card("V_ARCHON", VERSION, ""),
        card("FILENAME", file, "File basename"),
        card("EXPOSURE", shot.number as i64, "Exposure number"),
        card("SPEC", entry.name.as_str(), "Spectrograph name"),
        card("OBSERVAT", cx.config.site.observatory.as_str(), "Observatory"),
        card("OBSTIME", iso(shot.began(n)), "Start of the observation [UTC]"),
        card("MJD", shot.began(n).map_or(Value::Null, |t| Value::Int(t.mjd_day())), "Modified Julian Date"),
        card("EXPTIME", shot.requested.as_secs_f64(), "Exposure time"),
        card("DARKTIME", shot.requested.as_secs_f64(), "Dark time"),
        card("IMAGETYP", shot.flavour.name(), "Image type"),
        card("INTSTART", iso(shot.began(n)), "Start of the integration"),
        card("INTEND", iso(shot.over.map(|t| t.utc)), "End of the integration"),
        card("CCD", ccd, "CCD name"),
    ];
    if let Some(detector) = entry.detectors.iter().find(|d| d.name == ccd) {
        cards.extend(of_detector(detector));
    }
    let (hbin, vbin) = view.window.map_or((1, 1), |w| (w.hbin, w.vbin));
    cards.push(card("CCDSUM", format!("{hbin} {vbin}"), "Horizontal and vertical binning"));
    let system = |key: &str| view.system.as_ref().and_then(|s| s.get(key)).map_or(Value::Null, Value::from);
    cards.push(card("ARCHBACK", system("BACKPLANE_ID"), "Archon backplane ID"));
    cards.push(card("ARCHBVER", system("BACKPLANE_VERSION"), "Archon backplane version"));
    cards.push(card("ARCHACF", acf_name(view), "Archon ACF file"));
    cards.extend(configured(cx, view, ccd));
    cards.extend(ours(shot, n, view, locked, cx.config.simulated));
    cards.extend(extra(cx, &shot.header, ccd));
    cards.push(card("BUFFER", i64::from(locked.id.buffer), "The buffer number read"));
    // A key given twice keeps its first place and its last value.
    let mut merged: Vec<Card> = Vec::with_capacity(cards.len());
    for card in cards {
        match merged.iter_mut().find(|c| c.key == card.key) {
            Some(there) => {
                there.value = card.value;
                if !card.comment.is_empty() {
                    there.comment = card.comment;
                }
            }
            None => merged.push(card),
        }
    }
    merged
}

/// Cards of a raw fetch.
pub(super) fn raw_cards(cx: &Context, n: Index, locked: &Locked) -> Vec<Card> {
    let view = cx.controllers[n.0].view();
    vec![
        card("V_ARCHON", VERSION, ""),
        card("SPEC", cx.name(n), "Controller"),
        card("ARCHBACK", locked.id.backplane.as_str(), "Archon backplane ID"),
        card("ARCHACF", acf_name(view), "Archon ACF file"),
        card("ACFHASH", view.acf_hash.as_str(), "SHA-256 of the configuration as sent"),
        card("ARCHFRM", locked.id.frame as i64, "Frame number"),
        card(
            "ARCHTIM",
            format!("{:016X}", locked.id.timestamp),
            "Controller time of the frame [10 ns ticks]",
        ),
        card("SIMULATE", cx.config.simulated, "Simulated data"),
        card("BUFFER", i64::from(locked.id.buffer), "The buffer number read"),
    ]
}

fn acf_name(view: &View) -> Value {
    if view.acf_path.is_empty() {
        "found on the controller".into()
    } else {
        Value::Str(view.acf_path.clone())
    }
}

/// One card, or one for each amplifier.
fn of_detector(d: &Detector) -> Vec<Card> {
    let mut cards = vec![
        card("CCDID", d.serial.as_str(), "Unique identifier of the CCD"),
        card("CCDTYPE", d.kind.as_str(), "CCD type"),
    ];
    let lists = [
        ("GAIN", "CCD gain", "CCD gain AD", " [e-/ADU]", &d.gain),
        ("RDNOISE", "CCD read noise", "CCD read noise AD", " [e-]", &d.readnoise),
    ];
    for (key, one, each, unit, values) in lists {
        match values.as_slice() {
            [] => cards.push(card(key, "?", &format!("{one}{unit}"))),
            [value] => cards.push(card(key, *value, &format!("{one}{unit}"))),
            values => {
                let numbered = values.iter().zip(1..);
                cards.extend(
                    numbered.map(|(v, i)| card(&format!("{key}{i}"), *v, &format!("{each}{i}{unit}"))),
                );
            }
        }
    }
    cards
}

/// The site's own cards: fixed values, or numbers of STATUS and SYSTEM.
fn configured(cx: &Context, view: &View, ccd: &str) -> Vec<Card> {
    let one = |entry: &crate::config::archon::HeaderEntry| match &entry.from {
        HeaderFrom::Fixed(value, comment) => Some(card(&entry.key, value.clone(), comment)),
        HeaderFrom::Unusable(_) => None,
        HeaderFrom::Reply { command, of } => {
            let key = match of {
                ReplyOf::Any(key) => key,
                ReplyOf::Each(keys) => &keys.iter().find(|(name, _)| name == ccd)?.1,
            };
            Some(card(&entry.key, of_reply(view, command, key), &key.comment))
        }
    };
    cx.config.site.header.iter().filter_map(one).collect()
}

/// An invalid or missing value is undefined, never a number.
fn of_reply(view: &View, command: &str, key: &ReplyKey) -> Value {
    let found = match command {
        "status" => view.status.as_ref().filter(|(s, _)| s.valid()).map(|(s, _)| s.describe()),
        "system" => view.system.as_ref().map(|s| s.describe()),
        _ => return "N/A".into(),
    };
    let value = found.and_then(|pairs| pairs.into_iter().find(|(k, _)| *k == key.key)).map(|(_, v)| v);
    match (value, key.digits) {
        (Some(Value::Float(x)), Some(digits)) => {
            let scale = 10f64.powi(digits.min(12) as i32);
            Value::Float((x * scale).round() / scale)
        }
        (Some(value), _) => value,
        (None, _) => Value::Null,
    }
}

fn ours(shot: &Shot, n: Index, view: &View, locked: &Locked, simulated: bool) -> Vec<Card> {
    let [measured, frame, time, missed] = of_frame(locked);
    let shutter = match shot.shutter {
        Shutter::None => "none",
        Shutter::Confirmed => "confirmed",
        Shutter::Unconfirmed => "UNCONFIRMED",
    };
    let achieved = match (shot.started(n), shot.over) {
        (Some(from), Some(to)) => Value::Float(to.mono.since(from.mono).as_secs_f64()),
        _ => Value::Null,
    };
    vec![
        card("EXPACHV", achieved, "[s] From release to end, by this computer"),
        measured,
        frame,
        time,
        card("ACFHASH", view.acf_hash.as_str(), "SHA-256 of the configuration as sent"),
        missed,
        card("SHUTSTAT", shutter, "Shutter of this exposure"),
        card("EXPID", shot.id.as_str(), "Unique id of the exposure"),
        card("SIMULATE", simulated, "Simulated data"),
    ]
}

/// What only the frame itself tells.
fn of_frame(locked: &Locked) -> [Card; 4] {
    let measured = (locked.exposure_ticks > 0)
        .then(|| locked.exposure_ticks as f64 / TICKS_PER_SECOND as f64)
        .map_or(Value::Null, Value::Float);
    let ticks = format!("{:016X}", locked.id.timestamp);
    [
        card("EXPMEAS", measured, "[s] Exposure measured by the controller"),
        card("ARCHFRM", locked.id.frame as i64, "Frame number"),
        card("ARCHTIM", ticks, "Controller time of the frame [10 ns ticks]"),
        card("ARCHMISS", locked.missed as i64, "Frames missed before this one"),
    ]
}

/// Cards that were written before the frame existed; others stay as they are.
pub(super) fn correct(cards: &mut [Card], locked: &Locked) {
    let buffer = card("BUFFER", i64::from(locked.id.buffer), "");
    for known in of_frame(locked).into_iter().chain([buffer]) {
        for card in cards.iter_mut().filter(|c| c.key == known.key) {
            card.value = known.value.clone();
        }
    }
}

/// `--header`: values or `[value, comment]`; the name of a CCD holds an object for that CCD only.
fn extra(cx: &Context, header: &Value, ccd: &str) -> Vec<Card> {
    let Value::Map(pairs) = header else { return Vec::new() };
    let is_ccd =
        |name: &str| cx.config.controllers.iter().any(|c| c.entry.detectors.iter().any(|d| d.name == name));
    // Those of the CCD come first, as the reference writes them.
    let own = pairs.iter().filter(|(key, _)| key == ccd).filter_map(|(_, value)| match value {
        Value::Map(own) => Some(own),
        _ => None,
    });
    let general = pairs.iter().filter(|(key, value)| !(is_ccd(key) && matches!(value, Value::Map(_))));
    own.flatten().chain(general).map(|(key, value)| given(key, value)).collect()
}

fn given(key: &str, value: &Value) -> Card {
    match value {
        Value::List(pair) if pair.len() == 2 => {
            card(&key.to_uppercase(), pair[0].clone(), pair[1].as_str().unwrap_or(""))
        }
        value => card(&key.to_uppercase(), value.clone(), ""),
    }
}

/// `2026-11-21T03:04:05.678`
fn iso(at: Option<Utc>) -> Value {
    at.map_or(Value::Null, |t| {
        let c = t.civil();
        Value::Str(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.microsecond / 1000
        ))
    })
}
