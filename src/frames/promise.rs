//! Lock files written before a frame exists: which number the controller will give the frame of this exposure.
//!
//! From the moment the readout ends until [`super::jobs::Job::Open`] has written the true lock file, the controller's
//! buffer is the only copy, and nothing else on disk would say whose it is. A promise is kept by `Open`, withdrawn
//! when its exposure ends without a frame, and otherwise found by [`super::survey`]. It names the frame number that
//! comes next, and in place of the frame's own time stamp the newest one known: the frame must be younger. Since an
//! exposure that was never read out leaves the next number to the next exposure, nobody may expose on a
//! controller with a promise that is neither kept nor withdrawn; [`unkept`] finds them.

use super::disk::{Disk, parent};
use super::image::Image;
use super::jobs::{FileError, FramePlan, Lost};
use super::lock::{self, Lock, State};
use super::reserve::list;
use super::survey;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// See [`super::jobs::Job::Promise`].
pub(super) fn make(disk: &Disk, plans: &[FramePlan], sjd: i64) -> Result<(), FileError> {
    let of =
        |plan: &FramePlan| plan.images.iter().map(|spec| Image::new(spec, plan, sjd)).collect::<Vec<_>>();
    let images: Vec<Image> = plans.iter().flat_map(of).filter(|i| !i.spec.discard).collect();
    let mut dirs = BTreeSet::new();
    for image in &images {
        let promise = Lock { state: State::Promised, part: None, ..image.lock.clone() };
        if let Err(error) = disk.replace(&image.lock_path, &promise.text()) {
            let paths: Vec<PathBuf> = images.iter().map(|i| i.spec.path.clone()).collect();
            withdraw(disk, &paths);
            return Err(error);
        }
        dirs.insert(parent(&image.lock_path).to_owned());
    }
    dirs.iter().try_for_each(|dir| disk.sync_dir(dir))
}

/// See [`super::jobs::Job::Withdraw`]. A promise that cannot be removed is found by the next survey.
pub(super) fn withdraw(disk: &Disk, images: &[PathBuf]) {
    for image in images {
        let path = lock::path_of(image);
        if read(&path).is_some_and(|l| l.state == State::Promised) {
            let _ = disk.remove(&path);
        }
    }
}

/// Promises of these controllers in a night's directory and in the one before it.
pub(super) fn unkept(night: &Path, controllers: &BTreeSet<&str>) -> Result<Vec<Lost>, FileError> {
    let mut found = Vec::new();
    for dir in before(night).into_iter().chain([night.to_owned()]).filter(|d| d.is_dir()) {
        let locks = list(&dir)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "lock"));
        let promised = locks.filter(|path| {
            read(path)
                .is_some_and(|l| l.state == State::Promised && controllers.contains(l.id.controller.as_str()))
        });
        found.extend(promised.map(|path| survey::look(&path)));
    }
    Ok(found)
}

fn before(night: &Path) -> Option<PathBuf> {
    let number: i64 = night.file_name()?.to_str()?.parse().ok()?;
    Some(night.with_file_name((number - 1).to_string()))
}

fn read(path: &Path) -> Option<Lock> {
    Lock::parse(&fs::read(path).ok()?).ok()
}
