//! The generated documents in `docs/` are those this source generates, and what README.md tells people to
//! type exists.

use appliance::api::keys::find;
use appliance::cli::gen_docs;
use appliance::player::keys::{PREPARED, SCAN};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn appliance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_appliance"))
}

#[test]
fn the_references_in_docs_are_up_to_date() {
    let differ: Vec<_> = gen_docs::references()
        .into_iter()
        .filter(|(name, text)| read(&format!("docs/{name}")) != *text)
        .map(|(name, _)| name)
        .collect();
    assert!(
        differ.is_empty(),
        "docs/{{{}}}: write them again with `cargo run -- gen-docs target/docs && cp target/docs/*.md docs/`",
        differ.join(",")
    );
}

#[test]
fn man_pages_and_completions_are_written_for_every_subcommand() {
    let dir = tempfile::tempdir().expect("a directory");
    let done = appliance().arg("gen-docs").arg(dir.path()).output().expect("runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = |name: &str| std::fs::read_to_string(dir.path().join("man").join(name)).expect("a page");
    for subcommand in subcommands() {
        // roff writes a hyphen as \-.
        let shown = subcommand.replace('-', "\\-");
        assert!(page("appliance.1").contains(&shown), "appliance.1 does not name {subcommand}");
        assert!(page(&format!("appliance-{subcommand}.1")).contains(".SH NAME"), "{subcommand}");
    }
    for shell in ["appliance.bash", "_appliance", "appliance.fish"] {
        let text = std::fs::read_to_string(dir.path().join("completions").join(shell)).expect("completions");
        for subcommand in subcommands() {
            assert!(text.contains(&subcommand), "{shell} does not complete {subcommand}");
        }
    }
}

#[test]
fn bash_can_read_its_completions() {
    let dir = tempfile::tempdir().expect("a directory");
    gen_docs::write_all(dir.path()).expect("written");
    let file = dir.path().join("completions/appliance.bash");
    let done = match Command::new("bash").arg("-n").arg(&file).output() {
        Ok(done) => done,
        Err(e) => return println!("SKIPPED: no bash: {e}"),
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Subcommands as `appliance --help` lists them.
fn subcommands() -> BTreeSet<String> {
    let help = appliance().arg("--help").output().expect("runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let list = help.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = list.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != "help").collect()
}

/// Everything the README, the map and the manual quote as a command or link to.
#[test]
fn what_the_readme_tells_people_to_type_is_there() {
    let known = subcommands();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for script in words_after(&text, "scripts/") {
            assert!(root().join("scripts").join(&script).is_file(), "{document}: scripts/{script}");
        }
        for subcommand in code_of(&text).iter().flat_map(|code| words_after(code, "appliance ")) {
            let is_subcommand = !subcommand.is_empty() && !subcommand.starts_with('-');
            assert!(!is_subcommand || known.contains(&subcommand), "{document}: appliance {subcommand}");
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = !link.contains("://") && !link.starts_with('#');
            assert!(!local || root().join(link).exists(), "{document}: link to {link}");
        }
    }
}

/// Quoted code: what is between backquotes, fenced blocks included.
fn code_of(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn words_after(text: &str, lead: &str) -> BTreeSet<String> {
    let in_word = |c: &char| c.is_ascii_lowercase() || *c == '-';
    text.split(lead)
        .skip(1)
        .map(|rest| rest.chars().take_while(in_word).collect::<String>())
        .filter(|w| !w.is_empty())
        .collect()
}

/// `set_mode` and `prepare` are held to their table where it is; here is the rest of the player.
#[test]
fn the_keys_the_player_writes_around_a_scan_are_those_of_the_table() {
    let mut written = BTreeSet::new();
    for file in files_under(&root().join("src/player")) {
        if !file.ends_with("keys.rs") && !file.components().any(|c| c.as_os_str() == "engine") {
            let text = std::fs::read_to_string(&file).expect("UTF-8");
            let product = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            written.extend(pairs_of(&product));
        }
    }
    let unknown: Vec<_> = written.iter().filter(|k| find(SCAN, k).or(find(PREPARED, k)).is_none()).collect();
    assert!(unknown.is_empty(), "written, but not in player::keys: {unknown:?}");
    for key in SCAN {
        assert!(written.contains(key.name), "{} is in player::keys, but nobody writes it", key.name);
    }
}

/// Keys of the pairs `("KEY".into(), ...` and `("KEY".to_owned(), ...`.
fn pairs_of(code: &str) -> BTreeSet<String> {
    let is_key = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let starts = code.split("(\"").skip(1).filter_map(|rest| rest.split_once('"'));
    starts
        .filter(|(name, rest)| {
            !name.is_empty()
                && name.chars().all(is_key)
                && [".into(),", ".to_owned(),"].iter().any(|tail| rest.starts_with(tail))
        })
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("readable").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|dir| files_under(dir))).collect()
}
