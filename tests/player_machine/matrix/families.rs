//! The mode families, each with a bank and the DAQ program it is played with.

use crate::wire::Wire;
use crate::world::*;
use appliance::config::dibas::{Dibas, SynthAt};
use appliance::player::bank::Input;
use appliance::player::config::{DaqProgram, PlayerConfig};
use appliance::player::methods::PlayerCall;
use appliance::player::state::Link;
use appliance::value::Value;
use std::sync::LazyLock;
use std::time::Duration;

const LOOPBACK: &str = include_str!("../../../config/dibas.loopback.conf");
static DIBAS: LazyLock<Dibas> =
    LazyLock::new(|| Dibas::load(LOOPBACK, "loopback").expect("the example is good"));
const GPU_TAKES: Duration = Duration::from_secs(1);
const NET_TAKES: Duration = Duration::from_millis(500);

/// Where the board of a bank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roach {
    /// There, and driven by the mode.
    Driven,
    /// The bank has none.
    None,
    /// The bank has one that is not reached; the mode does not need it.
    Unreachable,
}

/// A mode family on a bank.
pub struct Family {
    pub name: &'static str,
    pub bank: &'static str,
    pub mode: &'static str,
    /// The mode before; `None`: no mode.
    pub before: Option<&'static str>,
    pub roach: Roach,
    pub serial_synth: bool,
    /// The board is the simulator behind its KATCP server.
    pub wire: bool,
    pub config: fn() -> PlayerConfig,
    /// The DAQ program sets up its GPU.
    pub gpu: bool,
    /// `prepare` reads a par file.
    pub folds: bool,
    /// A FITS writer runs beside it.
    pub writer: bool,
    /// Every fault at every step of everything.
    pub whole: bool,
}

const VEGAS: Family = Family {
    name: "HBW",
    bank: "BANKA",
    mode: "MODE1",
    before: Some("INCO_MODE_64"),
    roach: Roach::Driven,
    serial_synth: false,
    wire: false,
    config: site_config,
    gpu: false,
    folds: false,
    writer: true,
    whole: false,
};
const GUPPI: Family =
    Family { name: "INCO", mode: "INCO_MODE_64", before: Some("MODE1"), writer: false, ..VEGAS };
const SLAVE: Family = Family {
    name: "CODD slave",
    bank: "BANKB",
    mode: "CODD_MODE_64",
    before: None,
    roach: Roach::None,
    folds: true,
    ..GUPPI
};

pub static FAMILIES: [Family; 14] = [
    Family { whole: true, ..VEGAS },
    Family { name: "HBW, own DAQ program", config: builtin_config, writer: false, ..VEGAS },
    Family { name: "HBW, serial synthesizer", serial_synth: true, ..VEGAS },
    Family { name: "L1LBW", mode: "MODE4", gpu: true, before: Some("MODE1"), ..VEGAS },
    Family { name: "L8LBW1", mode: "MODE5", gpu: true, ..VEGAS },
    Family { name: "L8LBW8", mode: "MODE6", gpu: true, before: None, ..VEGAS },
    Family { name: "HBW over KATCP", wire: true, ..VEGAS },
    Family { name: "INCO over KATCP", wire: true, ..GUPPI },
    Family { name: "CODD master over KATCP", bank: "BANKA", roach: Roach::Driven, wire: true, ..SLAVE },
    GUPPI,
    Family { name: "INCO, simulated DAQ program", config: simulated_config, ..GUPPI },
    Family { name: "CODD master", bank: "BANKA", roach: Roach::Driven, before: Some("MODE1"), ..SLAVE },
    SLAVE,
    Family { name: "CODD slave with a board of its own", roach: Roach::Unreachable, ..SLAVE },
];

fn simulated_config() -> PlayerConfig {
    let daq = DaqProgram::Simulated { path: "/opt/appliance".into(), args: vec!["sim".into(), "daq".into()] };
    PlayerConfig { daq, ..site_config() }
}

impl Family {
    /// A player without a mode, its board connected if it has one that answers.
    pub fn world(&self) -> World {
        let dibas = DIBAS.clone();
        let mut bank = dibas.bank(self.bank).expect("it is in the example").clone();
        if self.roach == Roach::Unreachable {
            bank.has_roach = true;
        }
        if self.serial_synth
            && let Some(synth) = &mut bank.synth
        {
            synth.where_ = SynthAt::Local;
        }
        let mut world = World::of((self.config)(), dibas, bank, false);
        world.net_takes = Some(NET_TAKES);
        world.gpu_takes = GPU_TAKES;
        world.par_file = Some(Ok("DM 71.02\n".into()));
        world.wire = self.wire.then(|| Wire::new(world.now));
        match self.roach {
            Roach::Driven if self.wire => world.tick(),
            Roach::Driven => world.tell(Input::Link(Link::Up)),
            Roach::None => {}
            Roach::Unreachable => world.drop_link(),
        }
        // The synthesizer is set up.
        world.run_for(1.0);
        world
    }

    /// In the mode before.
    pub fn before(&self) -> World {
        let mut world = self.world();
        if let Some(mode) = self.before {
            world.ask_ok(force_mode(mode));
        }
        world.log.clear();
        world
    }

    /// In the mode.
    pub fn ready(&self) -> World {
        let mut world = self.world();
        self.set(&mut world);
        world.log.clear();
        world
    }

    /// Sets the mode, with a scan of 3 s.
    pub fn set(&self, world: &mut World) {
        let reply = world.ask_ok(force_mode(self.mode));
        assert_eq!(reply, Value::verdict(true, format!("New mode {} set!", self.mode)));
        let mut pairs: Vec<(String, Value)> = vec![("scan_length".into(), 3.into())];
        if self.folds {
            pairs.push(("obs_mode".into(), "COHERENT_FOLD".into()));
            pairs.push(("par_file".into(), "/p/1937.par".into()));
        }
        world.ask_ok(PlayerCall::SetParam(pairs));
    }

    /// Everything outside works again.
    pub fn repair(&self, world: &mut World) {
        world.par_file = Some(Ok("DM 71.02\n".into()));
        world.repair();
        if self.roach == Roach::Unreachable {
            world.drop_link();
        }
    }
}
