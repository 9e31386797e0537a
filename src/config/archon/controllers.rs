//! `controllers` and `enabled_controllers` of `archon.yml`.

use super::reader::{Reader, Section};
use super::yaml::{Kind, Node};
use super::{Area, ControllerEntry, Detector};
use crate::config::suggest;
use crate::proto::archon::DEFAULT_PORT;

/// All controllers in file order, and the names of those enabled (`None`: all).
pub(super) fn read(top: &mut Section<'_>, r: &mut Reader) -> (Vec<ControllerEntry>, Option<Vec<String>>) {
    let section = top.section(r, "controllers");
    let mut found: Vec<ControllerEntry> = Vec::new();
    for (name, node) in section.members() {
        let path = section.at(name);
        usable_name(r, &path, node.line, name);
        let entry = controller(r, &path, name, node);
        for detector in &entry.detectors {
            if found.iter().any(|c| c.detectors.iter().any(|d| d.name == detector.name)) {
                let problem = format!("CCD {} belongs to another controller already", detector.name);
                r.error(node.line, &path, problem, "names of CCDs are names of files: give each its own");
            }
        }
        found.push(entry);
    }
    if found.is_empty() {
        r.warn(
            section.line,
            "controllers",
            "no controllers",
            "write controllers: {sp1: {host: 10.0.0.2, detectors: {b1: {taps: 4}}}}",
        );
    }
    let enabled = top.take(r, "enabled_controllers", |r, path, node| {
        let names = r.texts(path, node);
        for name in names.iter().filter(|name| !found.iter().any(|c| c.name == **name)) {
            let hint = suggest::hint(name, found.iter().map(|c| c.name.as_str()));
            r.warn(node.line, path, format!("there is no controller '{name}'{hint}"), "it has no effect");
        }
        Some(names)
    });
    (found, enabled)
}

/// Names become parts of file names and of commands.
fn usable_name(r: &mut Reader, path: &str, line: usize, name: &str) {
    if name.is_empty()
        || name.starts_with('.')
        || name.contains(|c: char| c == '/' || c.is_control() || c.is_whitespace())
    {
        r.error(
            line,
            path,
            format!("'{}' cannot be a name", name.escape_debug()),
            "use letters, digits, - and _",
        );
    }
}

fn controller(r: &mut Reader, path: &str, name: &str, node: &Node) -> ControllerEntry {
    let mut s = Section::of(r, path, node);
    let host = s.take(r, "host", Reader::text).filter(|host| !host.is_empty());
    if host.is_none() {
        r.error(node.line, &s.at("host"), "the controller has no host", "write host: 10.0.0.2");
    }
    let port = s.take(r, "port", Reader::whole).unwrap_or(DEFAULT_PORT);
    let ccds = s.section(r, "detectors");
    let detectors: Vec<Detector> = ccds
        .members()
        .into_iter()
        .map(|(ccd, node)| {
            usable_name(r, &ccds.at(ccd), node.line, ccd);
            detector(r, &ccds.at(ccd), ccd, node)
        })
        .collect();
    if detectors.is_empty() {
        r.warn(
            node.line,
            path,
            "the controller has no detectors",
            "its frames cannot be written: write detectors: {b1: {taps: 4}}",
        );
    }
    s.finish(r, &["parameters"]);
    ControllerEntry { name: name.to_owned(), host: host.unwrap_or_default(), port, detectors }
}

fn detector(r: &mut Reader, path: &str, name: &str, node: &Node) -> Detector {
    let mut s = Section::of(r, path, node);
    let taps = s.take(r, "taps", Reader::whole).unwrap_or(0);
    if taps == 0 {
        r.error(node.line, &s.at("taps"), "the number of taps (amplifiers) is missing", "write taps: 4");
    }
    let mut text = |r: &mut Reader, key, default: &str| {
        s.take(r, key, Reader::text).unwrap_or_else(|| default.to_owned())
    };
    let (sensor, serial, kind) = (text(r, "sensor", ""), text(r, "serial", "?"), text(r, "type", "?"));
    let gain = s.take(r, "gain", numbers).unwrap_or_default();
    let readnoise = s.take(r, "readnoise", numbers).unwrap_or_default();
    let areas = s.take(r, "areas", |r, path, node| {
        Some(r.list(path, node).iter().filter_map(|item| area(r, path, item)).collect())
    });
    s.finish(r, &[]);
    Detector {
        name: name.to_owned(),
        taps,
        sensor,
        serial,
        kind,
        gain,
        readnoise,
        areas: areas.unwrap_or_default(),
    }
}

/// A number, or one for each amplifier; `?` is not known.
fn numbers(r: &mut Reader, path: &str, node: &Node) -> Option<Vec<f64>> {
    match &node.kind {
        Kind::Text(text) if text == "?" => None,
        Kind::List(items) => items.iter().map(|item| r.number(path, item)).collect(),
        _ => r.number(path, node).map(|number| vec![number]),
    }
}

fn area(r: &mut Reader, path: &str, node: &Node) -> Option<Area> {
    let mut s = Section::of(r, path, node);
    let mut edge = |r: &mut Reader, key| s.take(r, key, Reader::whole);
    let (x0, x1, y0, y1) = (edge(r, "x0"), edge(r, "x1"), edge(r, "y0"), edge(r, "y1"));
    let (to_x, to_y) = (edge(r, "to_x").unwrap_or(0), edge(r, "to_y").unwrap_or(0));
    let flip_x = s.take(r, "flip_x", Reader::bool).unwrap_or(false);
    let flip_y = s.take(r, "flip_y", Reader::bool).unwrap_or(false);
    s.finish(r, &[]);
    let (Some(x0), Some(x1), Some(y0), Some(y1)) = (x0, x1, y0, y1) else {
        r.error(node.line, path, "an area needs x0, x1, y0 and y1", "write {x0: 0, x1: 100, y0: 0, y1: 50}");
        return None;
    };
    if x0 >= x1 || y0 >= y1 {
        r.error(node.line, path, "the area is empty", "x1 and y1 are one past the last column and row");
        return None;
    }
    Some(Area { x0, x1, y0, y1, flip_x, flip_y, to_x, to_y })
}
