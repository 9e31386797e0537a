//! What to do about a call that failed: the names that are near one that is not there, and a way out for each family of
//! errors. The shell and `appliance call` say the same, each in the words that work there.

use super::paint::Paint;
use super::shell::complete::Scene;
use super::shell::show::clean;
use crate::api::{CallError, Family, Method};

/// Near names shown, at most.
const SIMILAR_MAX: usize = 6;

/// Where the text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the shell: commands of the shell help.
    Shell,
    /// After `appliance call`: its options do.
    CommandLine,
}

/// An error of a method with its class, and what to do about it.
pub fn error(error: &CallError, method: &str, place: Place, paint: Paint) -> String {
    let (class, family) = (error.class.name(), error.family.name());
    let message = clean(&error.message);
    let remedy = remedy(error, place).replace("METHOD", &clean(method));
    format!("{} {message}\n  {remedy}", paint.bad(&format!("{class} ({family}):")))
}

/// That there is no such method, and which there are of a like name.
pub fn unknown(name: &str, scene: Scene<'_>, place: Place) -> String {
    let shown = clean(name);
    let similar: Vec<String> = similar(name, scene).into_iter().map(|m| written(m, scene, place)).collect();
    let advice = match (similar.is_empty(), place) {
        (false, _) => format!("there is {}", similar.join(", ")),
        (true, Place::Shell) => "`methods` and `interfaces` list what there is".to_owned(),
        (true, Place::CommandLine) => format!(
            "the interfaces are {}; `methods INTERFACE` of `appliance shell` lists the methods",
            scene.table.interfaces().join(", ")
        ),
    };
    format!("there is no '{shown}'; {advice}")
}

/// As it is to be written: the interface in use needs no name in the shell.
fn written(method: &Method, scene: Scene<'_>, place: Place) -> String {
    match place == Place::Shell && method.interface == scene.interface {
        true => method.name.to_owned(),
        false => format!("{}.{}", method.interface, method.name),
    }
}

/// Methods whose names are like what was written, the likest first; of other interfaces only those of the same name.
pub fn similar(name: &str, scene: Scene<'_>) -> Vec<&'static Method> {
    let wanted = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let of_name = name.rsplit_once('.').map(|_| scene.split_name(name).0);
    let home = of_name.as_deref().filter(|i| scene.has(i)).unwrap_or(scene.interface);
    let mut found: Vec<(usize, bool, &'static Method)> = Vec::new();
    for method in scene.table.methods() {
        let elsewhere = method.interface != home;
        let have = method.name.to_ascii_lowercase();
        let far = distance(&have, &wanted);
        if if elsewhere { far == 0 } else { is_near(&have, &wanted, far) } {
            found.push((far, elsewhere, method));
        }
    }
    // Stable: what is equally like stays in the order of the table.
    found.sort_by_key(|(far, elsewhere, _)| (*elsewhere, *far));
    found.into_iter().take(SIMILAR_MAX).map(|(.., method)| method).collect()
}

/// A slip of the keyboard, a part of the name, or a word in common.
fn is_near(have: &str, wanted: &str, far: usize) -> bool {
    let words = |text: &str| text.split('_').filter(|w| w.len() > 2).map(str::to_owned).collect::<Vec<_>>();
    let slip = far <= (wanted.chars().count() / 3).max(1);
    slip || (wanted.len() > 2 && have.contains(wanted))
        || words(wanted).iter().any(|w| words(have).contains(w))
}

/// Letters to be put in, left out, changed or swapped with their neighbour until one text is the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

fn remedy(error: &CallError, place: Place) -> &'static str {
    if let Some(text) = of_control(&error.message, place) {
        return text;
    }
    match (error.family, place) {
        (Family::Refused, Place::Shell) => {
            "Nothing was done. `why` (player) or `status` tells the state; the text says what is in the way."
        }
        (Family::Refused, Place::CommandLine) => {
            "Nothing was done. `appliance status TARGET` tells the state; the text says what is in the way."
        }
        (Family::Invalid, Place::Shell) => {
            "Nothing was done. `help METHOD` tells names, types, units and defaults of the arguments."
        }
        (Family::Invalid, Place::CommandLine) => {
            "Nothing was done. The same with --describe tells names, types, units and defaults of the arguments."
        }
        (Family::Peer, Place::Shell) => {
            "A device or the node's partner said no. `player_state` or `status`, and the node's log, say more."
        }
        (Family::Peer, Place::CommandLine) => {
            "A device or the node's partner said no. `appliance status TARGET`, and the node's log, say more."
        }
        (Family::Environment, _) => {
            "The node cannot be reached, or its system refuses. Is it running, and is this its address?"
        }
        (Family::Timeout, Place::Shell) => {
            "It may still be at work: look before you repeat it. `timeout SECONDS` waits longer."
        }
        (Family::Timeout, Place::CommandLine) => {
            "It may still be at work: look before you repeat it. `--timeout SECONDS` waits longer."
        }
    }
}

/// Of a refusal for want of control: nodes say `control is with ..`, or name the key `listen.lease`.
fn of_control(message: &str, place: Place) -> Option<&'static str> {
    let (taken, wanting) = (message.contains("control is with "), message.contains("(listen.lease)"));
    match (taken, wanting, place) {
        (true, _, _) => Some(
            "Nothing was done. If that is you, give the token that rpc.acquire gave: --lease TOKEN, or APPLIANCE_LEASE.",
        ),
        (_, true, Place::Shell) => Some(
            "Nothing was done. `rpc.acquire NAME SECONDS` here takes control; `appliance shell --lease TOKEN` has it from the beginning.",
        ),
        (_, true, Place::CommandLine) => Some(
            "Nothing was done. `appliance call TARGET rpc.acquire NAME SECONDS` gives a token: give it with --lease TOKEN, or in APPLIANCE_LEASE.",
        ),
        (false, false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::methods::table;

    #[test]
    fn a_misspelt_name_finds_its_neighbours_the_likest_first() {
        let table = table();
        let scene = Scene { table: &table, interface: "bank" };
        let names = |name| similar(name, scene).iter().map(|m| m.name).collect::<Vec<_>>();
        assert_eq!(names("set_modes")[0], "set_mode");
        assert_eq!(names("bank.set_modes")[0], "set_mode");
        assert_eq!(names("strat")[0], "start");
        assert_eq!(names("get_staus")[0], "get_status");
        assert!(names("status").contains(&"get_status"), "{:?}", names("status"));
        assert!(names("xyzzy").is_empty());
        assert_eq!(similar("listdev", scene).iter().map(|m| m.interface).collect::<Vec<_>>(), ["bank.roach"]);
    }

    #[test]
    fn names_are_written_as_they_work_where_they_are_read() {
        let table = table();
        let scene = Scene { table: &table, interface: "bank" };
        let shell = unknown("set_modes", scene, Place::Shell);
        assert!(shell.starts_with("there is no 'set_modes'; there is set_mode,"), "{shell}");
        let call = unknown("bank.set_modes", scene, Place::CommandLine);
        assert!(call.starts_with("there is no 'bank.set_modes'; there is bank.set_mode,"), "{call}");
        // The interface is wrong, the method is not.
        let scene = Scene { table: &table, interface: "bnk" };
        assert!(unknown("bnk.set_mode", scene, Place::CommandLine).ends_with("there is bank.set_mode"));
        let none = unknown("bnk.xyzzy", scene, Place::CommandLine);
        assert!(none.contains("the interfaces are bank,") && none.contains("bank.roach"), "{none}");
    }

    #[test]
    fn swapped_letters_are_one_slip() {
        assert_eq!([distance("start", "strat"), distance("", "ab"), distance("mode", "modes")], [1, 2, 1]);
    }

    #[test]
    fn errors_say_class_and_remedy() {
        let text = error(&CallError::key_error("nope"), "get_status", Place::Shell, Paint::PLAIN);
        assert!(
            text.starts_with("KeyError (invalid): 'nope'\n") && text.contains("help get_status"),
            "{text}"
        );
        let text = error(&CallError::key_error("nope"), "get_status", Place::CommandLine, Paint::PLAIN);
        assert!(text.contains("--describe"), "{text}");
    }

    #[test]
    fn who_is_kept_out_by_a_lease_is_told_of_the_option() {
        let required = "bank.start refused: nothing may be changed without a lease here (listen.lease); call rpc.acquire(who, seconds)";
        for (text, place, says) in [
            (required, Place::CommandLine, "--lease TOKEN"),
            (required, Place::Shell, "`rpc.acquire NAME SECONDS` here"),
            ("bank.start refused: control is with ann until 2026", Place::CommandLine, "--lease TOKEN"),
        ] {
            let told = error(&CallError::exception(text), "start", place, Paint::PLAIN);
            assert!(told.contains(says), "{told}");
        }
    }
}
