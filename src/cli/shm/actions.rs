//! Options that act in the order they are given: one table, and what clap found sorted by position.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Print a value.
    Print(String),
    /// Print a value as a number.
    PrintNumber(String),
    /// Select a key for what follows.
    Select(String),
    /// Set a key.
    Set(String, SetTo),
    /// Set the selected key.
    SetSelected(SetTo),
    /// Delete a key.
    Delete(String),
    /// Delete the selected key.
    DeleteSelected,
    /// Delete all keys; the long option asks for `--yes`.
    Clear { asks: bool },
    /// Print the text as it is.
    Raw,
    /// Print the System V key.
    ShowKey,
    /// Print the state of the lock.
    ShowLock,
}

/// A value with the kind its option gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SetTo {
    Text(String),
    Float32(f32),
    Float64(f64),
    Integer(i64),
}

/// All actions of a command line, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Actions(Vec<Action>);

impl Actions {
    pub(super) fn in_order(&self) -> &[Action] {
        &self.0
    }
}

/// One row of the table: how an option looks and what it does.
struct Row {
    id: &'static str,
    short: Option<char>,
    /// None: a positional argument.
    long: Option<&'static str>,
    /// None: a flag.
    value: Option<&'static str>,
    help: &'static str,
    make: fn(&str) -> Result<Action, String>,
}

const fn row(
    id: &'static str,
    (short, long): (Option<char>, Option<&'static str>),
    value: Option<&'static str>,
    help: &'static str,
    make: fn(&str) -> Result<Action, String>,
) -> Row {
    Row { id, short, long, value, help, make }
}

/// Short letters are those of `hashpipe_check_status`.
const ROWS: &[Row] = &[
    row("keys", (None, None), Some("KEY"), "Print the value of a key", |v| Ok(Action::Print(v.into()))),
    row("query", (Some('Q'), Some("query")), Some("KEY"), "Print the value of a key", |v| {
        Ok(Action::Print(v.into()))
    }),
    row("number", (Some('g'), Some("get")), Some("KEY"), "Print a value as a number", |v| {
        Ok(Action::PrintNumber(v.into()))
    }),
    row("select", (Some('k'), Some("key")), Some("KEY"), "Select a key for -s -f -d -i -D", |v| {
        Ok(Action::Select(v.into()))
    }),
    row("text", (Some('s'), Some("string")), Some("TEXT"), "Set the selected key to text", |v| {
        Ok(Action::SetSelected(SetTo::Text(v.into())))
    }),
    row("float", (Some('f'), Some("float")), Some("X"), "Set the selected key, single precision", |v| {
        Ok(Action::SetSelected(SetTo::Float32(parse(v)?)))
    }),
    row("double", (Some('d'), Some("double")), Some("X"), "Set the selected key, double precision", |v| {
        Ok(Action::SetSelected(SetTo::Float64(parse(v)?)))
    }),
    row("int", (Some('i'), Some("int")), Some("N"), "Set the selected key to an integer", |v| {
        Ok(Action::SetSelected(SetTo::Integer(parse(v)?)))
    }),
    row("delete-selected", (Some('D'), Some("del")), None, "Delete the selected key", |_| {
        Ok(Action::DeleteSelected)
    }),
    row("clear-now", (Some('C'), None), None, "Delete all keys without asking", |_| {
        Ok(Action::Clear { asks: false })
    }),
    row("raw", (Some('v'), Some("raw")), None, "Print the text as it is, without line ends", |_| {
        Ok(Action::Raw)
    }),
    row("show-key", (Some('S'), Some("shmkey")), None, "Print the key of the segment", |_| {
        Ok(Action::ShowKey)
    }),
    row("lock", (Some('L'), Some("lock")), None, "Print whether the buffer is locked", |_| {
        Ok(Action::ShowLock)
    }),
    row("set", (None, Some("set")), Some("KEY=TEXT"), "Set a key to text", |v| {
        let (key, text) = v.split_once('=').ok_or_else(|| format!("'{v}' is not KEY=TEXT"))?;
        Ok(Action::Set(key.into(), SetTo::Text(text.into())))
    }),
    row("delete", (None, Some("delete")), Some("KEY"), "Delete a key", |v| Ok(Action::Delete(v.into()))),
    row("clear", (None, Some("clear")), None, "Delete all keys; needs --yes", |_| {
        Ok(Action::Clear { asks: true })
    }),
];

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

impl Row {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.id).help(self.help).action(ArgAction::Append);
        let arg = match (self.value, self.long) {
            (Some(name), None) if self.short.is_none() => arg.value_name(name).num_args(0..),
            (Some(name), _) => arg.value_name(name).allow_hyphen_values(true),
            (None, _) => arg.num_args(0).default_missing_value(""),
        };
        let arg = if let Some(short) = self.short { arg.short(short) } else { arg };
        if let Some(long) = self.long { arg.long(long) } else { arg }
    }

    /// This row's actions with their places on the command line.
    fn found(&self, matches: &ArgMatches) -> Result<Vec<(usize, Action)>, clap::Error> {
        let (Some(places), Some(values)) = (matches.indices_of(self.id), matches.get_many::<String>(self.id))
        else {
            return Ok(Vec::new());
        };
        let make = |(place, value): (usize, &String)| match (self.make)(value) {
            Ok(action) => Ok((place, action)),
            Err(why) => Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{why}\n"))),
        };
        places.zip(values).map(make).collect()
    }
}

impl clap::Args for Actions {
    fn augment_args(command: Command) -> Command {
        command.args(ROWS.iter().map(Row::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Actions::augment_args(command)
    }
}

impl clap::FromArgMatches for Actions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Actions, clap::Error> {
        let mut placed = Vec::new();
        for row in ROWS {
            placed.extend(row.found(matches)?);
        }
        placed.sort_by_key(|(place, _)| *place);
        Ok(Actions(placed.into_iter().map(|(_, action)| action).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Actions::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn parsed(line: &[&str]) -> Result<Vec<Action>, clap::Error> {
        let command = Actions::augment_args(Command::new("status").no_binary_name(true));
        Actions::from_arg_matches(&command.try_get_matches_from(line)?).map(|actions| actions.0)
    }

    #[test]
    fn options_keep_their_order() {
        let line = ["-k", "A", "-s", "x", "-Q", "B", "-k", "C", "-i", "-5", "-D", "-L", "-v", "-D", "E"];
        let expected = [
            Action::Select("A".into()),
            Action::SetSelected(SetTo::Text("x".into())),
            Action::Print("B".into()),
            Action::Select("C".into()),
            Action::SetSelected(SetTo::Integer(-5)),
            Action::DeleteSelected,
            Action::ShowLock,
            Action::Raw,
            Action::DeleteSelected,
            Action::Print("E".into()),
        ];
        assert_eq!(parsed(&line).expect("valid"), expected);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for line in [["-k", "A", "-i", "x"], ["-k", "A", "-d", "1,5"], ["--set", "A", "-k", "B"]] {
            assert!(parsed(&line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn set_splits_at_the_first_equals() {
        let expected = [Action::Set("A".into(), SetTo::Text("b=c".into()))];
        assert_eq!(parsed(&["--set", "A=b=c"]).expect("valid"), expected);
    }
}
