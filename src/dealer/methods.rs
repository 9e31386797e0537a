//! The table of the interface `dealer`, and the typed calls it becomes.
//!
//! Every method of a player's `bank` is here with the reference's argument order; the result is an object with one entry
//! for each player. Three more arguments select players, deadline and policy.

use super::fanout::Policy;
use crate::api::bind::Bound;
use crate::api::entry::{self, arg};
use crate::api::table::Table;
use crate::api::{Arg, Call, CallError, Class, Effect, Kind, Method, builtin};
use crate::player::methods::{BANK, DRY, MEMORY, SCANS};
use crate::value::Value;
use std::time::Duration;

/// Name of the interface.
pub const INTERFACE: &str = "dealer";

/// Shortest deadline a client can give: one that nobody could meet is a mistake.
const DEADLINE_MIN: Duration = Duration::from_millis(1);
/// Longest deadline a client can give.
const DEADLINE_MAX: Duration = Duration::from_secs(86_400);

/// Whom a call is for, how long they may take, and what single failures mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pick {
    /// Players and groups; `None`: the client's active ones.
    pub players: Option<Vec<String>>,
    /// `None`: the method's own.
    pub deadline: Option<Duration>,
    /// Policy.
    pub policy: Policy,
}

/// A call of the role.
#[derive(Clone, Debug, PartialEq)]
pub enum DealerCall {
    /// Of the interface `dealer`.
    Own(What, Pick),
    /// Of a player's own interface, passed through: `BANKA.roach`.
    Pass {
        /// Whose; `None`: the first active player's.
        player: Option<String>,
        /// With the interface of the player (`bank`, `bank.roach`, `bank.valon`).
        call: Call,
        /// How it is scheduled.
        class: Class,
    },
}

/// A call of the interface `dealer`, arguments bound and typed.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `list_available_players`
    Available,
    /// `list_active_players`
    Active,
    /// `add_active_player`
    Add(Vec<String>),
    /// `remove_active_player`
    Remove(Vec<String>),
    /// `groups`
    Groups,
    /// A method of `bank` for every player.
    Forward {
        /// With interface `bank`.
        call: Call,
        /// How players schedule it.
        class: Class,
    },
    /// `get_mode`
    GetMode,
    /// `list_modes`
    ListModes {
        /// With the players that have each.
        detail: bool,
    },
    /// `earliest_start`
    EarliestStart,
    /// `start`
    Start(Value),
    /// `set_mode`
    SetMode(Vec<Value>),
    /// `set_scan_number`
    SetScanNumber(i64),
    /// `help_param`, `get_param`
    FirstOf(Call),
    /// `scan_summary`
    ScanSummary,
    /// `wait_for_scan`
    WaitForScan {
        /// Longest wait.
        timeout: Option<Duration>,
        /// Time between two looks.
        poll: Duration,
    },
    /// `snapshot`
    Snapshot,
    /// `health`
    Health,
    /// `last_warnings`
    LastWarnings,
    /// `last_errors`
    LastErrors,
    /// `last_start`
    LastStart,
    /// `journal`
    Journal(usize),
}

const PLAYERS: Arg =
    arg("players", Kind::Any, "", Some("None"), "Names of players or groups; absent: the active ones.");
const DEADLINE: Arg =
    arg("deadline_s", Kind::Any, "s", Some("None"), "How long a player may take; absent: the method's own.");
const POLICY: Arg = arg(
    "policy",
    Kind::Str,
    "",
    Some("all"),
    "all: report failures player by player; strict: any failure fails the call; quorum=N: fewer than N successes do; best_effort: as all, and no player is kept from it because another would refuse.",
);
/// Arguments every method has that goes to players.
const PICK: [Arg; 3] = [PLAYERS, DEADLINE, POLICY];

const fn method(
    name: &'static str,
    class: Class,
    effect: Effect,
    args: &'static [Arg],
    reply: &'static str,
    doc: &'static str,
) -> Method {
    entry::method(INTERFACE, name, class, effect, args, reply, doc)
}

const NAMES: Arg = arg("names", Kind::Rest, "", Some("[]"), "Names of players or groups.");

/// The methods that are the dealer's own.
pub static OWN: &[Method] = &[
    method(
        "list_available_players",
        Class::Read,
        Effect::Query,
        &[],
        "list of names",
        "Names of all configured players, sorted; also of those that cannot be reached.",
    ),
    method(
        "list_active_players",
        Class::Read,
        Effect::Query,
        &[],
        "list of names",
        "Names of the players that calls of this client go to, sorted. Clients choose for themselves, by the name they give (request key 'who'); the choice of a client without a name ends with its connection.",
    ),
    method(
        "add_active_player",
        Class::Read,
        Effect::Query,
        &[NAMES],
        "list of active names",
        "Add players or groups to the active ones. Unknown names are a ValueError that names them, and change nothing.",
    ),
    method(
        "remove_active_player",
        Class::Read,
        Effect::Query,
        &[NAMES],
        "list of active names",
        "Take players or groups from the active ones. Unknown names are a ValueError that names them, and change nothing.",
    ),
    method(
        "groups",
        Class::Read,
        Effect::Query,
        &[],
        "object: group to list of names",
        "The named sets of players of the configuration.",
    ),
    method(
        "get_mode",
        Class::Read,
        Effect::Query,
        &PICK,
        "[true, mode] or [false, {player: mode}]",
        "The mode of all players, if it is the same; otherwise that of each.",
    ),
    method(
        "list_modes",
        Class::Read,
        Effect::Query,
        &[
            PLAYERS,
            arg("detail", Kind::Bool, "", Some("False"), "With the players that have each mode."),
            DEADLINE,
            POLICY,
        ],
        "list of names, or object mode to players",
        "The modes that every player has, sorted. Players that could not say are in last_warnings.",
    ),
    method(
        "earliest_start",
        Class::Read,
        Effect::Query,
        &PICK,
        "[true, [y,m,d,h,m,s,us]]",
        "The latest of the players' earliest starts, UTC. Players that could not say are in last_warnings.",
    ),
    Method {
        cancellable: true,
        ..method(
            "start",
            Class::Job,
            Effect::Operate,
            &[
                arg(
                    "starttime",
                    Kind::Any,
                    "UTC",
                    Some("None"),
                    "[y,m,d,h,m,s,us]; absent: as early as possible.",
                ),
                PLAYERS,
                DEADLINE,
                POLICY,
            ],
            "{player: [true|false, text]}",
            "Start a scan on all players in the same second, or on none: if one refuses, is lost or does not accept in time, the others are stopped again. See last_start for margins and clock offsets. At most a day ahead, as others cannot write to these players meanwhile: schedule for later.",
        )
    },
    method(
        "scan_summary",
        Class::Read,
        Effect::Query,
        &[PLAYERS],
        "object",
        "One object for all: are any or all running, how many are in which state, shortest and longest remaining time.",
    ),
    Method {
        cancellable: true,
        ..method(
            "wait_for_scan",
            Class::Read,
            Effect::Query,
            &[
                arg(
                    "timeout_s",
                    Kind::Any,
                    "s",
                    Some("None"),
                    "Longest wait; absent, or true or false (the reference's 'verbose'): until the end.",
                ),
                arg("poll", Kind::Number, "s", Some("1.0"), "Time between two looks, 0.1 to 60."),
                PLAYERS,
            ],
            "[true, {player: scan_status}]",
            "Wait until no player runs a scan or is about to. [false, ..] when time is over, or when a player could not be asked for 10 s while nobody else runs.",
        )
    },
    method(
        "snapshot",
        Class::Read,
        Effect::Query,
        &[],
        "object",
        "Everything known of every player, in one reply from memory: link, age, player_state, clock offset, warnings.",
    ),
    method(
        "health",
        Class::Read,
        Effect::Query,
        &[PLAYERS],
        "[healthy, [text, ..]]",
        "What speaks against a start with these players.",
    ),
    method(
        "last_warnings",
        Class::Read,
        Effect::Query,
        &[],
        "list of [time, text]",
        "What the operator should know, newest last.",
    ),
    method(
        "last_errors",
        Class::Read,
        Effect::Query,
        &[],
        "{player: [time, text]}",
        "The last error of each player, in full.",
    ),
    method(
        "last_start",
        Class::Read,
        Effect::Query,
        &[],
        "object or null",
        "What the last start came to: second, margin and clock offset of each player.",
    ),
    method(
        "journal",
        Class::Read,
        Effect::Query,
        &[arg("limit", Kind::Int, "", Some("20"), "At most so many lines.")],
        "list of objects",
        "The scans that ended since this process began, newest last. The journal file has a line for each begin and each end.",
    ),
];

/// Methods whose reply is that of the first player that can say.
const OF_THE_FIRST: &[&str] = &["help_param"];

/// Methods of a player's `bank`.
fn of_players() -> impl Iterator<Item = &'static Method> {
    BANK.iter().chain(SCANS).chain(DRY).chain(MEMORY)
}

/// The table without players: the dealer's own methods and every method of `bank` as a fan-out.
///
/// The forwarded part is made once and never freed: call this once a process.
pub fn table() -> Table {
    let own = |name: &str| OWN.iter().any(|m| m.name == name);
    let forwarded: Vec<Method> = of_players().filter(|m| !own(m.name)).map(forwarded).collect();
    let forwarded: &'static [Method] = Box::leak(forwarded.into_boxed_slice());
    Table::new(&[OWN, forwarded, builtin::METHODS]).expect("a unit test builds this table")
}

/// The same method for many players.
fn forwarded(m: &Method) -> Method {
    let args: Vec<Arg> = m.args.iter().copied().chain(PICK).collect();
    let reply: &'static str = match OF_THE_FIRST.contains(&m.name) {
        true => m.reply,
        false => Box::leak(format!("{{player: {}}}", m.reply).into_boxed_str()),
    };
    Method { interface: INTERFACE, args: Box::leak(args.into_boxed_slice()), reply, ..*m }
}

/// The typed call of a method of [`table`] with its bound arguments.
pub fn call(method: &'static Method, bound: Bound) -> Result<DealerCall, CallError> {
    let pick = pick(method, &bound)?;
    let what = match method.name {
        "list_available_players" => What::Available,
        "list_active_players" => What::Active,
        "add_active_player" => What::Add(names(bound.value("names"), "names")?),
        "remove_active_player" => What::Remove(names(bound.value("names"), "names")?),
        "groups" => What::Groups,
        "get_mode" => What::GetMode,
        "list_modes" => What::ListModes { detail: bound.flag("detail").unwrap_or(false) },
        "earliest_start" => What::EarliestStart,
        "start" => What::Start(bound.value("starttime").clone()),
        "set_mode" => What::SetMode(bound.to_args(method, &PICK.map(|a| a.name))),
        "set_scan_number" => What::SetScanNumber(bound.int("num").unwrap_or(0)),
        "help_param" => What::FirstOf(bank_call(method, &bound)),
        "scan_summary" => What::ScanSummary,
        "wait_for_scan" => What::WaitForScan {
            timeout: match bound.value("timeout_s") {
                Value::Bool(_) => None,
                limit => seconds(limit, "timeout_s")?,
            },
            poll: Duration::from_secs_f64(bound.number("poll").unwrap_or(1.0).clamp(0.1, 60.0)),
        },
        "snapshot" => What::Snapshot,
        "health" => What::Health,
        "last_warnings" => What::LastWarnings,
        "last_errors" => What::LastErrors,
        "last_start" => What::LastStart,
        "journal" => What::Journal(usize::try_from(bound.int("limit").unwrap_or(20)).unwrap_or(0)),
        _ => What::Forward { call: bank_call(method, &bound), class: method.class },
    };
    Ok(DealerCall::Own(what, pick))
}

fn bank_call(method: &Method, bound: &Bound) -> Call {
    Call {
        interface: "bank".into(),
        method: method.name.to_owned(),
        args: bound.to_args(method, &PICK.map(|a| a.name)),
        kwargs: bound.keywords().to_vec(),
    }
}

fn pick(method: &Method, bound: &Bound) -> Result<Pick, CallError> {
    let has = |arg: &Arg| method.args.iter().any(|a| a.name == arg.name);
    Ok(Pick {
        players: match has(&PLAYERS).then(|| bound.value(PLAYERS.name)) {
            None | Some(Value::Null) => None,
            Some(value) => Some(names(value, PLAYERS.name)?),
        },
        deadline: match has(&DEADLINE) {
            true => seconds(bound.value(DEADLINE.name), DEADLINE.name)?,
            false => None,
        },
        policy: match has(&POLICY) {
            true => Policy::parse(bound.text(POLICY.name).unwrap_or("all"))?,
            false => Policy::default(),
        },
    })
}

/// A name, or a list of names (also nested once: `add_active_player(["A", "B"])`).
fn names(value: &Value, argument: &str) -> Result<Vec<String>, CallError> {
    let wrong = || CallError::type_error(format!("'{argument}' must be a name or a list of names"));
    match value {
        Value::Str(name) => Ok(vec![name.clone()]),
        Value::List(items) => {
            let nested: Result<Vec<Vec<String>>, CallError> = items
                .iter()
                .map(|item| match item {
                    Value::Str(name) => Ok(vec![name.clone()]),
                    Value::List(inner) => {
                        inner.iter().map(|n| n.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
                    }
                    _ => Err(wrong()),
                })
                .collect();
            Ok(nested?.concat())
        }
        _ => Err(wrong()),
    }
}

fn seconds(value: &Value, argument: &str) -> Result<Option<Duration>, CallError> {
    if *value == Value::Null {
        return Ok(None);
    }
    let (least, most) = (DEADLINE_MIN.as_secs_f64(), DEADLINE_MAX.as_secs_f64());
    let good = value.as_f64().filter(|s| (least..=most).contains(s));
    good.map(|s| Some(Duration::from_secs_f64(s)))
        .ok_or_else(|| CallError::value_error(format!("'{argument}' must be seconds, {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bind::bind;

    fn typed(name: &str, args: Vec<Value>, kwargs: Vec<(&str, Value)>) -> Result<DealerCall, CallError> {
        let table = table();
        let method = table.find(INTERFACE, name)?;
        let kwargs = kwargs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let sent = Call { interface: INTERFACE.into(), method: name.into(), args, kwargs };
        call(method, bind(method, sent)?)
    }

    #[test]
    fn wait_for_scan_takes_seconds_and_the_references_verbose() {
        let limit = |arg: Value| match typed("wait_for_scan", vec![arg], vec![]) {
            Ok(DealerCall::Own(What::WaitForScan { timeout, .. }, _)) => timeout,
            other => panic!("{other:?}"),
        };
        assert_eq!(limit(Value::Float(2.5)), Some(Duration::from_millis(2500)));
        assert_eq!(limit(Value::Bool(true)), None);
        assert!(typed("wait_for_scan", vec![Value::Int(-1)], vec![]).is_err());
    }

    #[test]
    fn every_method_of_a_player_is_there_with_its_arguments_first() {
        let table = table();
        for m in of_players() {
            let here = table.find(INTERFACE, m.name).unwrap_or_else(|e| panic!("{}: {e}", m.name));
            if !OWN.iter().any(|o| o.name == m.name) {
                let first: Vec<&str> = here.args.iter().take(m.args.len()).map(|a| a.name).collect();
                assert_eq!(first, m.args.iter().map(|a| a.name).collect::<Vec<_>>(), "{}", m.name);
            }
        }
    }

    #[test]
    fn replies_are_by_player_but_for_what_the_first_one_says() {
        let table = table();
        let reply = |name: &str| table.find(INTERFACE, name).expect("there").reply;
        assert_eq!(reply("help_param"), "text or object");
        assert_eq!(reply("stop"), "{player: [true|false, text]}");
        assert!(OF_THE_FIRST.iter().all(|name| {
            typed(name, vec![], vec![]).is_ok_and(|c| matches!(c, DealerCall::Own(What::FirstOf(_), _)))
        }));
    }

    #[test]
    fn what_is_forwarded_has_the_arguments_that_were_given() {
        let call = typed("add_switching_state", vec![Value::Float(0.1)], vec![("cal", Value::Bool(true))]);
        let Ok(DealerCall::Own(What::Forward { call, .. }, pick)) = call else { panic!("{call:?}") };
        assert_eq!(call.args, [Value::Float(0.1), Value::Bool(false), Value::Bool(true)]);
        assert_eq!(pick, Pick::default());
    }

    #[test]
    fn players_deadline_and_policy_are_not_forwarded() {
        let with = vec![
            ("exposure", Value::Float(0.5)),
            ("players", Value::List(vec!["BANKB".into()])),
            ("deadline_s", Value::Int(3)),
            ("policy", "quorum=2".into()),
        ];
        let call = typed("set_param", vec![], with);
        let Ok(DealerCall::Own(What::Forward { call, .. }, pick)) = call else { panic!("{call:?}") };
        assert_eq!(call.kwargs, [("exposure".to_owned(), Value::Float(0.5))]);
        assert_eq!(pick.players, Some(vec!["BANKB".to_owned()]));
        assert_eq!((pick.deadline, pick.policy), (Some(Duration::from_secs(3)), Policy::Quorum(2)));
    }

    #[test]
    fn bad_picks_are_refused() {
        for (key, value) in
            [("policy", Value::from("most")), ("deadline_s", Value::Int(0)), ("players", Value::Int(3))]
        {
            typed("prepare", vec![], vec![(key, value)]).expect_err(key);
        }
    }
}
