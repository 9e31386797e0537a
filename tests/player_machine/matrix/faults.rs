//! What may happen at any step.

use super::families::{Family, Roach};
use crate::serial::Device;
use crate::world::*;
use appliance::plan::Child;
use appliance::player::bank::{Input, Ticket};
use appliance::player::methods::PlayerCall;

/// The faults, and the list of all of them.
macro_rules! faults {
    ($($name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($name,)*
        }

        pub const ALL: &[Fault] = &[$(Fault::$name,)*];
    };
}

faults! {
    LinkDrops,
    BoardFails,
    BoardSilent,
    DaqDies,
    DaqHangs,
    Stop,
    ClockForward,
    ClockBack,
    LinkDropsAndReturns,
    StatusFails,
    SpawnFails,
    FitsWriterDies,
    NeedsTerm,
    NeedsKill,
    Immortal,
    Withdrawn,
    Shutdown,
    HandOver,
    Unlocked,
    SynthRefuses,
    SynthSilent,
    SynthGone,
    ParFileBad,
    ParFileNever,
}

use Fault::*;

/// What the specification asks for at every step.
pub const OF_THE_ISSUE: [Fault; 8] =
    [LinkDrops, BoardFails, BoardSilent, DaqDies, DaqHangs, Stop, ClockForward, ClockBack];

impl Fault {
    /// Is there what this strikes?
    pub fn suits(self, family: &Family) -> bool {
        match self {
            LinkDrops | LinkDropsAndReturns => family.roach == Roach::Driven,
            BoardFails | BoardSilent | Unlocked => family.roach == Roach::Driven,
            FitsWriterDies => family.writer,
            SynthRefuses | SynthSilent | SynthGone => family.serial_synth,
            ParFileBad | ParFileNever => family.folds,
            _ => true,
        }
    }

    pub fn strike(self, world: &mut World, ticket: Option<u64>) {
        let now = world.now;
        match self {
            LinkDrops => world.drop_link(),
            LinkDropsAndReturns => world.restart_board(),
            // A board that is gone neither fails nor hangs.
            BoardFails | BoardSilent if world.board != Board::Good => {}
            BoardFails => world.board_fails(),
            BoardSilent => world.board_hangs(),
            StatusFails => world.status_fails = true,
            SpawnFails => world.spawn_fails = true,
            DaqDies => world.kill(Child::Daq),
            DaqHangs => world.hang(),
            FitsWriterDies => world.kill(Child::FitsWriter),
            NeedsTerm => world.temper = Temper::NeedsTerm,
            NeedsKill => world.temper = Temper::NeedsKill,
            Immortal => world.temper = Temper::Immortal,
            Stop => drop(world.call(PlayerCall::Stop)),
            Withdrawn => {
                if let Some(ticket) = ticket {
                    world.tell(Input::Cancel { ticket: Ticket(ticket) });
                }
            }
            ClockForward => world.set_clock(3.0),
            ClockBack => world.set_clock(-3.0),
            Shutdown => world.tell(Input::Shutdown),
            HandOver => world.tell(Input::HandOver),
            Unlocked => {
                world.locked = false;
                if let Some(wire) = &mut world.wire {
                    wire.lock(Some(appliance::sim::valon::LockFault::Never));
                }
                if let Some(synth) = &mut world.synth {
                    synth.valon.set_fault(Some(appliance::sim::valon::LockFault::Never));
                }
            }
            SynthRefuses | SynthSilent | SynthGone => {
                let synth = world.synth.as_mut().expect("only families with a serial line");
                match self {
                    SynthRefuses => synth.device = Device::RefusesOnce,
                    SynthSilent => synth.device = Device::SilentOnce,
                    _ => synth.pull_out(now),
                }
                world.tick();
            }
            ParFileBad => world.par_file = Some(Err("No such file or directory".into())),
            ParFileNever => world.par_file = None,
        }
    }
}
