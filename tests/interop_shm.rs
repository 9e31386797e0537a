//! Our lock against the C library's, on the same bytes: mutual exclusion, waking, and death while holding.

use appliance::shm::{Dialect, Location, LockState, StatusMemory, recovery::Policy};
use appliance::sys::clock;
use appliance::sys::named_sem::{NamedSem, SemWord, sem_path};
use appliance::sys::sysv_shm::SysvShm;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(60);

/// The compiled peer, or `None` (said aloud) where there is no C compiler.
fn peer(dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sem_peer.c");
    let program = dir.join("sem_peer");
    let built = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(&source).arg("-pthread").status();
    match built {
        Ok(status) => {
            assert!(status.success(), "cc failed on {}", source.display());
            Some(program)
        }
        Err(e) => {
            println!("SKIPPED: no C compiler (cc: {e}), the C library's semaphores were not tried");
            None
        }
    }
}

/// Names and keys of this process only, removed at the end.
struct Names {
    lock: String,
    key: u32,
}

impl Names {
    fn new(n: u32) -> Names {
        let pid = std::process::id();
        Names { lock: format!("/appliance_interop_{pid}_{n}"), key: 0x5C00_0000 | (pid & 0xf_ffff) << 4 | n }
    }
    fn path(&self) -> PathBuf {
        sem_path(&self.lock).expect("a valid name")
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
        if let Ok(shm) = SysvShm::attach(self.key) {
            let _ = shm.remove();
        }
    }
}

/// Kills what it started, also when a test fails.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(peer: &Path, args: &[&str]) -> Reaped {
    Reaped(Command::new(peer).args(args).stdout(Stdio::piped()).spawn().expect("the peer starts"))
}

fn finish(mut child: Reaped) {
    assert!(child.0.wait().expect("a child").success());
}

/// Starts a peer that has the lock when this returns.
fn holder(peer: &Path, names: &Names) -> Reaped {
    let mut child = spawn(peer, &["hold", &names.lock]);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "held\n");
    child
}

#[test]
fn two_processes_of_the_c_library_and_we_count_exactly() {
    const EACH: u64 = 200_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(peer) = peer(dir.path()) else { return };
    let names = Names::new(1);
    let mut shm = SysvShm::create(names.key, 4096).expect("create");
    let sem = NamedSem::open_or_create(&names.path()).expect("create");
    let (key, count) = (names.key.to_string(), EACH.to_string());
    let peers = [0, 1].map(|_| spawn(&peer, &["count", &names.lock, &key, &count]));
    let deadline = clock::mono() + WAIT;
    for _ in 0..EACH {
        assert!(sem.wait_until(deadline), "no lock within {WAIT:?}");
        let mut counter = [0; 8];
        shm.region().read(4088, &mut counter);
        shm.region_mut().write(4088, &(u64::from_le_bytes(counter) + 1).to_le_bytes());
        sem.post();
    }
    peers.into_iter().for_each(finish);
    let mut counter = [0; 8];
    shm.region().read(4088, &mut counter);
    assert_eq!(u64::from_le_bytes(counter), 3 * EACH);
    assert_eq!(sem.word(), SemWord { value: 1, waiters: 0 });
}

#[test]
fn the_c_library_makes_the_same_bytes_and_is_woken_by_us() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(peer) = peer(dir.path()) else { return };
    let (theirs, ours) = (Names::new(2), Names::new(3));
    finish(spawn(&peer, &["create", &theirs.lock]));
    NamedSem::open_or_create(&ours.path()).expect("create");
    let bytes = |names: &Names| std::fs::read(names.path()).expect("the file");
    assert_eq!(bytes(&theirs), bytes(&ours));

    let sem = NamedSem::open(&theirs.path()).expect("open");
    SysvShm::create(theirs.key, 4096).expect("create");
    assert!(sem.try_wait());
    let waiter = spawn(&peer, &["count", &theirs.lock, &theirs.key.to_string(), "1"]);
    while sem.word().waiters == 0 {
        std::thread::yield_now();
    }
    sem.post();
    finish(waiter);
    assert_eq!(sem.word(), SemWord { value: 1, waiters: 0 });
}

#[test]
fn a_holder_killed_without_mercy_is_recovered_from() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(peer) = peer(dir.path()) else { return };
    let names = Names::new(4);
    let location = Location::SysV { key: names.key, lock_name: names.lock.clone() };
    let mut memory = StatusMemory::create(&location, Dialect::Hashpipe, 0).expect("create");
    memory.set_policy(Policy { stale_after: Duration::from_millis(100), repair: true });

    drop(holder(&peer, &names));
    assert_eq!(memory.lock_state(), LockState::Locked { waiters: 0 });
    assert!(memory.try_snapshot().expect_err("held by the dead").is_busy());
    memory.set_all(WAIT, &[("NETSTAT", "alive")]).expect("repaired on the way");
    assert_eq!((memory.repairs(), memory.lock_state()), (1, LockState::Unlocked { value: 1 }));
    // The C library agrees that it is free.
    drop(holder(&peer, &names));
    memory.remove().expect("remove");
}
