//! Tells the program which commit it was built from, for the proof of a scan.
//!
//! `APPLIANCE_COMMIT` says it where there is no git (a package's build); else git is asked, in release builds only:
//! looking at every commit would build everything again after each of them. Nothing here can fail a build.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=APPLIANCE_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    let given = std::env::var("APPLIANCE_COMMIT").ok().filter(|text| !text.is_empty());
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if let Some(commit) = given.or_else(|| release.then(commit).flatten()) {
        println!("cargo:rustc-env=APPLIANCE_COMMIT={commit}");
    }
}

/// The commit, with `+changes` if the tree differs from it.
fn commit() -> Option<String> {
    for path in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={head}");
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes =
        git(&["status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.toml", "Cargo.lock"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}+changes") })
}

/// What git answers, if it is there and this is its tree.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .args(args)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}
