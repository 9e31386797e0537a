//! Any calls, facts and times in any order, against the rules that always hold:
//!
//! - a call is answered at most once, and has been answered when the player has shut down;
//! - one job at a time; no second process of a program beside the first;
//! - the board is armed inside an accepted start's time, or by hand;
//! - state names are the documented ones; no deadline lies in the past; no order after the end.
//!
//! The world checks most of them itself. Further writes wait while a job runs, as in the node.

use crate::world::*;
use appliance::plan::Child;
use appliance::player::bank::{Input, Ticket};
use appliance::player::methods::PlayerCall;
use appliance::value::Value;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Act {
    Call(PlayerCall),
    Cancel(u64),
    /// Milliseconds.
    Pass(u64),
    Steps(u8),
    SetClock(i32),
    Clock(bool),
    FilesFail(bool),
    /// The disk is full.
    Full(bool),
    Kill(bool),
    Temper(u8),
    DropLink,
    LinkBack,
    Unprogram,
    BoardFails,
    BoardSilent,
    /// Milliseconds per request.
    BoardTakes(u64),
    StatusFails(bool),
    SpawnFails(bool),
    Reload,
    Hosts,
}

fn call() -> impl Strategy<Value = PlayerCall> {
    let start = prop_oneof![
        4 => Just(Value::Null),
        1 => (20..59_i64).prop_map(|s| Value::List([2026, 11, 21, 2, 35, s].map(Value::Int).to_vec())),
        1 => Just(Value::Int(3)),
    ];
    let param = (0..4_i64).prop_map(|s| PlayerCall::SetParam(vec![("scan_length".into(), s.into())]));
    prop_oneof![
        3 => (1..4_u8).prop_map(|n| set_mode(&format!("MODE{n}"))),
        2 => (1..4_u8).prop_map(|n| force_mode(&format!("MODE{n}"))),
        1 => Just(set_mode("MODE9")),
        2 => Just(PlayerCall::Prepare),
        5 => start.prop_map(PlayerCall::Start),
        4 => Just(PlayerCall::Stop),
        2 => Just(PlayerCall::Monitor),
        1 => Just(PlayerCall::ArmRoach),
        1 => Just(PlayerCall::ResetRoach),
        1 => Just(PlayerCall::DisarmRoach),
        1 => param,
        1 => Just(PlayerCall::ReadConfigFile),
        1 => Just(PlayerCall::SetScanNumber(7)),
        1 => Just(PlayerCall::ScanStatus),
        1 => Just(PlayerCall::GetStatus(Value::Null)),
        1 => (0..20_u8, 0..4_u8).prop_map(|(i, d)| PlayerCall::StartIn { in_secs: i.into(), dur_secs: d.into() }),
        2 => (15..59_i64, 0..4_i64).prop_map(|(s, d)| schedule(s, d)),
        1 => (0..4_i64).prop_map(PlayerCall::Unschedule),
        1 => Just(PlayerCall::Scheduled),
        1 => Just(PlayerCall::WriteCmd("stop".into())),
        1 => (0..8_i64).prop_map(PlayerCall::SetCovMode),
        1 => Just(PlayerCall::Why),
        2 => Just(PlayerCall::PrepareDry),
        1 => any::<bool>().prop_map(set_params),
        1 => Just(PlayerCall::GetParams),
        1 => Just(PlayerCall::HardwareWrites(100)),
        1 => Just(PlayerCall::PlayerState),
        1 => Just(PlayerCall::GetMode),
        1 => Just(PlayerCall::EarliestStart),
    ]
}

fn set_params(dry_run: bool) -> PlayerCall {
    let params = Value::Map(vec![("scan_length".into(), Value::Int(2)), ("source".into(), "M31".into())]);
    PlayerCall::SetParams { params, dry_run }
}

/// A scan at this second of the minute in which everything begins.
fn schedule(second: i64, length: i64) -> PlayerCall {
    let start = Value::List([2026, 11, 21, 2, 35, second].map(Value::Int).to_vec());
    let scan = Value::Map(vec![("start".into(), start), ("length".into(), Value::Int(length))]);
    PlayerCall::Schedule(Value::List(vec![scan]))
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => call().prop_map(Act::Call),
        1 => (0..20_u64).prop_map(Act::Cancel),
        3 => (0..300_u64).prop_map(Act::Pass),
        3 => (0..9_000_u64).prop_map(Act::Pass),
        6 => (1..40_u8).prop_map(Act::Steps),
        1 => (-5000..5000_i32).prop_map(Act::SetClock),
        1 => any::<bool>().prop_map(Act::Clock),
        1 => any::<bool>().prop_map(Act::FilesFail),
        1 => (0..3_u8).prop_map(|n| Act::Full(n == 0)),
        1 => any::<bool>().prop_map(Act::Kill),
        1 => (0..4_u8).prop_map(Act::Temper),
        1 => Just(Act::DropLink),
        2 => Just(Act::LinkBack),
        1 => Just(Act::Unprogram),
        1 => Just(Act::BoardFails),
        1 => Just(Act::BoardSilent),
        1 => prop_oneof![Just(1_u64), Just(1), 1..400_u64].prop_map(Act::BoardTakes),
        1 => (0..3_u8).prop_map(|n| Act::StatusFails(n == 0)),
        1 => (0..3_u8).prop_map(|n| Act::SpawnFails(n == 0)),
        1 => Just(Act::Reload),
        1 => Just(Act::Hosts),
    ]
}

/// The node's queue: writes wait for their turn.
struct Session {
    world: World,
    queue: VecDeque<PlayerCall>,
}

impl Session {
    fn act(&mut self, act: Act) {
        let world = &mut self.world;
        match act {
            Act::Call(call) if waits(&call) => self.queue.push_back(call),
            Act::Call(call) => drop(world.call(call)),
            Act::Cancel(ticket) => world.tell(Input::Cancel { ticket: Ticket(ticket) }),
            Act::Pass(ms) => return self.pass(ms as f64 / 1e3),
            Act::Steps(n) => {
                for _ in 0..n {
                    self.world.step();
                    self.pump();
                }
            }
            Act::SetClock(ms) => world.set_clock(f64::from(ms) / 1e3),
            Act::Clock(kept) => {
                let clock = appliance::sys::realtime::ClockQuality { synchronised: kept, ..good_clock() };
                world.clock = Some(Ok(clock));
            }
            Act::FilesFail(fails) => world.files_fail = fails,
            Act::Full(full) => world.space = if full { 0 } else { 1 << 40 },
            Act::Kill(daq) => world.kill(if daq { Child::Daq } else { Child::FitsWriter }),
            Act::Temper(n) => {
                let all = [Temper::Good, Temper::NeedsTerm, Temper::NeedsKill, Temper::Immortal];
                world.temper = all[usize::from(n)];
            }
            Act::DropLink => world.drop_link(),
            Act::LinkBack => world.link_back(),
            Act::Unprogram => world.programmed = None,
            Act::BoardFails if world.board == Board::Good => world.board = Board::FailsOnce,
            Act::BoardSilent if world.board == Board::Good => world.board = Board::SilentOnce,
            Act::BoardFails | Act::BoardSilent => {}
            Act::BoardTakes(ms) => world.board_takes = std::time::Duration::from_millis(ms),
            Act::StatusFails(fails) => world.status_fails = fails,
            Act::SpawnFails(fails) => world.spawn_fails = fails,
            Act::Reload => world.tell(Input::Reloaded(Box::new(dibas()))),
            Act::Hosts => world.tell(Input::Hosts(Vec::new())),
        }
        self.pump();
    }

    fn pass(&mut self, seconds: f64) {
        let pieces = 8;
        for _ in 0..pieces {
            self.world.run_for(seconds / f64::from(pieces));
            self.pump();
        }
    }

    fn pump(&mut self) {
        while !self.world.player.is_busy()
            && let Some(call) = self.queue.pop_front()
        {
            self.world.call(call);
        }
    }
}

fn waits(call: &PlayerCall) -> bool {
    use PlayerCall::*;
    call.begins_something() || matches!(call, SetParam(_) | SetScanNumber(_) | WriteCmd(_) | SetCovMode(_))
}

fn play(acts: Vec<Act>, builtin: bool, hosts_awaited: bool) {
    let config = if builtin { builtin_config() } else { site_config() };
    let mut session =
        Session { world: World::unconnected(config, dibas(), hosts_awaited), queue: VecDeque::new() };
    session.world.link_back();
    for act in acts {
        session.act(act);
    }
    // What still waits is refused by a player on its way out.
    session.world.tell(Input::Shutdown);
    session.pump();
    session.world.end();
}

/// `PROPTEST_CASES` asks for more. Failures are printed as they are; no file is left behind.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_calls_facts_and_times(
        acts in prop::collection::vec(act(), 1..80),
        builtin in any::<bool>(),
        hosts_awaited in any::<bool>(),
    ) {
        play(acts, builtin, hosts_awaited);
    }
}

// With a mode set first, so that most of the time is spent in scans.
proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_acts_around_scans(mut acts in prop::collection::vec(act(), 1..60), builtin in any::<bool>()) {
        let begin = [Act::Call(set_mode("MODE1")), Act::Pass(3000), Act::Call(PlayerCall::Start(Value::Null))];
        acts.splice(0..0, begin);
        play(acts, builtin, false);
    }
}
