//! What goes wrong, and what is said then.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

struct Site {
    root: tempfile::TempDir,
    naming: Naming,
}

const PLAIN: &str = "sdR-{ccd}-{exposure_no:08d}.fits";

fn site() -> Site {
    let root = tempfile::tempdir().expect("a directory");
    let naming = naming(root.path(), PLAIN);
    Site { naming, root }
}

impl Site {
    fn reserve(&self, seqno: Option<u64>, bytes: u64) -> Result<Reservation, FileError> {
        let images = vec![("sp1".to_owned(), "b1".to_owned()), ("sp1".to_owned(), "r1".to_owned())];
        match work(Job::Reserve { naming: self.naming.clone(), seqno, images, bytes, at: at() }) {
            Done::Reserved(result) => result,
            other => panic!("{other:?}"),
        }
    }
    fn counter(&self) -> PathBuf {
        self.root.path().join("nextExposureNumber")
    }
    fn night(&self) -> PathBuf {
        self.root.path().join(NIGHT.to_string())
    }
    fn plan(&self) -> FramePlan {
        plan(&self.naming, geometry(2, Sample::U16), &self.reserve(None, 0).expect("a number"))
    }
    fn survey(&self) -> Vec<Lost> {
        match work(Job::Survey { path: None, naming: self.naming.clone(), at: at() }) {
            Done::Surveyed(Ok(found)) => found,
            other => panic!("{other:?}"),
        }
    }
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.night()).expect("there");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn try_open(plan: FramePlan) -> Result<FrameHandle, FileError> {
    match work(Job::Open(Box::new(plan))) {
        Done::Opened(result) => result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_counted_burnt_and_found_again() {
    let site = site();
    let first = site.reserve(None, 0).expect("a number");
    assert_eq!(first.warnings, [format!("{} not found. Creating it.", site.counter().display())]);
    assert_eq!((first.number, first.dir.clone()), (1, site.night()));
    assert_eq!(first.paths[1].2, site.night().join("sdR-r1-00000001.fits"));
    assert_eq!(site.reserve(None, 0).expect("another").number, 2, "burnt, though nothing was written");
    assert_eq!(site.reserve(Some(77), 0).expect("as asked").number, 77);
    assert_eq!(fs::read_to_string(site.counter()).expect("there"), "78");

    // Images, locks and partial files count, in every night; what is not ours does not.
    fs::create_dir(site.root.path().join("61000")).expect("made");
    fs::write(site.root.path().join("61000/sdR-b1-00000120.fits"), "").expect("written");
    fs::write(site.night().join("sdR-r1-00000121.lock"), "").expect("written");
    fs::write(site.night().join("other-00000900.fits"), "").expect("written");
    for (text, warnings) in [(None, 1), (Some(""), 0), (Some("\n"), 0), (Some("12x"), 1)] {
        match text {
            Some(text) => fs::write(site.counter(), text).expect("written"),
            None => fs::remove_file(site.counter()).expect("removed"),
        }
        let reservation = site.reserve(None, 0).expect("a number");
        assert_eq!((reservation.number, reservation.warnings.len()), (122, warnings), "{text:?}");
    }
}

#[test]
fn two_programs_never_get_the_same_number() {
    let site = site();
    let numbers = std::thread::scope(|scope| {
        let take = || (0..20).map(|_| site.reserve(None, 0).expect("a number").number).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().expect("no panic"))
            .collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(numbers, (1..=80).collect());
}

#[test]
fn files_in_the_way_are_named_in_the_words_of_the_reference() {
    for ending in ["fits", "lock", "fits.part"] {
        let site = site();
        site.reserve(None, 0).expect("a number");
        let path = site.night().join(format!("sdR-r1-00000002.{ending}"));
        fs::write(&path, "").expect("written");
        let why = site.reserve(None, 0).expect_err("in the way").to_string();
        let wanted = format!("File {} already exists. Check the nextExposureNumber file.", path.display());
        assert_eq!(why, wanted);
        assert_eq!(fs::read_to_string(site.counter()).expect("there"), "2", "nothing has happened");
    }
    let mut site = site();
    site.naming.files.template = "{exposure_no}.fits".into();
    let why = site.reserve(None, 0).expect_err("one name").to_string();
    assert!(why.contains("two CCDs would have this name"), "{why}");
}

#[test]
fn the_root_is_never_created_and_must_be_mounted_if_that_is_asked_for() {
    let mut site = site();
    site.naming.require_mount = true;
    let why = site.reserve(None, 0).expect_err("not mounted").to_string();
    assert!(why.contains("no file system is mounted there"), "{why}");
    site.naming.require_mount = false;
    site.naming.files.data_dir = site.root.path().join("not/there");
    let why = site.reserve(None, 0).expect_err("not there").to_string();
    assert!(why.contains("never created"), "{why}");
    assert!(!site.root.path().join("not").exists());
    site.naming.files.data_dir = PathBuf::from("/dev/shm");
    site.naming.require_mount = true;
    if fs::metadata("/dev/shm").is_ok_and(|m| fs::metadata("/dev").is_ok_and(|d| d.dev() != m.dev())) {
        assert!(crate::frames::reserve::check_root(&site.naming).is_ok());
    }
}

#[test]
fn too_little_space_is_noticed_before_the_exposure() {
    let site = site();
    let why = site.reserve(None, u64::MAX / 2).expect_err("nobody has that").to_string();
    assert!(why.contains("not enough space") && why.contains("nothing has been exposed"), "{why}");
    assert!(!site.counter().exists(), "the number is not burnt");
}

#[test]
fn a_short_frame_is_kept_and_can_be_fetched_again() {
    let site = site();
    let plan = site.plan();
    let bytes = pixels(&plan.geometry);
    let handle = open(plan.clone());
    feed(&handle, &bytes[..bytes.len() - 3], &[100]);
    let why = secure(&handle, Vec::new()).expect_err("short").to_string();
    assert!(why.contains("the frame is shorter than 560 bytes: 557 came"), "{why}");
    let why = publish(&handle).expect_err("not whole").to_string();
    assert!(why.contains("not secured"), "{why}");
    let lost = site.survey();
    let part = site.night().join("sdR-b1-00000001.fits.part");
    assert_eq!(lost[0].found, Found::Incomplete(Some(part.clone())), "{lost:?}");
    let (header, _) = read(&part);
    assert_eq!(value(&header, "ARCHPART").trim(), "T");

    // Once more: the same frame may use the same names.
    let handle = open(plan.clone());
    feed(&handle, &bytes, &[100]);
    secure(&handle, Vec::new()).expect("whole");
    // A whole image is not thrown away, neither by a third try nor by giving up.
    let why = try_open(plan.clone()).expect_err("whole").to_string();
    assert!(why.contains("already whole"), "{why}");
    work(Job::Abandon { handle: handle.clone(), keep: false, why: "tired".into() });
    publish(&handle).expect("published");
    assert_eq!(publish(&handle).expect("the same again").len(), 2);
    let (header, _) = read(&plan.images[0].path);
    assert!(!header.contains("ARCHPART"));
    assert_eq!(site.names(), ["61365.md5sum", "sdR-b1-00000001.fits", "sdR-r1-00000001.fits"]);
}

#[test]
fn another_frame_cannot_take_the_names_of_a_lost_one() {
    let site = site();
    let plan = site.plan();
    let handle = open(plan.clone());
    work(Job::Abandon { handle, keep: true, why: "the link is lost".into() });
    let mut other = plan.clone();
    other.id.frame += 1;
    let why = try_open(other).expect_err("another frame").to_string();
    assert!(why.contains("about another frame"), "{why}");
    assert_eq!(site.survey().len(), 2, "and the evidence is still there");
    let text = fs::read_to_string(&site.survey()[0].lock).expect("there");
    assert!(text.contains("the link is lost") && text.contains("\"partial\""), "{text}");

    let handle = open(plan);
    work(Job::Abandon { handle, keep: false, why: "not wanted".into() });
    assert_eq!(site.names(), [""; 0]);
}

#[test]
fn images_that_are_discarded_have_statistics_and_no_file() {
    let site = site();
    let mut plan = site.plan();
    plan.images[0].discard = true;
    let handle = open(plan.clone());
    feed(&handle, &pixels(&plan.geometry), &[64]);
    let statistics = secure(&handle, Vec::new()).expect("whole");
    assert_eq!(statistics.iter().filter(|t| t.ccd == "b1").count(), 4);
    let published = publish(&handle).expect("one");
    assert_eq!(published.len(), 1);
    assert_eq!(site.names(), ["61365.md5sum", "sdR-r1-00000001.fits"]);
}

#[test]
fn an_image_that_appears_meanwhile_is_not_overwritten() {
    for template in [PLAIN, "sdR-{ccd}-{exposure_no:08d}.fits.gz"] {
        let mut site = site();
        site.naming.files.template = template.into();
        let plan = site.plan();
        let handle = open(plan.clone());
        feed(&handle, &pixels(&plan.geometry), &[64]);
        secure(&handle, Vec::new()).expect("whole");
        let image = &plan.images[0].path;
        fs::write(image, "somebody else's").expect("written");
        let why = publish(&handle).expect_err("taken").to_string();
        assert!(why.contains(&format!("Cannot overwrite file {}.", image.display())), "{why}");
        assert_eq!(fs::read(image).expect("there"), b"somebody else's");
        assert!(plan.images[1].path.exists(), "the other one is published");
        let lost = site.survey();
        assert!(matches!(&lost[..], [Lost { found: Found::WholePart(_), .. }]), "{lost:?}");
        // Moved away: the second try, or recovery, does it.
        fs::remove_file(image).expect("moved");
        assert_eq!(publish(&handle).expect("both").len(), 2);
        assert_eq!(site.survey(), []);
    }
}

#[test]
fn surveys_report_what_they_do_not_understand_and_touch_nothing() {
    let site = site();
    site.reserve(None, 0).expect("a night");
    fs::write(site.night().join("sdR-b1-00000009.lock"), "{").expect("written");
    fs::write(site.night().join("sdR-b1-00000010.fits.part"), "x").expect("written");
    let image = site.night().join("sdR-b1-00000011.fits");
    let lock = serde_json::json!({"buffer": 1, "ccd": "b1", "controller": "sp1", "exposure_no": 11,
        "filename": image, "header": {}});
    fs::write(site.night().join("sdR-b1-00000011.lock"), lock.to_string()).expect("written");
    fs::write(&image, "half of it").expect("written");
    let before = site.names();
    let found = site.survey();
    assert!(matches!(found[0].found, Found::Unreadable(_)), "{found:?}");
    assert!(
        matches!(&found[1].found, Found::Unreadable(why) if why.contains("the image is there")),
        "{found:?}"
    );
    assert!(matches!(&found[2].found, Found::Stray(part) if part.ends_with("sdR-b1-00000010.fits.part")));
    for lost in found {
        let lost = Box::new(lost);
        let restore = Job::Restore { lost, naming: site.naming.clone(), checksum: true, keep_lock: false };
        assert!(matches!(work(restore), Done::Published(Err(_))));
    }
    assert_eq!(site.names(), before);
    let gone = Job::Survey { path: Some("/not/there.lock".into()), naming: site.naming.clone(), at: at() };
    assert!(matches!(work(gone), Done::Surveyed(Err(_))));
}

#[test]
fn a_damaged_partial_file_is_not_published() {
    let site = site();
    let plan = site.plan();
    let handle = open(plan.clone());
    feed(&handle, &pixels(&plan.geometry), &[64]);
    secure(&handle, Vec::new()).expect("whole");
    let mut lost = site.survey();
    let Found::WholePart(part) = lost[0].found.clone() else { panic!("{lost:?}") };
    let mut bytes = fs::read(&part).expect("there");
    let place = bytes.len() - 2880 + 17;
    bytes[place] ^= 1;
    fs::write(&part, bytes).expect("written");
    let lost = Box::new(lost.remove(0));
    match work(Job::Restore { lost, naming: site.naming.clone(), checksum: true, keep_lock: false }) {
        Done::Published(Err(e)) => assert!(e.to_string().contains("DATASUM is wrong"), "{e}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(site.survey()[0].found, Found::Incomplete(Some(_))));
}

#[test]
fn permission_and_vanished_directories_are_said() {
    let site = site();
    let plan = site.plan();
    fs::remove_dir(site.night()).expect("empty");
    let why = try_open(plan.clone()).expect_err("gone").to_string();
    assert!(why.contains("cannot create") && why.contains("no such file or directory"), "{why}");
    if nix::unistd::Uid::effective().is_root() {
        println!("SKIPPED: root may write everywhere");
        return;
    }
    fs::create_dir(site.night()).expect("made");
    fs::set_permissions(site.night(), fs::Permissions::from_mode(0o500)).expect("set");
    let why = try_open(plan).expect_err("not ours").to_string();
    assert!(why.contains("permission denied"), "{why}");
}

/// A small file system of its own; `None` where we may not mount.
fn small_disk(bytes: u64) -> Option<Mounted> {
    let dir = tempfile::tempdir().expect("a directory");
    let option = format!("size={bytes}");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(dir.path()).output();
    mount.is_ok_and(|m| m.status.success()).then_some(Mounted(dir))
}

struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_is_noticed_when_the_frame_is_opened_and_leaves_nothing() {
    let Some(disk) = small_disk(64 << 10) else {
        println!("SKIPPED: no right to mount a small file system");
        return;
    };
    let mut naming = naming(disk.0.path(), PLAIN);
    naming.require_mount = true;
    let reservation = reserved(&naming);
    let frame = FrameGeometry {
        width: 400,
        height: 200,
        sample: Sample::U16,
        mode: 2,
        pixel_count: 100,
        line_count: 100,
    };
    let why = try_open(plan(&naming, frame, &reservation)).expect_err("too large").to_string();
    assert!(why.contains("no space left on the disk") && why.contains("still holds the frame"), "{why}");
    assert_eq!(fs::read_dir(&reservation.dir).expect("there").count(), 0);
    // Filled by somebody else meanwhile: compressing fails, the whole image stays, and is published later.
    naming.files.template = "sdR-{ccd}-{exposure_no:08d}.fits.gz".into();
    let frame = geometry(2, Sample::U16);
    let reservation = reserved(&naming);
    let handle = open(plan(&naming, frame, &reservation));
    feed(&handle, &pixels(&frame), &[64]);
    secure(&handle, Vec::new()).expect("whole");
    let rest = disk.0.path().join("rest");
    let filled = fs::write(&rest, vec![1; 64 << 10]);
    assert!(filled.is_err(), "the disk is full now");
    let why = publish(&handle).expect_err("full").to_string();
    assert!(why.contains("no space left on the disk"), "{why}");
    fs::remove_file(&rest).expect("freed");
    assert_eq!(publish(&handle).expect("published").len(), 2);
    assert_eq!(read(&reservation.paths[0].2).1, expected(&two_ccds(&frame)[0], &frame, &pixels(&frame)));
}

#[test]
fn texts_are_replaced_at_once_and_raw_frames_find_a_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.acf");
    for text in ["[CONFIG]\n", "[CONFIG]\nLINE0=é\n"] {
        let Done::Wrote(Ok(_)) = work(Job::WriteText { path: path.clone(), text: text.into() }) else {
            panic!()
        };
        let Done::Read(Ok(read)) = work(Job::ReadText { path: path.clone() }) else { panic!() };
        assert_eq!(read, text);
    }
    fs::write(&path, b"LABEL=\xb5m").expect("written");
    let Done::Read(Ok(text)) = work(Job::ReadText { path: path.clone() }) else { panic!() };
    assert_eq!(text, "LABEL=\u{b5}m", "Latin-1, as old files have it");
    let Done::Read(Err(e)) = work(Job::ReadText { path: dir.path().to_owned() }) else { panic!() };
    assert!(e.to_string().contains("no regular file"), "{e}");

    let raw = |path: PathBuf| match work(Job::RawPath { path: Some(path), controller: "sp1".into() }) {
        Done::RawPath(result) => result,
        other => panic!("{other:?}"),
    };
    assert_eq!(raw(dir.path().join("new.fits")), Ok(dir.path().join("new.fits")));
    for (path, said) in [
        (path, "already exists"),
        (dir.path().join("no/dir.fits"), "Parent of file does not exists or file is badly formatted."),
        (dir.path().join(".."), "Parent of file does not exists"),
    ] {
        let why = raw(path).expect_err(said).to_string();
        assert!(why.contains(said), "{why}");
    }
    for name in ["archon_sp1_0007.fits", "archon_sp2_0100.fits", "archon_sp1_x.fits"] {
        fs::write(dir.path().join(name), "").expect("written");
    }
    let next = crate::frames::text_file::next_raw(dir.path(), "sp1");
    assert_eq!(next, Ok(dir.path().join("archon_sp1_0008.fits")));
}
