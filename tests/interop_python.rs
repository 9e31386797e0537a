//! Our own Python client, `scripts/python`, against real daemons: players, players of the old kind, the dealer proxy and
//! the CCD host. What is checked is in `tests/interop/python_client_test.py`, which starts and ends them; here it is run,
//! and the package is checked by mypy where that is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that has these modules, or `None` after saying that the test is skipped.
fn python(modules: &str) -> Option<PathBuf> {
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    let found =
        Command::new(&python).args(["-c", &format!("import {modules}")]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    println!(
        "SKIPPED: {} does not have all of {modules}; run scripts/test, or set APPLIANCE_PYTHON",
        python.display()
    );
    None
}

/// Runs the cases whose names match; each says on standard error what it did.
fn cases(modules: &str, class: &str) {
    let Some(python) = python(modules) else { return };
    let run = Command::new(python)
        .arg(root().join("tests/interop/python_client_test.py"))
        .arg(class)
        .env("APPLIANCE_BINARY", env!("CARGO_BIN_EXE_appliance"))
        .env_remove("APPLIANCE_DEALER")
        .env_remove("DIBAS_DIR")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    let seen = String::from_utf8_lossy(&run.stderr);
    println!("{seen}");
    assert!(run.status.success(), "{class}:\n{}\n{seen}", String::from_utf8_lossy(&run.stdout));
    assert!(!seen.contains("Ran 0 tests"), "{class} has no case");
}

#[test]
fn an_observer_with_three_players() {
    cases("zmq", "Directly");
}

#[test]
fn an_observer_through_the_proxy() {
    cases("zmq", "ThroughTheProxy");
}

#[test]
fn players_that_fail() {
    cases("zmq", "Failing");
}

#[test]
fn control_and_what_goes_beside_a_call() {
    cases("zmq", "Leases");
    cases("zmq", "Requests");
}

#[test]
fn players_by_configuration() {
    cases("zmq", "Site");
}

#[test]
fn a_controller_of_a_ccd_host() {
    cases("zmq, numpy, astropy", "Archon");
}

#[test]
fn the_package_is_typed() {
    let Some(python) = python("mypy, zmq") else { return };
    let run = Command::new(python)
        .args(["-m", "mypy", "--strict", "--cache-dir=/dev/null", "appliance_client", "dealer.py"])
        .current_dir(root().join("scripts/python"))
        .output()
        .expect("Python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
