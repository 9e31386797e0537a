//! `appliance status`: how players, a proxy's players or the controllers of a CCD host are; once, or all the time.

pub mod rows;
pub mod screen;
pub mod warnings;
pub mod watch;
pub mod watcher;

use super::paint::Paint;
use super::target::Target;
use super::usual_target::or_usual;
use crate::config::dibas::Dibas;
use rows::Look;
use screen::Screen;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use watcher::Watcher;

/// Longest wait for one answer, once and while watching.
const ONCE: Duration = Duration::from_secs(5);
const WATCHING: Duration = Duration::from_secs(2);

/// What `--help` says of the end.
const EXIT_STATUS: &str = "\
Exit status:
  0  everybody answered
  1  somebody did not
  2  usage";

/// Show how players, the players of a proxy or CCD controllers are: state, countdown, data flow, last error.
#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_STATUS)]
pub struct StatusArgs {
    /// tcp://host:port (JSON), rpc://host:port or unix:/path (binary) [default: the node of this computer]
    #[arg(conflicts_with = "all")]
    target: Option<Target>,
    /// Only this bank, or these: with a TARGET its rows, without one the players of dibas.conf
    #[arg(long, value_name = "BANK", conflicts_with = "all", value_delimiter = ',')]
    bank: Vec<String>,
    /// The players of all banks of dibas.conf, each asked itself
    #[arg(long)]
    all: bool,
    /// The site's configuration file [default: $DIBAS_DIR/etc/config/dibas.conf]
    #[arg(long, value_name = "FILE")]
    dibas_conf: Option<PathBuf>,
    /// Stay on the screen, twice a second: arrows or j, k select, Enter shows status keys, q ends
    #[arg(long)]
    watch: bool,
    /// All warnings of a proxy that are kept, not only the last five of the last hour
    #[arg(long)]
    all_warnings: bool,
    /// Show the status keys of the one node, or of the first of several
    #[arg(long, short)]
    keys: bool,
    /// With the status keys also those that begin with _
    #[arg(long = "all-keys", short)]
    all_keys: bool,
    /// Status keys in the order of the status memory, not by name
    #[arg(long, short = 's')]
    unsorted: bool,
}

/// Runs the command.
pub fn run(args: StatusArgs) -> ExitCode {
    match status(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("appliance status: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Did everybody answer?
fn status(args: &StatusArgs) -> Result<bool, String> {
    let targets = targets(args)?;
    let watchers =
        |timeout| targets.iter().map(|(name, at)| watcher(args, name, at, timeout)).collect::<Vec<_>>();
    if args.watch {
        if !io::stdout().is_terminal() {
            return Err("--watch needs a terminal; without it the table is printed once".into());
        }
        let title = match &targets[..] {
            [(_, only)] => format!("appliance status {only}"),
            several => format!("appliance status of {} players", several.len()),
        };
        let screen = Screen {
            title,
            open: args.keys,
            hidden: args.all_keys,
            unsorted: args.unsorted,
            ..Screen::default()
        };
        return watch::watch(screen, watchers(WATCHING), Paint::of_terminal(true)).map(|()| true);
    }
    let looks: Vec<Look> = std::thread::scope(|scope| {
        let all: Vec<_> = watchers(ONCE).into_iter().map(|mut w| scope.spawn(move || w.look(None))).collect();
        all.into_iter().map(|look| look.join().expect("looking does not panic")).collect()
    });
    let look = watch::merge(looks.iter());
    if args.keys {
        return keys(args, &look, watchers(ONCE));
    }
    println!("{}", screen::table(&look, None));
    Ok(look.complete)
}

fn watcher(args: &StatusArgs, name: &str, at: &Target, timeout: Duration) -> Watcher {
    // Without a target each bank was chosen with its player.
    let only = if args.target.is_some() { &args.bank[..] } else { &[] };
    Watcher::new(name, at, timeout).only(only).all_warnings(args.all_warnings)
}

/// The status keys once: whose they are is known from the first look.
fn keys(args: &StatusArgs, look: &Look, watchers: Vec<Watcher>) -> Result<bool, String> {
    let Some(row) = look.rows.first() else {
        return Err("there is nobody to show the status keys of".into());
    };
    let detail = watchers.into_iter().next().and_then(|mut watcher| watcher.look(Some(&row.name)).detail);
    match detail {
        Some((_, keys)) if !keys.is_empty() => {
            println!("{}", screen::keys(&keys, args.all_keys, args.unsorted));
        }
        _ if row.trouble.is_empty() => return Err(format!("{}: no status keys, {}", row.name, row.cells[1])),
        _ => return Err(format!("{}: {}", row.name, row.trouble)),
    }
    Ok(look.complete)
}

/// Whom to look at, with the name of each while it does not answer.
fn targets(args: &StatusArgs) -> Result<Vec<(String, Target)>, String> {
    if args.target.is_some() || (!args.all && args.bank.is_empty()) {
        let target = or_usual(args.target.as_ref())?;
        return Ok(vec![("-".to_owned(), target)]);
    }
    let path = match (&args.dibas_conf, std::env::var_os("DIBAS_DIR")) {
        (Some(path), _) => path.clone(),
        (None, Some(dir)) => PathBuf::from(dir).join("etc/config/dibas.conf"),
        (None, None) => {
            return Err(
                "--bank and --all need the site's dibas.conf: give --dibas-conf FILE, or set DIBAS_DIR"
                    .into(),
            );
        }
    };
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let dibas = Dibas::load(&text, &path.display().to_string()).map_err(|f| {
        format!("{}: it cannot be used; `appliance check` says why ({} findings)", path.display(), f.len())
    })?;
    banks(&dibas, &args.bank)
}

/// The players of these banks, in the order of the file; of all of them if none is named.
fn banks(dibas: &Dibas, wanted: &[String]) -> Result<Vec<(String, Target)>, String> {
    let there = |wanted: &&String| dibas.banks.iter().any(|bank| bank.name.eq_ignore_ascii_case(wanted));
    if let Some(unknown) = wanted.iter().find(|w| !there(w)) {
        let names: Vec<&str> = dibas.banks.iter().map(|b| b.name.as_str()).collect();
        return Err(format!("{}: there is no bank {unknown}; there are: {}", dibas.path, names.join(", ")));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w.eq_ignore_ascii_case(name));
    let found = dibas.banks.iter().filter(|bank| is_wanted(&bank.name)).map(|bank| {
        let text = format!("tcp://{}:{}", bank.hpc_host, bank.player_port);
        let target = text.parse().map_err(|e| format!("{}: {e}", bank.name))?;
        Ok((bank.name.clone(), target))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_are_found_in_the_sites_file() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/dibas.loopback.conf");
        let text = std::fs::read_to_string(path).expect("there");
        let dibas = Dibas::load(&text, "site").expect("sound");
        assert_eq!(banks(&dibas, &[]).map(|b| b.len()), Ok(dibas.banks.len()));
        let named = |name: &str| banks(&dibas, &[name.to_owned()]);
        let one = named("bankb").expect("there");
        assert_eq!((one.len(), one[0].0.as_str()), (1, "BANKB"));
        assert!(one[0].1.to_string().starts_with("tcp://"));
        assert!(named("NOPE").is_err_and(|e| e.contains("BANKA")));
    }
}
