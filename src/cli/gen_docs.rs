//! `appliance gen-docs DIR`: manual pages, shell completions and references, all derived from the tables the
//! program itself uses.

use crate::api::docs::methods_md;
use crate::api::keys::{KeyGroup, keys_md};
use crate::api::table::Table;
use crate::config::docs::config_md;
use crate::{archon, daq, dealer, player};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The shells completions are written for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Write man pages, completions, METHODS.md, KEYS.md and CONFIG.md into a directory.
#[derive(clap::Args, Debug)]
pub struct GenDocsArgs {
    /// Created if need be
    dir: PathBuf,
}

/// Runs the command.
pub fn run(args: GenDocsArgs) -> ExitCode {
    match write_all(&args.dir) {
        Ok(count) => {
            println!("{count} files written to {}", args.dir.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("appliance gen-docs: {}: {error}", args.dir.display());
            ExitCode::FAILURE
        }
    }
}

/// The references by file name; `docs/` has a copy of each, which a test compares.
pub fn references() -> [(&'static str, String); 3] {
    let keys: Vec<KeyGroup> = [player::keys::GROUPS, &[daq::keys::GROUP]].concat();
    [("METHODS.md", methods()), ("KEYS.md", keys_md(&keys)), ("CONFIG.md", config_md())]
}

/// The methods of every role. What a controller's own interface has is `archon`'s, so that it is only listed.
fn methods() -> String {
    let archon = archon::methods::table(&[]);
    let of_one = archon::methods::table(&["NAME".to_owned()]);
    let names = of_one.of_interface("archon.NAME").unwrap_or_default().iter();
    let names: Vec<String> = names.map(|m| format!("`{}`", m.name)).collect();
    let of_dealer = Table::new(&[dealer::methods::OWN]).expect("a unit test writes this document");
    format!(
        "{}\nBesides, `dealer` has every method of `bank`, with the same arguments and three more: `players` (names or groups; \
         absent: the active ones), `deadline_s`, and `policy` (`all`, `strict`, `quorum=N`, `best_effort`). The reply is an object with one \
         entry for each player: its own reply, or `[false, text]`; that of `help_param` is the text of the first player that can say. A player's interfaces `bank`, `bank.roach` and `bank.valon` are at the \
         proxy under its name: `BANKA`, `BANKA.roach`, `BANKA.valon`.\n\n## `archon.NAME`\n\nOne interface for each controller of `archon.yml`, with the methods of `archon` that concern a \
         controller, without their argument `controller`: {}.\n",
        methods_md(&[&player::methods::table(), &archon, &of_dealer]),
        names.join(", ")
    )
}

/// Writes everything below `dir`: `man/`, `completions/` and the references. Gives the number of files.
///
/// # Errors
/// What the file system says.
pub fn write_all(dir: &Path) -> io::Result<usize> {
    let command = super::Cli::command();
    let man = dir.join("man");
    let completions = dir.join("completions");
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(command.clone(), &man)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), &completions)?;
    }
    let references = references();
    for (name, text) in &references {
        fs::write(dir.join(name), text)?;
    }
    Ok(fs::read_dir(man)?.count() + fs::read_dir(completions)?.count() + references.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_document_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let count = write_all(dir.path()).expect("writes");
        for name in [
            "man/appliance.1",
            "man/appliance-call.1",
            "completions/appliance.bash",
            "completions/_appliance",
            "completions/appliance.fish",
            "METHODS.md",
            "KEYS.md",
            "CONFIG.md",
        ] {
            assert!(dir.path().join(name).is_file(), "{name}");
        }
        assert!(count >= 8);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(write_all(file.path()).is_err());
    }
}
