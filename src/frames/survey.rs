//! What exposures that did not end have left behind.

use super::geometry::Cut;
use super::jobs::{FileError, Found, ImageSpec, Lost, Naming};
use super::lock::{self, Lock, State};
use super::reserve::{list, night_dir};
use crate::units::Utc;
use std::fs;
use std::path::Path;

/// See [`super::jobs::Job::Survey`].
pub(super) fn survey(path: Option<&Path>, naming: &Naming, at: Utc) -> Result<Vec<Lost>, FileError> {
    let path = path.map_or_else(|| night_dir(naming, at), Path::to_owned);
    let found = fs::metadata(&path).map_err(|e| FileError::io("cannot look into", &path, &e))?;
    if !found.is_dir() {
        return Ok(vec![look(&path)]);
    }
    let names = list(&path)?;
    Ok(names.iter().filter(|n| n.extension().is_some_and(|e| e == "lock")).map(|n| look(n)).collect())
}

/// One lock file.
fn look(lock_path: &Path) -> Lost {
    let read = fs::read(lock_path).map_err(|e| FileError::io("cannot read", lock_path, &e).to_string());
    match read.and_then(|bytes| Lock::parse(&bytes)) {
        Ok(lock) => lost(lock_path, lock),
        Err(why) => unreadable(lock_path, why),
    }
}

fn lost(lock_path: &Path, lock: Lock) -> Lost {
    let part = lock.part.clone().unwrap_or_else(|| lock::part_of(&lock.image));
    let found = if lock.state == State::Whole && part.exists() {
        Found::WholePart(part)
    } else if lock.image.exists() {
        Found::Image
    } else {
        Found::Incomplete(part.exists().then_some(part))
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
