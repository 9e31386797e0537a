//! What exposures that did not end have left behind.

use super::geometry::Cut;
use super::jobs::{FileError, Found, ImageSpec, Lost, Naming};
use super::lock::{self, Lock};
use super::reserve::{list, night_dir};
use super::verify;
use crate::units::Utc;
use std::fs;
use std::path::{Path, PathBuf};

/// See [`super::jobs::Job::Survey`].
pub(super) fn survey(path: Option<&Path>, naming: &Naming, at: Utc) -> Result<Vec<Lost>, FileError> {
    let path = path.map_or_else(|| night_dir(naming, at), Path::to_owned);
    let found = fs::metadata(&path).map_err(|e| FileError::io("cannot look into", &path, &e))?;
    if !found.is_dir() {
        return Ok(vec![look(&path)]);
    }
    let names = list(&path)?;
    let with = |ending: &'static str| names.iter().filter(move |n| n.to_string_lossy().ends_with(ending));
    let mut found: Vec<Lost> = with(".lock").map(|n| look(n)).collect();
    let claimed = |part: &Path| {
        let raw = PathBuf::from(part.to_string_lossy().replace(".gz.part", ".part"));
        found.iter().any(|l| lock::part_of(&l.image) == raw)
    };
    let strays: Vec<Lost> = with(".part").filter(|n| !claimed(n)).map(|n| stray(n)).collect();
    found.extend(strays);
    Ok(found)
}

/// One lock file.
pub(super) fn look(lock_path: &Path) -> Lost {
    let read = fs::read(lock_path).map_err(|e| FileError::io("cannot read", lock_path, &e).to_string());
    match read.and_then(|bytes| Lock::parse(&bytes)) {
        Ok(lock) => lost(lock_path, lock),
        Err(why) => unreadable(lock_path, why),
    }
}

fn lost(lock_path: &Path, lock: Lock) -> Lost {
    let part = lock.part.clone().unwrap_or_else(|| lock::part_of(&lock.image));
    let found = match classify(&lock.image, part) {
        Found::Incomplete(None) if lock.state == lock::State::Promised => Found::Promised,
        found => found,
    };
    let cut = lock.cut.unwrap_or(Cut { ccd: lock.ccd.clone(), width: 0, height: 0, areas: Vec::new() });
    Lost {
        lock: lock_path.to_owned(),
        ccd: lock.ccd,
        exposure: lock.exposure,
        image: lock.image.clone(),
        id: lock.id,
        geometry: lock.geometry,
        base: lock.base,
        spec: ImageSpec { cut, path: lock.image, cards: lock.cards, discard: false },
        found,
    }
}

/// What the files themselves say; the state in the lock file is not needed for it.
fn classify(image: &Path, part: PathBuf) -> Found {
    let part_is_whole = part.exists() && verify::whole(&part).is_ok();
    if part_is_whole {
        // With another image in its place, publishing will be refused, in words.
        return if image.exists() && verify::same(image, &part) {
            Found::Image
        } else {
            Found::WholePart(part)
        };
    }
    if part.exists() {
        return Found::Incomplete(Some(part));
    }
    if !image.exists() {
        return Found::Incomplete(None);
    }
    match verify::whole(image) {
        Ok(()) => Found::Image,
        Err(why) => {
            Found::Unreadable(format!("the image is there, but {why}; move it away and recover again"))
        }
    }
}

/// A partial file that no lock file speaks of: it may be all there is of an image, so it is left alone.
fn stray(part: &Path) -> Lost {
    let image = part.with_extension("");
    Lost { image, found: Found::Stray(part.to_owned()), ..unreadable(part, String::new()) }
}

fn unreadable(lock_path: &Path, why: String) -> Lost {
    let cut = Cut { ccd: String::new(), width: 0, height: 0, areas: Vec::new() };
    Lost {
        lock: lock_path.to_owned(),
        ccd: String::new(),
        exposure: 0,
        image: Default::default(),
        id: Default::default(),
        geometry: None,
        base: 0,
        spec: ImageSpec { cut, path: Default::default(), cards: Vec::new(), discard: false },
        found: Found::Unreadable(why),
    }
}
