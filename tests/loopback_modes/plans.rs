//! The plans a player must have carried out, made here from the same configuration.

use appliance::config::dibas::Dibas;
use appliance::plan::Plan;
use appliance::player::compile;
use appliance::player::engine::{Engine, Site};
use appliance::units::Utc;
use appliance::value::Value;
use std::net::Ipv4Addr;

/// `set_mode`, `prepare` with these parameters, and `start` on a bank; the hosts of the configuration are addresses.
pub fn plans(dibas: &Dibas, bank: &str, mode: &str, parameters: &[(&str, Value)]) -> [Plan; 3] {
    let (bank, mode) = (dibas.bank(bank).expect("a bank"), dibas.mode(mode).expect("a mode"));
    let resolve = |name: &str| name.parse::<Ipv4Addr>().ok();
    let site = Site { dibas, resolve: &resolve, dibas_dir: "", data_root: "/tmp", reference_rounding: false };
    let mut engine = Engine::new(bank, mode, None, &site).expect("an engine");
    let procedures = compile::Site {
        dibas,
        bank,
        resolve: &resolve,
        simulate: false,
        fits_writer: false,
        clear_status: false,
        await_daq: true,
    };
    let set_mode = compile::set_mode(&procedures, mode, engine.fpga(), engine.initial()).expect("a plan");
    let pairs: Vec<(String, Value)> = parameters.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    engine.set_params(&pairs).expect("parameters of the mode");
    let prepare = compile::prepare(mode, engine.fpga(), &engine.prepare().expect("it can be prepared"));
    let start = compile::start(&procedures, mode, engine.fpga(), Utc(0), Utc(0), false);
    [set_mode, prepare, start]
}
