//! The shell on a terminal: line editor, completion, history.

use super::ask::AskNode;
use super::complete::{self, Scene};
use super::run::{Said, Talk};
use crate::api::table::Table;
use crate::cli::paint::Paint;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Lines that are remembered.
const HISTORY_MAX: usize = 2000;

type Line = Editor<Completions, FileHistory>;

/// Talks until the user ends it.
///
/// # Errors
/// The terminal cannot be used.
pub fn session(mut talk: Talk) -> Result<(), String> {
    let fault = |e: ReadlineError| format!("the terminal cannot be used: {e}");
    let mut line = editor(&talk).map_err(fault)?;
    let history = history_file();
    if let Some(path) = &history {
        // There is none the first time.
        let _ = line.load_history(path);
    }
    signal_hook::flag::register(signal_hook::consts::SIGINT, talk.given_up())
        .map_err(|e| format!("Ctrl-C cannot be caught: {e}"))?;
    talk.paint = Paint::of_terminal(true);
    println!("{}", talk.greeting());
    loop {
        if let Some(helper) = line.helper_mut() {
            helper.look_at(talk.scene());
        }
        let text = match line.readline(&format!("{}> ", talk.scene().interface)) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(fault(error)),
        };
        remember(&mut line, history.as_ref(), &text);
        talk.width = line.dimensions().map_or(talk.width, |(columns, _)| usize::from(columns));
        match talk.hear(&text) {
            Said::End => return Ok(()),
            Said::Done(text) => show(&text),
            Said::Changed(text) => {
                show(&text);
                if let Some(helper) = line.helper_mut() {
                    helper.ask.get_mut().forget();
                }
            }
            Said::Failed(why) => show(&why),
        }
    }
}

fn show(text: &str) {
    if !text.is_empty() {
        println!("{text}");
    }
}

fn editor(talk: &Talk) -> rustyline::Result<Line> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .history_ignore_dups(true)?
        .max_history_size(HISTORY_MAX)?
        .build();
    let mut line = Line::with_config(config)?;
    line.set_helper(Some(Completions {
        table: Table::default(),
        interface: String::new(),
        ask: RefCell::new(AskNode::new(talk.target())),
    }));
    Ok(line)
}

fn remember(line: &mut Line, history: Option<&PathBuf>, text: &str) {
    if text.trim().is_empty() || !line.add_history_entry(text).unwrap_or(false) {
        return;
    }
    if let Some(path) = history {
        // A history that cannot be written is missed, but stops nobody.
        let _ = line.append_history(path);
    }
}

/// `$XDG_STATE_HOME/appliance/shell_history`, by default below `~/.local/state`; its directory is made.
fn history_file() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let state =
        given.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    let dir = state.join("appliance");
    let made: io::Result<()> = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.ok().map(|()| dir.join("shell_history"))
}

/// What the line editor asks when Tab is pressed.
struct Completions {
    table: Table,
    interface: String,
    ask: RefCell<AskNode>,
}

impl Completions {
    fn look_at(&mut self, scene: Scene<'_>) {
        self.table = scene.table.clone();
        scene.interface.clone_into(&mut self.interface);
    }
}

impl Completer for Completions {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let scene = Scene { table: &self.table, interface: &self.interface };
        let found = complete::complete(before, scene, &mut *self.ask.borrow_mut());
        let pair = |name: String| Pair { display: name.clone(), replacement: name };
        Ok((found.from, found.names.into_iter().map(pair).collect()))
    }
}

impl Hinter for Completions {
    type Hint = String;
}
impl Highlighter for Completions {}
impl Validator for Completions {}
impl Helper for Completions {}
