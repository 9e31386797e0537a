//! The gate by itself.

use super::*;
use crate::archon::status_word::StatusWord;
use crate::frames::jobs::FrameId;
use crate::proto::archon::Status;
use crate::units::Mono;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

fn facts() -> Facts {
    let mut facts = Facts::new(None, false);
    facts.connected = true;
    facts.word = StatusWord::IDLE;
    facts
}

fn status(text: &str) -> Status {
    Status::parse(text).expect("a status")
}

fn why(command: Command, facts: &Facts, grant: &Grant) -> String {
    gate(&command, facts, grant, Mono(SECOND)).expect_err("refused").to_string()
}

#[test]
fn nobodys_command_may_only_ask() {
    let watch = Grant::of(Purpose::Watch);
    for command in [
        Command::PowerOn,
        Command::PowerOff,
        Command::ApplyAll,
        Command::LoadTiming,
        Command::ResetTiming,
        Command::Reboot,
        Command::HoldTiming,
        Command::ReleaseTiming,
        Command::ClearConfig,
        Command::PollOff,
        Command::ApplyModule { slot: 2 },
        Command::WriteConfig { line: 0, text: "A=1".into() },
        Command::FastLoadParam { name: "X".into(), value: 0 },
        Command::Raw("FLASH".into()),
    ] {
        assert!(why(command, &facts(), &watch).contains("Watch does not include it"));
    }
    assert_eq!(gate(&Command::Status, &facts(), &watch, Mono(SECOND)), Ok(()));
    assert!(why(Command::PollOn, &facts(), &watch).contains("does not stand still"));
    let mut still = facts();
    still.status.take(status("VALID=1 COUNT=5"), Mono(0));
    assert_eq!(gate(&Command::PollOn, &still, &watch, Mono(6 * SECOND)), Ok(()));
}

#[test]
fn a_lock_is_kept_until_the_frame_is_safe() {
    let id = FrameId { buffer: 2, frame: 9, ..FrameId::default() };
    let mut held = facts();
    held.held = Some(Held { id, base: 0xA000_0000, blocks: 4 });
    let fetch = Grant::of(Purpose::Fetch);
    for command in [Command::Lock(0), Command::Lock(1), Command::Raw("lock3".into())] {
        let grant = if matches!(command, Command::Raw(_)) { Grant::of(Purpose::Talk) } else { fetch.clone() };
        assert!(why(command, &held, &grant).contains("buffer 2 is locked and its frame is not safe"));
    }
    let now = Mono(SECOND);
    assert_eq!(gate(&Command::Lock(2), &held, &Grant::of(Purpose::Watch), now), Ok(()), "taken again");
    assert_eq!(gate(&Command::Lock(0), &held, &Grant::of(Purpose::Release), now), Ok(()));
    let inside = Command::Fetch { address: 0xA000_0400, blocks: 3 };
    assert_eq!(gate(&inside, &held, &fetch, now), Ok(()));
    for (address, blocks) in [(0xA000_0400, 4), (0x9FFF_FC00, 1), (0xA000_0000, 0)] {
        assert!(
            why(Command::Fetch { address, blocks }, &held, &fetch).contains("not within the locked frame")
        );
    }
}

#[test]
fn status_is_fresh_only_while_count_moves() {
    let mut fact = StatusFact::default();
    assert!(fact.fresh(Mono(0)).is_err());
    assert!(fact.take(status("VALID=1 COUNT=1"), Mono(0)));
    assert!(fact.fresh(Mono(SECOND)).is_err_and(|e| e.contains("not been seen to advance")));
    assert!(fact.take(status("VALID=1 COUNT=2"), Mono(SECOND)));
    assert!(fact.fresh(Mono(2 * SECOND)).is_ok());
    assert!(fact.take(status("VALID=1 COUNT=2"), Mono(12 * SECOND)));
    assert!(fact.fresh(Mono(12 * SECOND)).is_err_and(|e| e.contains("stands still")));
    assert!(!fact.take(status("VALID=0 COUNT=3"), Mono(13 * SECOND)));
    assert!(fact.fresh(Mono(13 * SECOND)).is_err_and(|e| e.contains("VALID=0")));
    let late = Mono(13 * SECOND) + STATUS_FRESH + Duration::from_secs(1);
    fact.invalid = false;
    assert!(fact.fresh(late).is_err_and(|e| e.contains("s old")));
}

#[test]
fn half_a_configuration_powers_nothing() {
    let mut half = facts();
    half.memory = Memory::HalfWritten("cut".into());
    let all = [Class::PowerOn, Class::ApplyAll, Class::LoadTiming];
    let grant = Grant::with(Purpose::Load, &all, &Consent::default());
    for command in [Command::PowerOn, Command::ApplyAll, Command::LoadTiming, Command::ApplyCds] {
        assert!(why(command, &half, &grant).contains("half written (cut)"));
    }
}
