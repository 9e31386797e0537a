//! The world ends before every single step on the disk; afterwards each image is there exactly once, or the frame
//! can still be fetched.
//!
//! Three kinds of end: the process dies (everything it did to the file system stays); the power fails (only what
//! was synced stays: contents as of the last sync of the file, names as of the last sync of the directory); the power
//! fails, and of what was not synced the removals have reached the medium, but no new name.

use super::*;
use crate::frames::disk::{Disk, Gate};
use crate::frames::jobs::work_on;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Death,
    Power,
    PowerButRemovals,
}

/// Lets a number of steps pass, then none; keeps what a power failure would leave.
#[derive(Debug, Default)]
struct End {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    left: usize,
    passed: usize,
    /// The step that is done when the next one is asked for.
    last: Option<(&'static str, PathBuf)>,
    /// Every file ever made, open: the number of an inode is not used twice.
    pinned: Vec<fs::File>,
    /// Synced contents by inode.
    contents: BTreeMap<u64, Vec<u8>>,
    /// Synced names by directory.
    names: BTreeMap<PathBuf, BTreeMap<PathBuf, u64>>,
    /// Removed since their directory was synced.
    removed: BTreeSet<PathBuf>,
}

impl End {
    fn after(steps: usize) -> Arc<End> {
        Arc::new(End { state: Mutex::new(State { left: steps, ..State::default() }) })
    }
    fn passed(&self) -> usize {
        self.state.lock().expect("no panic").passed
    }
    /// Takes from the directory what no sync has made safe.
    fn power_failure(&self, dir: &Path, removals_stay: bool) {
        let mut state = self.state.lock().expect("no panic");
        state.settle();
        for entry in fs::read_dir(dir).expect("there") {
            fs::remove_file(entry.expect("an entry").path()).expect("a file");
        }
        let names = state.names.get(dir).cloned().unwrap_or_default();
        for (path, inode) in names {
            if removals_stay && state.removed.contains(&path) {
                continue;
            }
            fs::write(path, state.contents.get(&inode).map_or(&[][..], |c| c)).expect("written");
        }
    }
}

impl State {
    /// Takes note of what the last step has made safe.
    fn settle(&mut self) {
        let Some((what, path)) = self.last.take() else { return };
        let inode = |path: &Path| fs::metadata(path).map(|m| m.ino());
        match what {
            "cannot create" => self.pinned.extend(fs::File::open(&path)),
            "cannot sync" | "cannot append to" => {
                self.pinned.extend(fs::File::open(&path));
                if let (Ok(inode), Ok(bytes)) = (inode(&path), fs::read(&path)) {
                    self.contents.insert(inode, bytes);
                }
            }
            "cannot sync the directory" => {
                let entries = fs::read_dir(&path).expect("there").map(|e| e.expect("an entry").path());
                let files = entries.filter(|p| p.is_file());
                let names = files.map(|p| (p.clone(), inode(&p).expect("there"))).collect();
                self.removed.retain(|r| r.parent() != Some(&path));
                self.names.insert(path, names);
            }
            _ => {}
        }
    }
}

impl Gate for End {
    fn pass(&self, what: &'static str, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().expect("no panic");
        state.settle();
        if state.left == 0 {
            return Err(io::Error::other("the world has ended"));
        }
        if what == "cannot remove" && path.exists() {
            state.removed.insert(path.to_owned());
        }
        state.left -= 1;
        state.passed += 1;
        state.last = Some((what, path.to_owned()));
        Ok(())
    }
}

struct World {
    root: tempfile::TempDir,
    naming: Naming,
    frame: FrameGeometry,
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl World {
    fn new(template: &str) -> World {
        let root = tempfile::tempdir().expect("a directory");
        let mut naming = naming(root.path(), template);
        naming.files.write_async = false;
        let frame = geometry(0, Sample::U16);
        let reservation = reserved(&naming);
        World { root, frame, bytes: pixels(&frame), reservation, naming }
    }

    fn night(&self) -> PathBuf {
        self.root.path().join(NIGHT.to_string())
    }

    /// An exposure on this disk, as far as it comes; whether the frame was opened.
    fn expose(&self, disk: &Disk) -> bool {
        let plan = plan(&self.naming, self.frame, &self.reservation);
        let Done::Opened(Ok(handle)) = work_on(disk, Job::Open(Box::new(plan))) else { return false };
        self.fill(&handle);
        true
    }

    fn fill(&self, handle: &FrameHandle) {
        let write = Job::Write { handle: handle.clone(), bytes: self.bytes.clone() };
        let Done::Written { error: None, .. } = work(write) else { return };
        if secure(handle, vec![("b1".into(), vec![card("INTEND", "now")])]).is_ok() {
            let _ = publish(handle);
        }
    }

    fn survey(&self) -> Vec<Lost> {
        let survey = Job::Survey { path: None, naming: self.naming.clone(), at: at() };
        match work(survey) {
            Done::Surveyed(Ok(found)) => found,
            other => panic!("{other:?}"),
        }
    }

    /// What the role does after a crash; the images that the controller was asked for again.
    fn recover(&self) -> Vec<String> {
        let mut fetched = Vec::new();
        for lost in self.survey() {
            match &lost.found {
                Found::Image | Found::WholePart(_) => {
                    let (naming, lost) = (self.naming.clone(), Box::new(lost));
                    let restore = Job::Restore { lost, naming, checksum: true, keep_lock: false };
                    let Done::Published(Ok(done)) = work(restore) else { panic!("not restored") };
                    assert_eq!(done[0].warnings, [""; 0]);
                }
                Found::Incomplete(_) => {
                    fetched.push(lost.ccd.clone());
                    let mut plan = plan(&self.naming, lost.geometry.expect("ours"), &self.reservation);
                    assert_eq!((&plan.id, plan.base, plan.exposure), (&lost.id, lost.base, lost.exposure));
                    plan.images = vec![lost.spec.clone()];
                    self.fill(&open(plan));
                }
                other => panic!("{other:?} of {}", lost.lock.display()),
            }
        }
        fetched
    }

    /// Both images, right, once, with their sums, and nothing else.
    fn check(&self, what: &str) {
        for (cut, (_, _, path)) in two_ccds(&self.frame).iter().zip(&self.reservation.paths) {
            assert!(path.exists(), "{what}: {}", path.display());
            assert_eq!(read(path).1, expected(cut, &self.frame, &self.bytes), "{what}");
        }
        let mut names: Vec<String> = fs::read_dir(self.night())
            .expect("there")
            .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|n| !n.ends_with(".new"))
            .collect();
        names.sort();
        assert_eq!(names.len(), 3, "{what}: {names:?}");
        let sums = fs::read_to_string(self.night().join("61365.md5sum")).expect("written");
        assert_eq!(sums.lines().count(), 2, "{what}: {sums}");
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").expect("two columns");
            let mut found = crate::frames::publish::Sum::new(ChecksumMode::Md5);
            found.update(&fs::read(self.night().join(name)).expect("there"));
            assert_eq!(found.hex(), sum, "{what}: {name}");
        }
    }
}

#[test]
fn wherever_it_ends_every_image_is_there_once_or_can_be_fetched() {
    for template in ["sdR-{ccd}-{exposure_no:08d}.fits", "sdR-{ccd}-{exposure_no:08d}.fits.gz"] {
        for kind in [Kind::Death, Kind::Power, Kind::PowerButRemovals] {
            let (mut ended, mut restored_only) = (0, 0);
            for steps in 0.. {
                let world = World::new(template);
                let end = End::after(steps);
                let opened = world.expose(&Disk::watched(end.clone()));
                if end.passed() < steps {
                    world.check("undisturbed");
                    break;
                }
                ended += 1;
                if kind != Kind::Death {
                    end.power_failure(&world.night(), kind == Kind::PowerButRemovals);
                }
                let what = format!("{template}, {steps} steps, {kind:?}");
                let fetched = world.recover();
                restored_only += usize::from(fetched.is_empty());
                let images = world.reservation.paths.iter().filter(|(_, _, p)| p.exists()).count();
                if images < 2 {
                    // Nothing had been promised: it ended before the frame was open, and what has a lock is recovered.
                    assert!(!opened && fetched.len() == images, "{what}: {images} images");
                    continue;
                }
                world.check(&what);
                assert_eq!(world.survey(), [], "{what}");
            }
            // The sequence has as many steps as we think, and not all of it needs the controller.
            assert!(ended > 20 && restored_only > 8, "{template}: {ended} ends, {restored_only} restored");
        }
    }
}

#[test]
fn recovery_itself_may_be_interrupted() {
    let template = "sdR-{ccd}-{exposure_no:08d}.fits.gz";
    // A whole frame, secured, not published.
    for steps in 0.. {
        let world = World::new(template);
        let handle = open(plan(&world.naming, world.frame, &world.reservation));
        feed(&handle, &world.bytes, &[4096]);
        secure(&handle, Vec::new()).expect("whole");
        drop(handle);
        let end = End::after(steps);
        let disk = Disk::watched(end.clone());
        for lost in world.survey() {
            assert!(matches!(lost.found, Found::WholePart(_)), "{:?}", lost.found);
            let lost = Box::new(lost);
            work_on(
                &disk,
                Job::Restore { lost, naming: world.naming.clone(), checksum: true, keep_lock: false },
            );
        }
        assert_eq!(world.recover(), [""; 0]);
        world.check(&format!("{steps} steps"));
        if end.passed() < steps {
            break;
        }
    }
}
