//! Helper programs of the site: one at a time, to its end or its deadline.
//!
//! A helper is a step of a plan. When the plan ends without it, or its time is over, it is killed; the next one
//! waits for nothing: it is refused while the one before has not gone.

use super::Player;
use super::messages::{Output, StepKey};
use crate::plan::runner::Done;
use crate::player::children::exit_text;
use crate::reactor::{Exit, Program};
use crate::units::{Mono, Now};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The helper that runs.
#[derive(Debug)]
pub(super) struct Helper {
    /// Who waits for it; `None`: it was killed, and only its end is still to come.
    step: Option<StepKey>,
    until: Mono,
    within: Duration,
}

impl Player {
    pub(super) fn run_helper(&mut self, step: StepKey, command: &[String], within: Duration, now: Now) {
        let Some((program, args)) = command.split_first() else {
            return self.step_done(step, Done::Other(Err("there is no program to run".into())), now);
        };
        if self.helper.is_some() {
            let text =
                "a helper program that was killed has not gone yet; try again, or look for it on this host";
            return self.step_done(step, Done::Other(Err(text.into())), now);
        }
        self.helper = Some(Helper { step: Some(step), until: now.mono + within, within });
        let program = Program {
            path: found_by(&self.config.dibas_dir, program),
            args: args.to_vec(),
            env: self.config.env.clone(),
            die_with_parent: true,
            ..Program::default()
        };
        self.outputs.push_back(Output::RunHelper(program));
    }

    /// It ended, or could not be started.
    pub(super) fn helper_ended(&mut self, result: Result<Exit, String>, now: Now) {
        let Some(Helper { step: Some(step), .. }) = self.helper.take() else { return };
        let result = match result {
            Ok(Exit::Code(0)) => Ok(()),
            Ok(exit) => Err(format!("it ended with {}; its words are in the log", exit_text(exit))),
            Err(why) => Err(format!("it could not be started: {why}")),
        };
        self.step_done(step, Done::Other(result), now);
    }

    pub(super) fn helper_deadline(&self) -> Option<Mono> {
        self.helper.as_ref().filter(|helper| helper.step.is_some()).map(|helper| helper.until)
    }

    pub(super) fn helper_overdue(&mut self, now: Now) {
        let Some(helper) = self.helper.as_mut().filter(|helper| helper.until <= now.mono) else { return };
        let Some(step) = helper.step.take() else { return };
        let text = format!("it did not end within {} s and was killed", helper.within.as_secs_f64());
        self.outputs.push_back(Output::KillHelper);
        self.step_done(step, Done::Other(Err(text)), now);
    }

    /// Nobody waits for the helper of a plan that has ended.
    pub(super) fn end_orphaned_helper(&mut self) {
        let running = self.job.as_ref().filter(|job| job.runner.outcome().is_none()).map(|job| job.serial);
        let Some(helper) = &mut self.helper else { return };
        if helper.step.take_if(|step| Some(step.serial) != running).is_some() {
            self.outputs.push_back(Output::KillHelper);
        }
    }
}

/// A bare name is looked for on the path; a relative path begins at the installation.
fn found_by(dibas_dir: &str, program: &str) -> PathBuf {
    if program.contains('/') { Path::new(dibas_dir).join(program) } else { PathBuf::from(program) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Outcome;
    use crate::config::dibas::Dibas;
    use crate::player::bank::{Input, StatusOrder, Ticket};
    use crate::player::config::{DaqProgram, PlayerConfig, ScanRules};
    use crate::player::methods::PlayerCall;
    use crate::units::Utc;
    use crate::value::Value;

    /// A beamformer bank without a board of ours: the site's programs set up and arm its boards.
    struct Scene {
        player: Player,
        now: Now,
        /// Helper programs that were run, in words.
        run: Vec<String>,
        kills: usize,
        replies: Vec<Outcome>,
        spawned: Vec<String>,
    }

    impl Scene {
        fn new() -> Scene {
            let text = include_str!("../../../config/dibas.loopback.conf");
            let text =
                text.replacen("has_roach = true", "has_roach = false", 1).replace("sim3 = 1", "sim3 = 0");
            let boards = "has_roaches = 1\nroaches_setup = bin/setup -x 1\nroaches_arm = /site/arm 1 2\n";
            let dibas = Dibas::load(&text.replace("has_roaches = 0\n", boards), "loopback").expect("sound");
            let bank = dibas.bank("BANKA").expect("there").clone();
            let config = PlayerConfig {
                dibas_dir: "/dibas".into(),
                data_root: "/data".into(),
                simulate: false,
                reference_rounding: false,
                set_mode_always_reloads: false,
                clear_status_on_mode_change: true,
                status_memory: String::new(),
                daq: DaqProgram::Site,
                env: vec![("HASHPIPE_KEYFILE".into(), "/key".into())],
                scan: ScanRules { require_clock: false, ..ScanRules::default() },
                surroundings: Default::default(),
            };
            let now = Now { mono: Mono(1_000_000_000), utc: Utc::from_seconds(1_795_228_824) };
            let player = Player::new(config, dibas, bank, false, now);
            Scene { player, now, run: vec![], kills: 0, replies: vec![], spawned: vec![] }
        }

        fn call(&mut self, call: PlayerCall) {
            self.player.handle(Input::Call { ticket: Ticket(1), call }, self.now);
            self.settle();
        }

        fn set_mode(&mut self) {
            self.call(PlayerCall::SetMode { mode: "MODE42".into(), bandwidth: Value::Null, force: true });
        }

        /// Everything but a helper is done at once.
        fn settle(&mut self) {
            while let Some(output) = self.player.poll() {
                let fact = match output {
                    Output::RunHelper(program) => {
                        assert!(program.die_with_parent && !program.env.is_empty());
                        let words = std::iter::once(program.path.display().to_string()).chain(program.args);
                        self.run.push(words.collect::<Vec<_>>().join(" "));
                        continue;
                    }
                    Output::KillHelper => {
                        self.kills += 1;
                        continue;
                    }
                    Output::Reply { outcome, .. } => {
                        self.replies.push(outcome);
                        continue;
                    }
                    Output::Status { key, order } => {
                        let pulse = ("DAQPULSE".to_owned(), Value::from(self.now.mono.0.to_string()));
                        let answer = if let StatusOrder::Read(_) = order { vec![pulse] } else { vec![] };
                        Input::Status { key, answer: Ok(answer) }
                    }
                    Output::Spawn { child, program } => {
                        self.spawned.push(program.path.display().to_string());
                        Input::ChildStarted { child, pid: 9 }
                    }
                    Output::Line { child, line } if line == "quit\n" => {
                        Input::ChildExited { child, exit: Exit::Code(0) }
                    }
                    Output::Save(_) => Input::Saved,
                    _ => continue,
                };
                self.player.handle(fact, self.now);
            }
        }

        fn ends(&mut self, result: Result<Exit, String>) {
            self.player.handle(Input::HelperEnded(result), self.now);
            self.settle();
        }

        /// Until nothing but a helper is waited for, or the time is over.
        fn pass(&mut self, most: Duration) {
            let until = self.now.mono + most;
            while let Some(due) = self.next_due().filter(|due| *due <= until) {
                let step = due.since(self.now.mono);
                self.now = Now { mono: self.now.mono + step, utc: self.now.utc + step };
                self.player.tick(self.now);
                self.settle();
            }
            let rest = until.since(self.now.mono);
            self.now = Now { mono: until, utc: self.now.utc + rest };
        }

        fn until_third_helper(&mut self) {
            for _ in 0..1000 {
                if self.run.len() == 3 {
                    return;
                }
                let due = self.next_due().expect("something is waited for");
                self.pass(due.since(self.now.mono));
            }
            panic!("no third helper: {:?}", self.run);
        }

        fn next_due(&self) -> Option<Mono> {
            let due = self.player.deadlines();
            let wall = due
                .utc
                .map(|at| self.now.mono + Duration::from_nanos(at.nanos_since(self.now.utc).max(0) as u64));
            [due.mono, wall].into_iter().flatten().min()
        }

        fn last_error(&self) -> &str {
            self.replies.last().and_then(|reply| reply.as_ref().err()).map_or("(none)", |e| &e.message)
        }

        fn ready() -> Scene {
            let mut s = Scene::new();
            s.set_mode();
            s.ends(Ok(Exit::Code(0)));
            s.ends(Ok(Exit::Code(0)));
            s.pass(Duration::from_secs(20));
            assert_eq!(s.replies, [Ok(Value::verdict(true, "New mode MODE42 set!"))]);
            s
        }
    }

    #[test]
    fn memory_is_cleaned_and_boards_are_set_up_before_the_pipeline_starts() {
        let mut s = Scene::new();
        s.set_mode();
        assert_eq!(s.run, ["hashpipe_clean_shmem -I 0"]);
        // The pipeline says itself what is wrong with its memory.
        s.ends(Err("No such file or directory".into()));
        assert_eq!(s.run[1..], ["/dibas/bin/setup -x 1"]);
        assert!(s.spawned.is_empty());
        s.ends(Ok(Exit::Code(0)));
        assert_eq!(s.spawned, ["hashpipe"], "its writer attaches to what the pipeline makes");
        s.pass(Duration::from_secs(1));
        assert_eq!(s.spawned, ["hashpipe", "/dibas/exec/x86_64-linux/bfFitsWriter"]);
    }

    #[test]
    fn boards_that_are_not_set_up_refuse_the_mode() {
        let mut s = Scene::new();
        s.set_mode();
        s.ends(Ok(Exit::Code(0)));
        s.ends(Ok(Exit::Code(3)));
        let why = s.last_error();
        assert!(why.contains("setup_boards") && why.contains("exit status 3"), "{why}");
        assert!(s.spawned.is_empty());
    }

    #[test]
    fn a_helper_that_hangs_is_killed_and_none_is_started_beside_it() {
        let mut s = Scene::new();
        s.set_mode();
        s.ends(Ok(Exit::Code(0)));
        s.pass(Duration::from_secs(179));
        assert_eq!((s.kills, s.replies.len()), (0, 0));
        s.pass(Duration::from_secs(2));
        assert_eq!(s.kills, 1);
        assert!(s.last_error().contains("did not end within 180 s and was killed"), "{}", s.last_error());
        s.set_mode();
        assert_eq!(s.run.len(), 2, "the one that was killed has not gone");
        assert!(s.last_error().contains("has not gone yet"), "{}", s.last_error());
        s.ends(Ok(Exit::Signal(9)));
        s.set_mode();
        assert_eq!(s.run.len(), 3);
    }

    #[test]
    fn nobody_waits_for_the_helper_of_a_player_that_leaves() {
        let mut s = Scene::new();
        s.set_mode();
        s.player.handle(Input::Shutdown, s.now);
        s.settle();
        assert_eq!(s.kills, 1);
        assert_eq!(s.last_error(), "the player is shutting down");
        // Its end comes late and belongs to nobody.
        s.ends(Ok(Exit::Signal(9)));
        assert_eq!(s.replies.len(), 1);
    }

    #[test]
    fn the_sites_program_arms_and_a_failure_ends_the_start() {
        let mut s = Scene::ready();
        s.call(PlayerCall::Start(Value::Null));
        let begun = s.now.utc;
        s.until_third_helper();
        assert_eq!(s.run[2..], ["/site/arm 1 2"]);
        assert_eq!(s.now.utc, (begun.ceil_second() + Duration::from_secs(3)) - Duration::from_millis(900));
        s.ends(Ok(Exit::Code(1)));
        assert!(
            s.last_error().contains("arm") && s.last_error().contains("exit status 1"),
            "{}",
            s.last_error()
        );

        let mut s = Scene::ready();
        s.call(PlayerCall::StartIn { in_secs: 5.0, dur_secs: 10.0 });
        s.until_third_helper();
        s.ends(Ok(Exit::Code(0)));
        let text = format!("{:?}", s.replies.last());
        assert!(text.contains("Successfully started roach"), "{text}");
    }
}
