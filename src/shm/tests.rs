use super::*;
use crate::value::Value;

const WAIT: Duration = Duration::from_secs(10);

fn fresh() -> (tempfile::TempDir, Location, StatusMemory) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let location = Location::File { dir: dir.path().to_owned() };
    let memory = StatusMemory::create(&location, Dialect::Hashpipe, 3).expect("create");
    (dir, location, memory)
}

#[test]
fn an_attachment_may_move_to_a_worker_thread() {
    fn is_send<T: Send>() {}
    is_send::<StatusMemory>();
}

#[test]
fn a_snapshot_shows_duplicates_once_and_no_commentary() {
    let (_dir, _location, mut memory) = fresh();
    let write = |editor: &mut StatusEditor<'_>| {
        editor.set_str("COMMENT", "made by hand")?;
        editor.set_str("A", "x")?;
        editor.set_bool("B", true)
    };
    memory.try_update(write).expect("free");
    let seen = memory.try_snapshot().expect("free");
    assert_eq!(seen.keys(), ["INSTANCE", "A", "B"]);
    assert_eq!(seen.to_value().get("B"), Some(&Value::Bool(true)));
    let some = seen.pairs_of(&["b", "NOPE", "COMMENT", "A"]);
    assert_eq!(some, [("B".to_owned(), Value::Bool(true)), ("A".to_owned(), "x".into())]);
    let mut twice = seen.text().to_vec();
    let a = twice.windows(2).position(|w| w == b"A ").expect("a card");
    twice.copy_within(a..a + CARD, a + CARD);
    assert_eq!(Snapshot::new(&twice).keys(), ["INSTANCE", "A"]);
}

#[test]
fn attach_never_creates() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let location = Location::File { dir: dir.path().to_owned() };
    let missing = StatusMemory::attach(&location, Dialect::Hashpipe, 0).expect_err("missing");
    assert!(matches!(missing, StatusError::Missing { .. }), "{missing}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0);
}

#[test]
fn create_refuses_what_is_there_and_open_takes_it() {
    let (_dir, location, mut memory) = fresh();
    memory.try_set_all(&[("OBJECT", "3C286")]).expect("set");
    let again = StatusMemory::create(&location, Dialect::Hashpipe, 3).expect_err("there");
    assert!(matches!(again, StatusError::Exists { .. }), "{again}");
    let mut opened = StatusMemory::open_or_create(&location, Dialect::Hashpipe, 5).expect("open");
    let seen = opened.try_snapshot().expect("free");
    assert_eq!(seen.get("OBJECT"), Some(Value::Str("3C286".into())));
    // As hashpipe does, the opener's instance wins.
    assert_eq!(seen.get("INSTANCE"), Some(Value::Int(5)));
    assert!(matches!(opened.remove(), Err(StatusError::NotOurs { .. })));
    memory.remove().expect("remove");
    assert!(StatusMemory::attach(&location, Dialect::Hashpipe, 3).is_err());
}

#[test]
fn memory_of_another_size_is_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("status.mem"), [1; 4096]).expect("write");
    let location = Location::File { dir: dir.path().to_owned() };
    let other = StatusMemory::open_or_create(&location, Dialect::Hashpipe, 0).expect_err("not ours");
    assert!(matches!(other, StatusError::Size { size: 4096, .. }), "{other}");
}

#[test]
fn a_failed_edit_leaves_no_trace_and_frees_the_lock() {
    let (_dir, _location, mut memory) = fresh();
    let before = memory.dump(WAIT).expect("dump");
    let failed = memory.try_set_all(&[("GOOD", "x"), ("B AD", "y")]).expect_err("a bad keyword");
    assert!(matches!(failed, StatusError::Card(_)), "{failed}");
    assert_eq!(memory.dump(WAIT).expect("dump"), before);
    assert_eq!(memory.lock_state(), LockState::Unlocked { value: 1 });
}

#[test]
fn an_edit_that_panics_frees_the_lock() {
    let (_dir, location, mut memory) = fresh();
    let mut other = StatusMemory::attach(&location, Dialect::Hashpipe, 3).expect("attach");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        memory.try_update(|_| -> Result<(), CardError> { panic!("a bug in an edit") })
    }));
    assert!(panicked.is_err());
    other.try_set_all(&[("A", "x")]).expect("free");
}

#[test]
fn try_calls_say_busy_and_waiting_calls_time_out() {
    let (_dir, location, mut memory) = fresh();
    let mut other = StatusMemory::attach(&location, Dialect::Hashpipe, 3).expect("attach");
    memory
        .try_update(|_| {
            assert!(matches!(other.try_snapshot(), Err(StatusError::Busy { .. })));
            let late = other.snapshot(Duration::from_millis(5)).expect_err("held");
            assert!(matches!(late, StatusError::Timeout { .. }), "{late}");
            assert_eq!(other.lock_state(), LockState::Locked { waiters: 0 });
            Ok(())
        })
        .expect("free");
    other.try_snapshot().expect("free again");
}

#[test]
fn a_lock_left_by_the_dead_is_repaired_by_who_waits() {
    let (_dir, _location, mut memory) = fresh();
    memory.set_policy(Policy { stale_after: Duration::from_millis(20), repair: true });
    assert!(memory.lock.try_wait());
    memory.set_all(WAIT, &[("A", "x")]).expect("repaired on the way");
    assert_eq!((memory.repairs(), memory.lock_state()), (1, LockState::Unlocked { value: 1 }));
}

#[test]
fn the_loop_repairs_without_waiting() {
    let (_dir, _location, mut memory) = fresh();
    assert!(memory.lock.try_wait());
    let mut now = Mono(0);
    while let Wait::Until(at) = memory.stale_probe(now) {
        assert!(memory.try_snapshot().expect_err("held").is_busy());
        now = at;
    }
    assert_eq!(now, Mono(2_100_000_000));
    memory.try_snapshot().expect("free");
    assert_eq!(memory.repairs(), 1);
}

#[test]
fn a_lock_unlocked_twice_excludes_again() {
    let (_dir, _location, mut memory) = fresh();
    memory.lock.post();
    assert_eq!(memory.lock_state(), LockState::Unlocked { value: 2 });
    memory.try_update(|_| Ok(())).expect("free");
    assert_eq!(memory.lock_state(), LockState::Unlocked { value: 1 });
}

#[test]
fn long_buffers_come_out_whole_at_every_length() {
    // END falls before, on and after the border of the copied pieces.
    let (_dir, location, mut memory) = fresh();
    for i in 1..3 * CHUNK {
        memory.try_update(|editor| editor.set_int(&format!("K{i}"), i as i64)).expect("set");
        let mut other = StatusMemory::attach(&location, Dialect::Hashpipe, 3).expect("attach");
        let seen = other.try_snapshot().expect("free");
        assert_eq!(seen.keys().len(), i + 1);
        assert_eq!(seen.get(&format!("K{i}")), Some(Value::Int(i as i64)));
    }
    assert!(memory.try_update(|editor| Ok(editor.delete("K1"))).expect("free"));
    assert_eq!(memory.try_snapshot().expect("free").keys().len(), 3 * CHUNK - 1);
}

#[test]
fn a_replaced_lock_is_noticed() {
    let (dir, _location, memory) = fresh();
    assert!(memory.is_current());
    std::fs::remove_file(dir.path().join("status.sem")).expect("remove");
    assert!(!memory.is_current());
}

#[test]
fn a_buffer_without_end_is_reported_and_cleared() {
    let (_dir, location, mut memory) = fresh();
    memory.backing.region_mut().write(0, &[b'x'; STATUS_SIZE]);
    let lost = memory.try_set_all(&[("A", "x")]).expect_err("no END");
    assert!(matches!(lost, StatusError::Card(CardError::NoEnd)), "{lost}");
    assert!(memory.try_snapshot().expect("free").text().is_empty());
    let mut opened = StatusMemory::open_or_create(&location, Dialect::Hashpipe, 3).expect("open");
    assert_eq!(opened.try_snapshot().expect("free").keys(), ["INSTANCE"]);
}

#[test]
fn many_writers_lose_nothing() {
    const EACH: i64 = 2_000;
    let (_dir, location, mut memory) = fresh();
    memory.try_update(|editor| editor.set_int("COUNT", 0)).expect("free");
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let location = location.clone();
            std::thread::spawn(move || {
                let mut memory = StatusMemory::attach(&location, Dialect::Hashpipe, 3).expect("attach");
                for _ in 0..EACH {
                    let add = |editor: &mut StatusEditor<'_>| {
                        let count = editor.get_i64("COUNT").unwrap_or(0);
                        editor.set_int("COUNT", count + 1)
                    };
                    memory.update(WAIT, add).expect("in time");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
    assert_eq!(memory.try_snapshot().expect("free").get("COUNT"), Some(Value::Int(3 * EACH)));
}
