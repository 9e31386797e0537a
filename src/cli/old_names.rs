//! The commands as they are called on sites that had them before: links to this program named `player`, `dealer` and
//! `dibas_status` understand the old arguments.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Where a proxy speaks JSON unless told otherwise.
const PROXY: &str = "tcp://127.0.0.1:6668";

/// What the old name `player` takes.
const PLAYER_USAGE: &str = "usage: player [BANK [URL [simulate]]] [OPTION]...";

/// The command line as `appliance` takes it; unchanged when the program was not called by an old name.
///
/// # Errors
/// Wrong arguments for the old name, in words.
pub fn translate(argv: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let name = argv.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default().to_owned();
    let rest = || argv.iter().skip(1).cloned().collect::<Vec<_>>();
    let words = match name.to_str() {
        Some("player") => player(rest())?,
        Some("dealer") => dealer(rest()),
        Some("dibas_status") => begun_with(&["status", "--watch", "--keys"], rest()),
        _ => return Ok(argv),
    };
    Ok(begun_with(&["appliance"], words))
}

/// `[BANK [URL [simulate]]]`, then options of ours.
fn player(words: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let given = words.iter().position(is_option).unwrap_or(words.len());
    let mut all = begun_with(&["--role", "player"], vec![]);
    for (place, word) in words[..given].iter().enumerate() {
        let word = word.to_str().ok_or_else(|| format!("{PLAYER_USAGE}: {word:?} is no text"))?;
        let setting = match place {
            0 => format!("player.bank={word}"),
            // ZeroMQ's word for every address of the host.
            1 => format!("listen.json={}", word.replace("://*:", "://0.0.0.0:")),
            2 if word == "simulate" => "player.simulate=true".to_owned(),
            2 => {
                return Err(format!(
                    "{PLAYER_USAGE}: the third argument can only be 'simulate', not '{word}'"
                ));
            }
            _ => return Err(format!("{PLAYER_USAGE}: '{word}' is one too many")),
        };
        all.extend(["--set".into(), setting.into()]);
    }
    all.extend_from_slice(&words[given..]);
    Ok(all)
}

/// `[TARGET]`: a shell on the proxy.
fn dealer(words: Vec<OsString>) -> Vec<OsString> {
    let is_target = |word: &OsString| {
        let word = word.to_string_lossy();
        ["tcp://", "rpc://", "unix:"].iter().any(|scheme| word.starts_with(scheme))
    };
    match words.iter().any(is_target) {
        true => begun_with(&["shell"], words),
        false => begun_with(&["shell", PROXY], words),
    }
}

fn begun_with(first: &[&str], rest: Vec<OsString>) -> Vec<OsString> {
    first.iter().map(OsStr::new).map(OsStr::to_owned).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    /// Old words by old and new ones.
    fn translated(old: &str) -> Result<String, String> {
        let words = translate(old.split_whitespace().map(OsString::from).collect())?;
        Cli::try_parse_from(&words).map_err(|e| e.to_string())?;
        Ok(words.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn old_names_take_their_old_arguments() {
        for (old, new) in [
            ("/usr/bin/player", "appliance --role player"),
            ("player BANKA", "appliance --role player --set player.bank=BANKA"),
            (
                "./player BANKA tcp://*:6667 simulate --announce",
                "appliance --role player --set player.bank=BANKA --set listen.json=tcp://0.0.0.0:6667 --set player.simulate=true --announce",
            ),
            ("dealer", "appliance shell tcp://127.0.0.1:6668"),
            ("dealer --use BANKA", "appliance shell tcp://127.0.0.1:6668 --use BANKA"),
            ("dealer tcp://proxy:1", "appliance shell tcp://proxy:1"),
            ("dibas_status", "appliance status --watch --keys"),
            ("dibas_status -s -a", "appliance status --watch --keys -s -a"),
            ("dibas_status -sa tcp://h:1", "appliance status --watch --keys -sa tcp://h:1"),
            ("appliance status", "appliance status"),
            ("/opt/other-name status", "/opt/other-name status"),
        ] {
            assert_eq!(translated(old), Ok(new.to_owned()), "{old}");
        }
    }

    #[test]
    fn what_an_old_name_does_not_take_is_said() {
        assert!(translated("player A tcp://h:1 simulated").is_err_and(|e| e.contains("only be 'simulate'")));
        assert!(translated("player A tcp://h:1 simulate x").is_err_and(|e| e.contains("one too many")));
    }

    #[test]
    fn they_are_the_commands_they_say() {
        let cli =
            |old: &str| Cli::try_parse_from(translate(vec![old.into()]).expect("good")).expect("parses");
        assert!(matches!(cli("dealer").command, Some(Command::Shell(_))));
        assert!(matches!(cli("dibas_status").command, Some(Command::Status(_))));
        assert!(cli("player").daemon.is_given());
    }
}
