//! `appliance gen-docs DIR`: manual pages, shell completions and references, all derived from the tables the
//! program itself uses.

use crate::api::builtin;
use crate::api::docs::methods_md;
use crate::api::table::Table;
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The shells completions are written for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Write man pages, completions, METHODS.md and KEYS.md into a directory.
#[derive(clap::Args, Debug)]
pub struct GenDocsArgs {
    /// Created if need be
    dir: PathBuf,
}

/// Texts that depend on what this program can do.
pub struct References {
    /// All methods of all roles.
    pub methods: Table,
    /// `KEYS.md`, if there is a table of status keys.
    pub keys_md: Option<String>,
}

/// What is published by this program. Roles add their methods here.
fn references() -> References {
    let methods = Table::new(&[builtin::METHODS]).expect("a unit test builds this table");
    References { methods, keys_md: None }
}

/// Runs the command.
pub fn run(args: GenDocsArgs) -> ExitCode {
    match write_all(&args.dir, super::Cli::command(), &references()) {
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

/// Writes everything below `dir`: `man/`, `completions/`, `METHODS.md`, `KEYS.md`. Gives the number of files.
pub fn write_all(dir: &Path, command: clap::Command, references: &References) -> io::Result<usize> {
    let man = dir.join("man");
    let completions = dir.join("completions");
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(command.clone(), &man)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), &completions)?;
    }
    fs::write(dir.join("METHODS.md"), methods_md(&references.methods))?;
    if let Some(keys) = &references.keys_md {
        fs::write(dir.join("KEYS.md"), keys)?;
    }
    let fixed = 1 + usize::from(references.keys_md.is_some());
    Ok(fs::read_dir(man)?.count() + fs::read_dir(completions)?.count() + fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_document_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut references = references();
        references.keys_md = Some("# Status keys\n".into());
        let count = write_all(dir.path(), super::super::Cli::command(), &references).expect("writes");
        for name in [
            "man/appliance.1",
            "man/appliance-call.1",
            "completions/appliance.bash",
            "completions/_appliance",
            "completions/appliance.fish",
            "METHODS.md",
            "KEYS.md",
        ] {
            assert!(dir.path().join(name).is_file(), "{name}");
        }
        assert!(count >= 7);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(write_all(file.path(), super::super::Cli::command(), &references()).is_err());
    }
}
