use super::super::{Phase, Plan, Step};
use super::*;
use proptest::prelude::*;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), utc: Utc(ms as i64 * 1_000_000) }
}

fn write(register: &str, value: u32) -> Step {
    Step::Fpga(FpgaOp::Write {
        register: register.into(),
        offset: 0,
        data: value.to_be_bytes().to_vec(),
        verify: true,
    })
}

fn plan(phases: Vec<Phase>) -> Plan {
    Plan { title: "test".into(), phases }
}

fn ok() -> Done {
    Done::Fpga(Ok(FpgaReply::Done))
}

fn refused() -> Done {
    Done::Fpga(Err(FpgaError::Invalid("no".into())))
}

#[test]
fn strict_steps_wait_for_each_other() {
    let mut r =
        Runner::start(plan(vec![Phase::strict("arm", vec![write("arm", 0), write("arm", 1)])]), at(0));
    let (first, _) = r.poll().expect("first write");
    assert_eq!(r.poll(), None, "the second write must wait for the first");
    r.done(first, ok(), at(1));
    let (second, _) = r.poll().expect("second write");
    r.done(second, ok(), at(2));
    assert_eq!(r.outcome(), Some(&Ok(())));
}

#[test]
fn waits_count_from_the_end_of_the_step_before() {
    let steps = vec![write("arm", 1), Step::Wait(Duration::from_millis(200)), write("arm", 0)];
    let mut r = Runner::start(plan(vec![Phase::strict("arm", steps)]), at(0));
    let (id, _) = r.poll().expect("write");
    r.done(id, ok(), at(7));
    assert_eq!(r.deadline(), Some(When::Mono(at(207).mono)));
    r.tick(at(206));
    assert_eq!(r.poll(), None);
    r.tick(at(207));
    assert!(r.poll().is_some());
}

#[test]
fn a_register_that_is_right_is_not_written() {
    let steps = vec![
        Step::SetRegister { register: "a".into(), value: 5 },
        Step::SetRegister { register: "b".into(), value: 6 },
    ];
    let mut r = Runner::start(plan(vec![Phase::any("registers", steps)]), at(0));
    let (a, _) = r.poll().expect("read a");
    let (b, _) = r.poll().expect("read b goes out with it");
    r.done(a, Done::Fpga(Ok(FpgaReply::Bytes(vec![0, 0, 0, 5]))), at(1));
    assert_eq!(r.poll(), None);
    r.done(b, Done::Fpga(Ok(FpgaReply::Bytes(vec![0, 0, 0, 0]))), at(1));
    let (id, order) = r.poll().expect("write b");
    assert_eq!(
        order,
        Order::Fpga(FpgaOp::Write { register: "b".into(), offset: 0, data: vec![0, 0, 0, 6], verify: true })
    );
    r.done(id, ok(), at(2));
    assert_eq!(r.outcome(), Some(&Ok(())));
}

#[test]
fn any_phase_reports_every_failure() {
    let mut r = Runner::start(
        plan(vec![Phase::any("registers", vec![write("a", 1), write("b", 2), write("c", 3)])]),
        at(0),
    );
    let ids: Vec<_> = std::iter::from_fn(|| r.poll()).map(|(id, _)| id).collect();
    r.done(ids[0], refused(), at(1));
    assert_eq!(r.outcome(), None);
    r.done(ids[1], ok(), at(1));
    r.done(ids[2], refused(), at(1));
    let Some(Err(failure)) = r.outcome() else { panic!("must fail") };
    assert_eq!((failure.phase, failure.problems.len()), ("registers", 2));
}

#[test]
fn a_warning_phase_goes_on() {
    let phases = vec![
        Phase::strict("deprogram", vec![write("a", 1)]).or_warn(),
        Phase::strict("next", vec![write("b", 1)]),
    ];
    let mut r = Runner::start(plan(phases), at(0));
    let (id, _) = r.poll().expect("first");
    r.done(id, refused(), at(1));
    let (id, _) = r.poll().expect("goes on");
    r.done(id, ok(), at(2));
    assert_eq!(r.outcome(), Some(&Ok(())));
    assert_eq!(r.warnings().len(), 1);
}

#[test]
fn waiting_for_a_status_key_polls_and_gives_up() {
    let step = Step::WaitStatus {
        key: "NETSTAT".into(),
        value: "receiving".into(),
        within: Duration::from_millis(120),
    };
    let mut r = Runner::start(plan(vec![Phase::strict("wait", vec![step])]), at(0));
    let (id, order) = r.poll().expect("first look");
    assert_eq!(order, Order::ReadStatus("NETSTAT".into()));
    r.done(id, Done::Status(None), at(0));
    r.tick(at(50));
    let (id, _) = r.poll().expect("second look");
    r.done(id, Done::Status(Some("waiting".into())), at(51));
    r.tick(at(120));
    let Some(Err(failure)) = r.outcome() else { panic!("must give up") };
    assert!(failure.problems[0].error.contains("timed out waiting for 'NETSTAT=receiving'"));
}

#[test]
fn a_cancelled_plan_orders_nothing_more_and_ignores_late_answers() {
    let mut r = Runner::start(plan(vec![Phase::strict("arm", vec![write("a", 1), write("b", 1)])]), at(0));
    let (id, _) = r.poll().expect("first");
    r.cancel();
    r.done(id, ok(), at(1));
    assert_eq!(r.poll(), None);
    assert_eq!(r.deadline(), None);
    assert!(matches!(r.outcome(), Some(Err(Failure { cancelled: true, .. }))));
}

#[test]
fn waiting_until_a_moment_uses_the_wall_clock() {
    let mut r = Runner::start(
        plan(vec![Phase::strict("arm", vec![Step::WaitUntil(at(500).utc), write("a", 1)])]),
        at(0),
    );
    assert_eq!(r.deadline(), Some(When::Utc(at(500).utc)));
    r.tick(at(500));
    assert!(r.poll().is_some());
}

proptest! {
    /// Whatever the order of answers and failures: a plan ends exactly once, every step of a finished
    /// plan has a timing, and nothing is ordered after the end.
    #[test]
    fn every_plan_ends(sizes in proptest::collection::vec((1usize..5, any::<bool>(), any::<bool>()), 0..5),
                       answers in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..200)) {
        let phases: Vec<Phase> = sizes.iter().map(|(n, strict, warn)| {
            let steps = (0..*n).map(|i| write("r", i as u32)).collect();
            let p = if *strict { Phase::strict("p", steps) } else { Phase::any("p", steps) };
            if *warn { p.or_warn() } else { p }
        }).collect();
        let total: usize = phases.iter().map(|p| p.steps.len()).sum();
        let mut r = Runner::start(plan(phases), at(0));
        let mut out: Vec<StepId> = Vec::new();
        let mut answers = answers.into_iter().cycle();
        for t in 1..1000u64 {
            out.extend(std::iter::from_fn(|| r.poll()).map(|(id, _)| id));
            if r.outcome().is_some() { break; }
            prop_assert!(!out.is_empty(), "running, but nothing outstanding");
            let Some((which, kind)) = answers.next() else { return Ok(()) };
            let id = out.swap_remove(which.index(out.len()));
            r.done(id, if kind == 0 { refused() } else { ok() }, at(t));
        }
        prop_assert!(r.outcome().is_some());
        prop_assert_eq!(r.poll(), None);
        if r.outcome() == Some(&Ok(())) {
            prop_assert_eq!(r.timings().len(), total);
        }
    }
}

#[test]
fn a_moment_that_has_passed_is_a_missed_deadline() {
    let until = |t: u64| plan(vec![Phase::strict("await_arm_time", vec![Step::WaitUntil(at(t).utc)])]);
    let late = Runner::start(until(99), at(100));
    let Some(Err(failure)) = late.outcome() else { panic!("must fail") };
    assert_eq!(failure.problems[0].error, "deadline missed, arm time is in the past.");
    let mut stepped = Runner::start(until(500), at(100));
    stepped.tick(at(5000));
    assert!(matches!(stepped.outcome(), Some(Err(_))));
}

#[test]
fn a_heartbeat_is_a_change_and_not_a_value_that_was_there() {
    let within = Duration::from_secs(10);
    let plan = || plan(vec![Phase::strict("alive", vec![Step::WaitChange { key: "PULSE".into(), within }])]);
    let see = |r: &mut Runner, value: Option<&str>, ms: u64| {
        r.tick(at(ms));
        let (id, order) = r.poll().expect("a look");
        assert_eq!(order, Order::ReadStatus("PULSE".into()));
        r.done(id, Done::Status(value.map(str::to_owned)), at(ms));
        r.outcome().cloned()
    };
    for first in [None, Some("old")] {
        let mut r = Runner::start(plan(), at(0));
        assert_eq!(see(&mut r, first, 0), None);
        assert_eq!(see(&mut r, first, 50), None);
        assert_eq!(see(&mut r, None, 100), None, "an emptied memory is no sign of life");
        assert_eq!(see(&mut r, Some("new"), 150), Some(Ok(())));
    }
    let mut r = Runner::start(plan(), at(0));
    assert_eq!(see(&mut r, Some("old"), 0), None);
    r.tick(at(10_000));
    let Some(Err(failure)) = r.outcome() else { panic!("its time is over") };
    assert_eq!(failure.problems[0].error, "PULSE has not changed for 10 s: nobody writes it");
}
