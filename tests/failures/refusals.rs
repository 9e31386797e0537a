//! A player that cannot or must not run says why, with the remedy, and touches nothing.

use super::processes::run_to_end;
use super::rig::Rig;
use appliance::shm::{Dialect, StatusError, StatusMemory, key_file, keys};
use std::path::Path;
use std::process::Command;

fn run(command: &mut Command, dir: &Path) -> (String, Option<i32>) {
    run_to_end(command, &dir.join("refused.log"))
}

#[test]
fn a_port_that_is_taken_is_said() {
    let (first, second) = (Rig::start(), Rig::start());
    let other = second.stopped();
    let mut command = other.player_command();
    command.arg("--set").arg(format!("listen.json={}", first.address()));
    let (said, code) = run(&mut command, other.dir.path());
    assert_eq!(code, Some(1), "{said}");
    let port = first.address().rsplit(':').next().expect("a port");
    assert!(said.contains("cannot listen") && said.contains(port) && said.contains("in use"), "{said}");
    first.done("list_modes", vec![]);
}

#[test]
fn a_second_player_for_a_bank_is_refused() {
    let rig = Rig::start();
    let (said, code) = run(&mut rig.player_command(), rig.dir.path());
    assert_eq!(code, Some(1), "{said}");
    let pid = rig.player.pid().to_string();
    assert!(said.contains("another player") && said.contains(&rig.bank()) && said.contains(&pid), "{said}");
    rig.observe();
}

/// A configuration, what must be said about it, and changes to the command line.
struct Broken<'a> {
    toml: &'a str,
    set: &'a [&'a str],
    dibas_conf: Option<(&'a str, &'a str)>,
    said: &'a [&'a str],
}

const BROKEN: &[Broken] = &[
    Broken { toml: "[player\nbank = 1", set: &[], dibas_conf: None, said: &["appliance.toml", "line 1"] },
    Broken {
        toml: "[player]\nbanc = \"BANKA\"\n",
        set: &[],
        dibas_conf: None,
        said: &["appliance.toml", "line 2", "banc", "'bank'"],
    },
    Broken {
        toml: "[listen]\njson = \"tcp://0.0.0.0:0\"\n",
        set: &[],
        dibas_conf: None,
        said: &["tcp://0.0.0.0:0", "allow"],
    },
    Broken { toml: "", set: &["listen.json=tcp://0.0.0.0:0"], dibas_conf: None, said: &["0.0.0.0", "allow"] },
    Broken {
        toml: "",
        set: &["player.bank=BANKQUX"],
        dibas_conf: None,
        said: &["dibas.conf", "BANKQUX", "there are: BANK"],
    },
    Broken { toml: "", set: &["player.bnak=BANKA"], dibas_conf: None, said: &["bnak", "'bank'"] },
    Broken {
        toml: "",
        set: &["player.dibas_conf=/nonexistent/dibas.conf"],
        dibas_conf: None,
        said: &["/nonexistent/dibas.conf", "No such file"],
    },
    Broken {
        toml: "",
        set: &[],
        dibas_conf: Some(("[DEFAULTS]", "[DEFAULTS")),
        said: &["dibas.conf:", "[DEFAULTS"],
    },
    Broken {
        toml: "",
        set: &[],
        dibas_conf: Some(("katcp_port =", "# katcp_port =")),
        said: &["BANK", "katcp_port"],
    },
];

#[test]
fn a_broken_configuration_ends_with_two_and_touches_nothing() {
    let rig = Rig::start().stopped();
    let dir = rig.dir.path();
    let keyfile = dir.join("other-keyfile");
    key_file::make(&keyfile).expect("a key file");
    let good = std::fs::read_to_string(dir.join("dibas.conf")).expect("there");
    for (n, case) in BROKEN.iter().enumerate() {
        let toml = dir.join("appliance.toml");
        std::fs::write(&toml, case.toml).expect("written");
        if let Some((from, to)) = case.dibas_conf {
            std::fs::write(dir.join("dibas.conf"), good.replace(from, to)).expect("written");
        }
        let mut command = rig.player_command();
        command.arg("--config").arg(&toml);
        let record = dir.join("other-record");
        for (key, value) in [("shm.keyfile", &keyfile), ("record.dir", &record)] {
            command.arg("--set").arg(format!("{key}={}", value.display()));
        }
        if case.toml.contains("json") {
            command = without(&command, "listen.json=");
        }
        command.args(case.set.iter().flat_map(|s| ["--set", s]));
        let (said, code) = run(&mut command, dir);
        assert_eq!(code, Some(2), "case {n}: {said}");
        for word in case.said {
            assert!(said.contains(word), "case {n}: no '{word}' in: {said}");
        }
        std::fs::write(dir.join("dibas.conf"), &good).expect("written");
        assert!(!record.exists(), "case {n}: a record was begun");
    }
    for instance in 0..26 {
        let location = keys::status_location(Some(&keyfile), instance, &|_| None).expect("a key");
        let found = StatusMemory::attach(&location, Dialect::Hashpipe, instance);
        assert!(matches!(found, Err(StatusError::Missing { .. })), "status memory was made: {location}");
    }
}

/// The command line without one `--set`.
fn without(command: &Command, key: &str) -> Command {
    let args: Vec<_> = command.get_args().collect();
    let mut less = Command::new(command.get_program());
    let mut skip = false;
    for (i, arg) in args.iter().enumerate() {
        let next_is_it = args.get(i + 1).is_some_and(|next| next.to_string_lossy().starts_with(key));
        let drop = skip || (*arg == "--set" && next_is_it);
        skip = *arg == "--set" && next_is_it;
        if !drop {
            less.arg(arg);
        }
    }
    less
}
