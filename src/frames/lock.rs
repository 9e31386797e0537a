//! Lock files: `<image>.lock` says in JSON which frame of which controller an image is to be made of. It is on
//! the disk before the first pixel and goes when the image has its name; what it finds after a crash is in
//! [`super::survey`].
//!
//! Keys of the reference: `buffer ccd controller exposure_no filename header`. All others are ours; a lock file of
//! the reference reads as a frame 0 of unknown shape.

use super::geometry::{Cut, FrameGeometry};
use super::jobs::{Card, FrameId};
use crate::config::archon::Area;
use crate::proto::archon::Sample;
use crate::value::Value;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};

/// How far the image has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was read out yet: see [`super::promise`].
    Promised,
    /// Pixels are coming.
    Writing,
    /// The partial file is complete and synced.
    Whole,
    /// The frame did not come whole.
    Partial,
}

const STATES: &[(State, &str)] = &[
    (State::Promised, "promised"),
    (State::Writing, "writing"),
    (State::Whole, "whole"),
    (State::Partial, "partial"),
];

/// What a lock file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lock {
    pub id: FrameId,
    pub exposure: u64,
    pub image: PathBuf,
    pub cut: Option<Cut>,
    pub cards: Vec<Card>,
    pub geometry: Option<FrameGeometry>,
    pub base: u64,
    pub ccd: String,
    /// The uncompressed partial file.
    pub part: Option<PathBuf>,
    pub state: State,
    /// Why it is partial.
    pub why: String,
    /// Night, for the name of the checksum file.
    pub sjd: Option<i64>,
}

/// Endings of image names, longest first.
const ENDINGS: &[&str] = &[".fits.gz", ".fit.gz", ".fits", ".fit"];

/// Image name without its ending.
fn stem(image: &Path) -> String {
    let name = image.to_string_lossy();
    let ending = ENDINGS.iter().find(|e| name.ends_with(*e)).copied().unwrap_or("");
    name[..name.len() - ending.len()].to_owned()
}

/// The lock file of an image.
pub(super) fn path_of(image: &Path) -> PathBuf {
    PathBuf::from(stem(image) + ".lock")
}

/// The partial file of an image: never compressed.
pub(super) fn part_of(image: &Path) -> PathBuf {
    let plain = image.to_string_lossy();
    PathBuf::from(format!("{}.part", plain.strip_suffix(".gz").unwrap_or(&plain)))
}

impl Lock {
    /// Keys sorted, four columns of indentation, as Python's `json` writes it.
    pub fn text(&self) -> Vec<u8> {
        let mut members: Vec<(&str, Json)> = vec![
            ("areas", self.cut.as_ref().map_or(Json::Null, |c| c.areas.iter().map(area_json).collect())),
            ("backplane", json!(self.id.backplane)),
            ("base", json!(self.base)),
            ("buffer", json!(self.id.buffer)),
            ("cards", self.cards.iter().map(|c| json!([c.key, value_json(&c.value), c.comment])).collect()),
            ("ccd", json!(self.ccd)),
            ("controller", json!(self.id.controller)),
            ("exposure_no", json!(self.exposure)),
            ("filename", json!(self.image.to_string_lossy())),
            ("frame", json!(self.id.frame)),
            ("geometry", self.geometry.as_ref().map_or(Json::Null, geometry_json)),
            ("header", self.header()),
            ("image_height", json!(self.cut.as_ref().map(|c| c.height))),
            ("image_width", json!(self.cut.as_ref().map(|c| c.width))),
            ("part", json!(self.part.as_ref().map(|p| p.to_string_lossy()))),
            ("sjd", json!(self.sjd)),
            ("state", json!(STATES.iter().find(|(s, _)| *s == self.state).map(|(_, name)| name))),
            ("timestamp", json!(self.id.timestamp)),
            ("why", json!(self.why)),
        ];
        members.sort_by_key(|(key, _)| *key);
        let object: Map<String, Json> = members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let mut bytes = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut to = serde_json::Serializer::with_formatter(&mut bytes, style);
        // Writing JSON without maps of odd keys to memory cannot fail.
        let _ = Json::Object(object).serialize(&mut to);
        bytes
    }

    /// `{KEY: [value, comment]}`, sorted: what the reference reads.
    fn header(&self) -> Json {
        let mut members: Vec<_> =
            self.cards.iter().map(|c| (c.key.clone(), json!([value_json(&c.value), c.comment]))).collect();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        Json::Object(members.into_iter().collect())
    }

    /// Reads a lock file, ours or the reference's, or says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Lock, String> {
        let json: Json = serde_json::from_slice(bytes).map_err(|e| format!("it is not JSON: {e}"))?;
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let need = |key: &str| text(key).ok_or_else(|| format!("'{key}' is missing"));
        let number = |key: &str| json[key].as_u64();
        let buffer = number("buffer").and_then(|b| u8::try_from(b).ok()).ok_or("'buffer' is missing")?;
        let id = FrameId {
            controller: need("controller")?,
            backplane: text("backplane").unwrap_or_default(),
            buffer,
            frame: number("frame").unwrap_or(0),
            timestamp: number("timestamp").unwrap_or(0),
        };
        let state = text("state");
        let state = STATES.iter().find(|(_, name)| state.as_deref() == Some(*name));
        let ccd = need("ccd")?;
        Ok(Lock {
            id,
            exposure: number("exposure_no").ok_or("'exposure_no' is missing")?,
            image: PathBuf::from(need("filename")?),
            cut: cut_of(&json, &ccd),
            cards: cards_of(&json),
            geometry: geometry_of(&json["geometry"]),
            base: number("base").unwrap_or(0),
            ccd,
            part: text("part").map(PathBuf::from),
            state: state.map_or(State::Writing, |(s, _)| *s),
            why: text("why").unwrap_or_default(),
            sjd: json["sjd"].as_i64(),
        })
    }

    /// Whether this lock is about the same image of the same frame: a second try, not a collision. The reference
    /// does not know frame numbers.
    pub fn is_of(&self, id: &FrameId, ccd: &str, exposure: u64) -> bool {
        let same_frame = self.id.frame == 0
            || self.state == State::Promised
            || (self.id.frame, self.id.timestamp) == (id.frame, id.timestamp);
        same_frame
            && self.exposure == exposure
            && self.ccd == ccd
            && self.id.controller == id.controller
            && (self.id.backplane.is_empty() || self.id.backplane == id.backplane)
    }
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Float(x) => json!(x),
        Value::Null => Json::Null,
        other => json!(other.to_string()),
    }
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => {
            n.as_i64().map_or_else(|| n.as_f64().map_or(Value::Null, Value::Float), Value::Int)
        }
        Json::String(s) => Value::Str(s.clone()),
        Json::Null => Value::Null,
        other => Value::Str(other.to_string()),
    }
}

/// Our list in order, or the reference's map.
fn cards_of(json: &Json) -> Vec<Card> {
    let card = |key: &Json, value: &Json, comment: &Json| {
        let comment = comment.as_str().unwrap_or("").to_owned();
        Some(Card { key: key.as_str()?.to_owned(), value: value_of(value), comment })
    };
    if let Some(list) = json["cards"].as_array() {
        return list.iter().filter_map(|c| card(&c[0], &c[1], &c[2])).collect();
    }
    let header = json["header"].as_object();
    let members = header.into_iter().flatten();
    members
        .filter_map(|(key, v)| match v {
            Json::Array(_) => card(&json!(key), &v[0], &v[1]),
            single => card(&json!(key), single, &Json::Null),
        })
        .collect()
}

fn area_json(a: &Area) -> Json {
    json!({"flip_x": a.flip_x, "flip_y": a.flip_y, "to_x": a.to_x, "to_y": a.to_y,
           "x0": a.x0, "x1": a.x1, "y0": a.y0, "y1": a.y1})
}

fn cut_of(json: &Json, ccd: &str) -> Option<Cut> {
    let area = |a: &Json| {
        let n = |key: &str| a[key].as_u64().and_then(|n| u32::try_from(n).ok());
        Some(Area {
            x0: n("x0")?,
            x1: n("x1")?,
            y0: n("y0")?,
            y1: n("y1")?,
            flip_x: a["flip_x"].as_bool()?,
            flip_y: a["flip_y"].as_bool()?,
            to_x: n("to_x")?,
            to_y: n("to_y")?,
        })
    };
    let size = |key: &str| json[key].as_u64().and_then(|n| u32::try_from(n).ok());
    let areas = json["areas"].as_array()?.iter().map(area).collect::<Option<Vec<_>>>()?;
    Some(Cut { ccd: ccd.to_owned(), width: size("image_width")?, height: size("image_height")?, areas })
}

fn geometry_json(g: &FrameGeometry) -> Json {
    json!({"framemode": g.mode, "height": g.height, "linecount": g.line_count, "pixelcount": g.pixel_count,
           "sample": u8::from(g.sample == Sample::U32), "width": g.width})
}

fn geometry_of(json: &Json) -> Option<FrameGeometry> {
    let n = |key: &str| json[key].as_u64().and_then(|n| u32::try_from(n).ok());
    Some(FrameGeometry {
        width: n("width")?,
        height: n("height")?,
        sample: if n("sample")? == 1 { Sample::U32 } else { Sample::U16 },
        mode: u8::try_from(n("framemode")?).ok()?,
        pixel_count: n("pixelcount")?,
        line_count: n("linecount")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let area = Area { x0: 2, x1: 6, y0: 0, y1: 3, flip_x: true, flip_y: false, to_x: 0, to_y: 0 };
        let card = |key: &str, value: Value| Card { key: key.into(), value, comment: "why".into() };
        Lock {
            id: FrameId {
                controller: "sp1".into(),
                backplane: "00003FFF1A9902F6".into(),
                buffer: 2,
                frame: 17,
                timestamp: u64::MAX,
            },
            exposure: 12,
            image: "/d/61365/sdR-b1-00000012.fits.gz".into(),
            cut: Some(Cut { ccd: "b1".into(), width: 4, height: 3, areas: vec![area] }),
            cards: vec![
                card("ZZ", true.into()),
                card("EXPTIME", 0.5.into()),
                card("AA", Value::Null),
                card("N", 3.into()),
            ],
            geometry: Some(FrameGeometry {
                width: 8,
                height: 3,
                sample: Sample::U32,
                mode: 0,
                pixel_count: 2,
                line_count: 3,
            }),
            base: 0xA000_0000,
            ccd: "b1".into(),
            part: Some("/d/61365/sdR-b1-00000012.fits.part".into()),
            state: State::Whole,
            why: String::new(),
            sjd: Some(61_365),
        }
    }

    #[test]
    fn lock_files_read_back_and_hold_the_keys_of_the_reference_sorted() {
        let text = lock().text();
        assert_eq!(Lock::parse(&text), Ok(lock()));
        let json: Json = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(json["header"]["EXPTIME"], json!([0.5, "why"]));
        let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
        assert!(keys.is_sorted(), "{keys:?}");
        for key in ["buffer", "ccd", "controller", "exposure_no", "filename", "header"] {
            assert!(keys.iter().any(|k| *k == key), "{key}");
        }
    }

    #[test]
    fn lock_files_of_the_reference_have_no_frame_number() {
        let text = r#"{"buffer": 1, "ccd": "r1", "controller": "sp1", "exposure_no": 4,
            "filename": "/d/61365/sdR-r1-00000004.fits.gz", "header": {"EXPTIME": [1.5, "s"], "BARE": 3}}"#;
        let lock = Lock::parse(text.as_bytes()).expect("readable");
        assert_eq!((lock.id.frame, lock.geometry, &lock.cut, lock.state), (0, None, &None, State::Writing));
        assert_eq!(lock.cards.len(), 2);
        assert!(lock.is_of(&FrameId { controller: "sp1".into(), frame: 9, ..FrameId::default() }, "r1", 4));
        assert!(!lock.is_of(&FrameId { controller: "sp2".into(), ..FrameId::default() }, "r1", 4));
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for (text, said) in [
            ("{", "not JSON"),
            ("{}", "'buffer' is missing"),
            (r#"{"buffer": 1, "controller": "a"}"#, "'ccd' is missing"),
            ("[1]", "'buffer' is missing"),
        ] {
            let why = Lock::parse(text.as_bytes()).expect_err(text);
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn names_beside_the_image() {
        for (image, lock, part) in [
            ("/d/a.fits", "/d/a.lock", "/d/a.fits.part"),
            ("/d/a.fits.gz", "/d/a.lock", "/d/a.fits.part"),
            ("/d/a.b.fit", "/d/a.b.lock", "/d/a.b.fit.part"),
            ("/d/plain", "/d/plain.lock", "/d/plain.part"),
        ] {
            assert_eq!(path_of(Path::new(image)), Path::new(lock));
            assert_eq!(part_of(Path::new(image)), Path::new(part));
        }
    }
}
