//! The plan of `set_mode(MODE1)` through a simulated ROACH and through a mapped file.

use appliance::config::dibas::{Bank, Dibas, Mode};
use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::mmap::{MmapFpga, Window};
use appliance::fpga::model::{BoardConfig, Catalogue, dibas_registers};
use appliance::fpga::{Fpga, FpgaError, FpgaOp, FpgaReply};
use appliance::plan::{OnFailure, Plan, Step};
use appliance::player::compile;
use appliance::player::engine::{self, Engine};
use appliance::sim::roach2::{ClientId, Output, Roach, RoachConfig};
use appliance::units::{Mono, Now, Utc};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

const ME: ClientId = ClientId(1);
/// Time does not pass here: nothing waits for anything.
const NOW: Now = Now { mono: Mono(1_000_000_000), utc: Utc(0) };

fn resolve(host: &str) -> Option<Ipv4Addr> {
    host.parse().ok().or(Some(Ipv4Addr::new(10, 17, 0, host.len() as u8)))
}

/// The whole procedure, compiled as the player and `appliance plan` do it.
fn plan() -> Plan {
    let dibas =
        Dibas::load(include_str!("../../config/dibas.example.conf"), "example").expect("it is shipped");
    let mut bank: Bank = dibas.bank("BANKA").expect("a bank").clone();
    // Behind the KATCP server only.
    bank.synth = None;
    let mode: &Mode = dibas.mode("MODE1").expect("a mode");
    let site = engine::Site {
        dibas: &dibas,
        resolve: &resolve,
        dibas_dir: "/opt/dibas",
        data_root: "/tmp",
        reference_rounding: false,
    };
    let engine = Engine::new(&bank, mode, None, &site).expect("an engine");
    let prepared = engine.prepare().expect("defaults are good");
    let site = compile::Site {
        dibas: &dibas,
        bank: &bank,
        resolve: &resolve,
        simulate: false,
        fits_writer: false,
        clear_status: false,
        await_daq: false,
    };
    let mut plan = compile::set_mode(&site, mode, engine.fpga(), &prepared).expect("a plan");
    plan.phases.extend(compile::prepare(mode, engine.fpga(), &prepared).phases);
    plan
}

/// What the plan asks of the board, in order; whether a failure is a warning only.
fn operations(plan: &Plan) -> Vec<(FpgaOp, OnFailure)> {
    let mut operations = Vec::new();
    for phase in &plan.phases {
        for step in &phase.steps {
            match step {
                Step::Fpga(op) => operations.push((op.clone(), phase.on_failure)),
                Step::SetRegister { register, value } => {
                    let op = FpgaOp::WriteChanged { words: vec![(register.clone(), *value)], blobs: vec![] };
                    operations.push((op, phase.on_failure));
                }
                _ => {}
            }
        }
    }
    operations
}

/// Bytes to and fro until both rest.
fn settle(fpga: &mut KatcpFpga, roach: &mut Roach) {
    loop {
        let mut moved = false;
        while let Some(output) = fpga.poll_link() {
            moved = true;
            match output {
                LinkOutput::Connect { .. } => {
                    roach.connect(ME, "test", NOW);
                    fpga.connected(NOW);
                }
                LinkOutput::Send(bytes) => roach.receive(ME, &bytes, NOW),
                LinkOutput::Disconnect(why) => panic!("dropped: {why}"),
                _ => {}
            }
        }
        while let Some(output) = roach.poll() {
            moved = true;
            if let Output::Send(ME, bytes) = output {
                fpga.receive(&bytes, NOW);
            }
        }
        if !moved {
            return;
        }
    }
}

fn through_katcp(operations: &[(FpgaOp, OnFailure)]) -> Roach {
    let board = BoardConfig { catalogue: Catalogue::accepting_any(), ..BoardConfig::default() };
    let mut roach = Roach::new(RoachConfig { board, ..RoachConfig::default() });
    let mut fpga = KatcpFpga::new(KatcpFpgaConfig::default());
    fpga.tick(NOW);
    settle(&mut fpga, &mut roach);
    for (op, _) in operations {
        fpga.submit(op.clone(), NOW);
        settle(&mut fpga, &mut roach);
        let (_, result) = fpga.poll().expect("an answer");
        result.unwrap_or_else(|e| panic!("{op:?}: {e}"));
    }
    roach
}

/// The registers of the family as a table, and a device of zeros.
fn device(dir: &Path, order: &str) -> String {
    let map = dibas_registers();
    let mut table = String::from("# every register of the simulated board\n");
    for r in map.iter() {
        writeln!(table, "{} {:#x} {}", r.name, r.offset, r.size).expect("memory");
    }
    let (device, tab) = (dir.join(order), dir.join("core_info.tab"));
    std::fs::write(&device, vec![0; map.window() as usize]).expect("written");
    std::fs::write(&tab, table).expect("written");
    format!("mmap:{}?map={}&order={order}", device.display(), tab.display())
}

fn open(address: &str) -> MmapFpga {
    let mut fpga = MmapFpga::new(address.parse().expect("an address"));
    let window = Window::open(fpga.address());
    fpga.opened(window, NOW);
    fpga
}

fn run(fpga: &mut MmapFpga, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
    fpga.submit(op, NOW);
    loop {
        if let Some((_, result)) = fpga.poll() {
            return result;
        }
        fpga.tick(NOW);
    }
}

#[test]
fn the_same_plan_leaves_the_same_registers() {
    let operations = operations(&plan());
    let count = |wanted: fn(&FpgaOp) -> bool| operations.iter().filter(|(op, _)| wanted(op)).count();
    assert!(count(|op| matches!(op, FpgaOp::TapStart { .. } | FpgaOp::SetArp { .. })) >= 2);
    assert!(count(|op| matches!(op, FpgaOp::Write { .. } | FpgaOp::WriteChanged { .. })) >= 20);
    let roach = through_katcp(&operations);
    let dir = tempfile::tempdir().expect("a directory");
    for order in ["big", "little"] {
        let mut fpga = open(&format!("{}&runs=h1k_example.bof&i2c=none", device(dir.path(), order)));
        let mut warnings = Vec::new();
        for (op, on_failure) in &operations {
            match (run(&mut fpga, op.clone()), on_failure) {
                (Ok(_), _) => {}
                (Err(error), OnFailure::Warn) => warnings.push(error.to_string()),
                (Err(error), OnFailure::Abort) => panic!("{op:?}: {error}"),
            }
        }
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("cannot be deprogrammed"), "{warnings:?}");
        let mut set = 0;
        // The counter runs by itself on the simulated board.
        for register in dibas_registers().iter().filter(|r| r.name != "sys_clkcounter") {
            let read = FpgaOp::Read { register: register.name.clone(), offset: 0, len: register.size };
            let Ok(FpgaReply::Bytes(mapped)) = run(&mut fpga, read) else { panic!("{}", register.name) };
            let served =
                roach.board().read(&register.name, 0, register.size.into(), NOW.utc).expect("a register");
            assert!(mapped == served, "{} differs ({order})", register.name);
            set += usize::from(mapped.iter().any(|b| *b != 0));
        }
        assert!(set >= 8, "only {set} registers are set: this compares nothing");
    }
}

#[test]
fn without_programming_the_plan_stops_with_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut fpga = open(&device(dir.path(), "big"));
    let operations = operations(&plan());
    let failed = operations.iter().find_map(|(op, on_failure)| {
        let result = run(&mut fpga, op.clone());
        result.err().filter(|_| *on_failure == OnFailure::Abort)
    });
    let text = failed.expect("mapped memory is not programmed").to_string();
    assert!(
        text.contains("progdev (mapped memory cannot be programmed") && text.contains("runs=IMAGE"),
        "{text}"
    );
}

/// Every refusal a caller may match on has the same text either way.
#[test]
fn refusals_are_the_same_either_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut mapped = open(&device(dir.path(), "little"));
    let board = BoardConfig { catalogue: Catalogue::accepting_any(), ..BoardConfig::default() };
    let mut roach = Roach::new(RoachConfig { board, ..RoachConfig::default() });
    roach.board_mut().program("x.bof", NOW.utc);
    let mut served = KatcpFpga::new(KatcpFpgaConfig::default());
    served.tick(NOW);
    settle(&mut served, &mut roach);
    let read = |register: &str, offset, len| FpgaOp::Read { register: register.into(), offset, len };
    let write = |register: &str, offset, data: &[u8]| FpgaOp::Write {
        register: register.into(),
        offset,
        data: data.to_vec(),
        verify: false,
    };
    for op in [
        read("nosuch", 0, 4),
        read("acc_len", 0, 8),
        read("acc_len", 4, 4),
        read("acc_len", 0, 0),
        write("nosuch", 0, b"abcd"),
        write("acc_len", 0, b"abcdefgh"),
        write("acc_len", 0, b""),
    ] {
        served.submit(op.clone(), NOW);
        settle(&mut served, &mut roach);
        let (_, wanted) = served.poll().expect("an answer");
        let wanted = wanted.expect_err("refused").to_string();
        let got = run(&mut mapped, op).expect_err("refused").to_string();
        let without_log = |text: &str| text.split("\n  Log:").next().unwrap_or_default().to_owned();
        assert_eq!(without_log(&got), without_log(&wanted));
    }
}
