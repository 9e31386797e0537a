//! The picture of `status --watch` as lines of marked texts; nothing here knows of a terminal.

use super::rows::{Columns, Look, Row, Tone, UNKNOWN};
use crate::cli::shell::show::fit;

/// A piece of a line.
pub type Piece = (String, Tone);
/// A line of the screen.
pub type Line = Vec<Piece>;

/// Lines around the detail: title, an empty one, what says that there is more, keys.
const AROUND_DETAIL: usize = 4;
/// Lines around the rows: title, an empty one, headings, an empty one, two of trouble and of warnings, keys.
const AROUND_ROWS: usize = 9;

/// What is looked at, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screen {
    /// Whom: the first line.
    pub title: String,
    /// The last look; none before the first.
    pub look: Option<Look>,
    /// Marked row.
    pub selected: usize,
    /// Show the marked row's status keys.
    pub open: bool,
    /// Keys that begin with `_` as well.
    pub hidden: bool,
    /// Keys in the order of the status memory, not by name.
    pub unsorted: bool,
    /// Lines of keys that are scrolled away.
    pub scrolled: usize,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// Into the detail.
    Open,
    /// Back to the table.
    Back,
    /// Hidden keys, yes or no.
    Hidden,
    /// By name, or in the order of the status memory.
    Order,
}

impl Screen {
    /// A key was pressed; true when the detail wanted is another one.
    pub fn press(&mut self, key: Key) -> bool {
        let before = self.wanted().map(str::to_owned);
        let rows = self.look.as_ref().map_or(0, |l| l.rows.len());
        match (key, self.open) {
            (Key::Up, true) => self.scrolled = self.scrolled.saturating_sub(1),
            (Key::Down, true) => self.scrolled += 1,
            (Key::Up, false) => self.selected = self.selected.saturating_sub(1),
            (Key::Down, false) => self.selected = (self.selected + 1).min(rows.saturating_sub(1)),
            (Key::Open, _) => (self.open, self.scrolled) = (true, 0),
            (Key::Back, _) => self.open = false,
            (Key::Hidden, _) => self.hidden = !self.hidden,
            (Key::Order, _) => self.unsorted = !self.unsorted,
        }
        self.wanted().map(str::to_owned) != before
    }

    /// The row whose status keys are shown.
    pub fn wanted(&self) -> Option<&str> {
        self.row().filter(|_| self.open).map(|r| r.name.as_str())
    }

    /// A new look; the mark stays on its row.
    pub fn take(&mut self, look: Look) {
        let name = self.row().map(|r| r.name.clone());
        let at = name.and_then(|name| look.rows.iter().position(|r| r.name == name));
        self.selected = at.unwrap_or(self.selected).min(look.rows.len().saturating_sub(1));
        self.look = Some(look);
    }

    fn row(&self) -> Option<&Row> {
        self.look.as_ref()?.rows.get(self.selected)
    }

    /// The lines for a screen of this size; `time` stands in the first one.
    pub fn lines(&mut self, width: usize, height: usize, time: &str) -> Vec<Line> {
        let gap = width.saturating_sub(self.title.chars().count() + time.chars().count());
        let mut lines =
            vec![vec![(format!("{}{}{time}", self.title, " ".repeat(gap.max(1))), Tone::Name)], vec![]];
        let body = match (self.look.is_some(), self.open) {
            (false, _) => vec![plain("Nobody has answered yet.")],
            (true, false) => self.table(width, height),
            (true, true) => self.detail(width, height.saturating_sub(AROUND_DETAIL)),
        };
        lines.extend(body);
        lines.truncate(height.saturating_sub(1));
        while lines.len() + 1 < height {
            lines.push(vec![]);
        }
        lines.push(vec![(fit(self.keys(), width).trim_end().to_owned(), Tone::Name)]);
        lines
    }

    fn keys(&self) -> &'static str {
        match self.open {
            false => "arrows or j, k: select   Enter: status keys   q: quit",
            true => "arrows or j, k: scroll   a: keys with _   s: order   Esc: back   q: quit",
        }
    }

    fn table(&self, width: usize, height: usize) -> Vec<Line> {
        let Some(look) = &self.look else { return Vec::new() };
        let widths = widths(look.columns, &look.rows, width.saturating_sub(2));
        let heads: Vec<String> = look.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let mut lines = vec![vec![(format!("  {}", laid(&heads, &widths)), Tone::Name)]];
        let room = height.saturating_sub(AROUND_ROWS).max(1);
        let from = (self.selected + 1).saturating_sub(room);
        for (n, row) in look.rows.iter().enumerate().skip(from).take(room) {
            let mark = if n == self.selected { "> " } else { "  " };
            let text = format!("{mark}{}", laid(&row.cells, &widths));
            let tone = if n == self.selected && row.tone == Tone::Plain { Tone::Name } else { row.tone };
            lines.push(vec![(text, tone)]);
        }
        lines.push(vec![]);
        if let Some(row) = self.row().filter(|r| !r.trouble.is_empty()) {
            lines.extend(wrapped(&format!("{}: {}", row.name, row.trouble), width, 2, Tone::Bad));
        }
        look.warnings.iter().rev().take(2).for_each(|w| lines.extend(wrapped(w, width, 1, Tone::Busy)));
        lines
    }

    fn detail(&mut self, width: usize, room: usize) -> Vec<Line> {
        let (Some(look), Some(row)) = (&self.look, self.row()) else { return Vec::new() };
        let mut lines: Vec<Line> = Vec::new();
        let facts = look.columns.iter().zip(&row.cells).take(look.columns.len() - 1);
        let facts = facts.filter(|(_, cell)| *cell != UNKNOWN);
        let facts: Vec<String> = facts.map(|((head, _), cell)| format!("{head} {cell}")).collect();
        lines.extend(wrapped(&facts.join("   "), width, 2, row.tone));
        if !row.trouble.is_empty() {
            lines.extend(wrapped(&row.trouble, width, 3, Tone::Bad));
        }
        lines.push(vec![]);
        let keys = match &look.detail {
            Some((name, keys)) if *name == row.name => keys,
            _ => return [lines, vec![plain("No status keys yet.")]].concat(),
        };
        let shown = shown(keys, self.hidden, self.unsorted);
        let (columns, key_width) = columns_of(&shown, width);
        let room = room.saturating_sub(lines.len()).max(1);
        let needed = shown.len().div_ceil(columns);
        self.scrolled = self.scrolled.min(needed.saturating_sub(room));
        // Down one column, then the next, as a list is read.
        for n in self.scrolled..needed.min(self.scrolled + room) {
            let cells = (0..columns).filter_map(|c| shown.get(c * needed + n));
            let pieces = cells.flat_map(|(key, value)| {
                let value = fit(value, (width / columns).saturating_sub(key_width + 5));
                [(format!("{key:>key_width$}"), Tone::Name), (format!(" : {value}  "), Tone::Plain)]
            });
            lines.push(pieces.collect());
        }
        if needed > self.scrolled + room {
            lines.push(vec![("-- more below --".into(), Tone::Busy)]);
        }
        lines
    }
}

/// The status keys that are to be shown, in the order they are to be shown in.
fn shown(keys: &[(String, String)], hidden: bool, unsorted: bool) -> Vec<&(String, String)> {
    let mut shown: Vec<_> = keys.iter().filter(|(k, _)| hidden || !k.starts_with('_')).collect();
    if !unsorted {
        shown.sort();
    }
    shown
}

/// Columns of keys and values on a screen, and how wide a key is in them: status keys have eight characters, those of a
/// controller more.
fn columns_of(shown: &[&(String, String)], width: usize) -> (usize, usize) {
    let widest = |text: fn(&(String, String)) -> &str| {
        shown.iter().map(|pair| text(pair).chars().count()).max().unwrap_or(0)
    };
    let key = widest(|(key, _)| key).clamp(8, 30);
    let value = if key == 8 { 27 } else { widest(|(_, value)| value).clamp(8, 27) };
    ((width / (key + value + 5)).max(1), key)
}

/// Status keys once, one a line, for a script or a pipe.
pub fn keys(keys: &[(String, String)], hidden: bool, unsorted: bool) -> String {
    let shown = shown(keys, hidden, unsorted);
    let (_, wide) = columns_of(&shown, usize::MAX);
    let lines = shown.into_iter().map(|(key, value)| format!("{key:>wide$} : {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The table once, for a script or a pipe: nothing is cut but at `width`, if there is one.
pub fn table(look: &Look, width: Option<usize>) -> String {
    let all = usize::MAX / 2;
    let widths = widths(look.columns, &look.rows, width.unwrap_or(all));
    let heads: Vec<String> = look.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let cells = std::iter::once(&heads).chain(look.rows.iter().map(|r| &r.cells));
    let mut lines: Vec<String> = cells.map(|c| laid(c, &widths)).collect();
    lines.extend(look.warnings.iter().map(|w| format!("warning: {w}")));
    lines.join("\n")
}

/// Columns as wide as they must be, at least as wide as planned when there is room; the last takes the rest.
fn widths(columns: Columns, rows: &[Row], width: usize) -> Vec<usize> {
    let planned: Vec<usize> = columns.iter().map(|(_, w)| *w).collect();
    let natural = |n: usize| {
        let widest = rows.iter().map(|r| r.cells[n].chars().count()).max().unwrap_or(0);
        widest.max(columns[n].0.chars().count())
    };
    let last = columns.len() - 1;
    let mut widths: Vec<usize> = (0..last).map(|n| natural(n).min(planned[n])).collect();
    let used = |widths: &[usize]| widths.iter().sum::<usize>() + last;
    // What is left goes to the columns that are cut, from the left.
    for n in 0..last {
        let spare = width.saturating_sub(used(&widths) + planned[last]);
        widths[n] += natural(n).saturating_sub(widths[n]).min(spare);
    }
    let rest = width.saturating_sub(used(&widths));
    widths.push(natural(last).min(rest));
    widths
}

fn laid(cells: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = cells.iter().zip(widths).map(|(c, w)| fit(c, *w)).collect();
    cells.join(" ").trim_end().to_owned()
}

/// At most `most` lines of a long text.
fn wrapped(text: &str, width: usize, most: usize, tone: Tone) -> Vec<Line> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.into_iter().take(most).map(|l| vec![(l, tone)]).collect()
}

fn plain(text: &str) -> Line {
    vec![(text.to_owned(), Tone::Plain)]
}

#[cfg(test)]
mod tests {
    use super::super::rows::PLAYERS;
    use super::*;

    fn look(names: &[&str]) -> Look {
        let row = |name: &&str| {
            let cells = [name, "SCANNING", "MODE1", "12 s", "receiving", "writing", "0", "free", "-"];
            let cells = cells.iter().map(|c| (*c).to_owned()).collect();
            Row { name: (*name).to_owned(), cells, tone: Tone::Good, trouble: String::new() }
        };
        let keys =
            (0..60).map(|n| (format!("KEY{n:02}"), format!("value {n}"))).chain([("_H".into(), "x".into())]);
        Look {
            columns: PLAYERS,
            rows: names.iter().map(row).collect(),
            warnings: vec!["[12:00, 'a warning']".into()],
            detail: Some(("BANKA".into(), keys.collect())),
            complete: true,
        }
    }

    fn text(screen: &mut Screen) -> Vec<String> {
        let lines = screen.lines(80, 24, "12:00:00 UTC");
        lines.iter().map(|l| l.iter().map(|(t, _)| t.as_str()).collect()).collect()
    }

    fn screen() -> Screen {
        let mut screen = Screen { title: "tcp://h:1".into(), ..Screen::default() };
        screen.take(look(&["BANKA", "BANKB"]));
        screen
    }

    #[test]
    fn eighty_columns_and_twenty_four_lines_are_enough() {
        let mut screen = screen();
        for open in [false, true] {
            screen.open = open;
            let lines = text(&mut screen);
            assert_eq!(lines.len(), 24);
            assert!(lines.iter().all(|l| l.chars().count() <= 80), "{lines:#?}");
        }
        screen.open = false;
        let lines = text(&mut screen);
        assert!(lines[0].starts_with("tcp://h:1 ") && lines[0].ends_with("12:00:00 UTC"));
        let heads: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(heads[..8], ["BANK", "STATE", "MODE", "LEFT", "NETSTAT", "DISKSTAT", "DROPS", "LEASE"]);
        assert!(lines[3].starts_with("> BANKA SCANNING MODE1 12 s receiving writing"), "{}", lines[3]);
        assert!(lines[4].starts_with("  BANKB"));
    }

    #[test]
    fn the_mark_moves_and_stays_on_its_row() {
        let mut screen = screen();
        assert!(!screen.press(Key::Down));
        assert!(!screen.press(Key::Down));
        assert_eq!(screen.selected, 1);
        screen.take(look(&["BANK0", "BANKA", "BANKB"]));
        assert_eq!(screen.selected, 2);
        assert!(screen.press(Key::Open), "another detail is wanted");
        assert_eq!(screen.wanted(), Some("BANKB"));
        screen.take(look(&[]));
        assert_eq!(screen.wanted(), None);
    }

    #[test]
    fn details_show_keys_and_scroll() {
        let mut screen = screen();
        screen.press(Key::Open);
        let lines = text(&mut screen);
        assert!(lines[2].starts_with("BANK BANKA   STATE SCANNING"), "{lines:#?}");
        assert!(lines.iter().any(|l| l.starts_with("   KEY00 : value 0 ") && l.contains("KEY30 : value 30")));
        assert!(lines.iter().any(|l| l.contains("more below")) && !lines.iter().any(|l| l.contains("_H")));
        for _ in 0..100 {
            screen.press(Key::Down);
        }
        let lines = text(&mut screen);
        assert!(lines.iter().any(|l| l.contains("KEY59")) && !lines.iter().any(|l| l.contains("more below")));
        screen.press(Key::Hidden);
        assert!(text(&mut screen).iter().any(|l| l.contains("      _H : x")));
    }

    #[test]
    fn keys_are_sorted_unless_their_own_order_is_wanted() {
        let all: Vec<_> = ["B", "_C", "A"].map(|k| (k.to_owned(), "1".to_owned())).into();
        assert_eq!(keys(&all, false, false), "       A : 1\n       B : 1");
        assert_eq!(keys(&all, true, true), "       B : 1\n      _C : 1\n       A : 1");
        let mut screen = screen();
        screen.take(Look { detail: Some(("BANKA".into(), all)), ..look(&["BANKA"]) });
        screen.press(Key::Open);
        let mut first = |key| {
            screen.press(key);
            text(&mut screen).iter().find(|l| l.contains(" : 1 ")).cloned().expect("keys")
        };
        assert!(first(Key::Up).starts_with("       A : 1"));
        assert!(first(Key::Order).starts_with("       B : 1"));
    }

    #[test]
    fn long_keys_have_room() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let all =
            vec![pair("mod2/vcpu_outreg15", "0"), pair("backplane_temp", "28.1"), pair("x", &"9".repeat(99))];
        let mut screen = screen();
        screen.take(Look { detail: Some(("BANKA".into(), all)), ..look(&["BANKA"]) });
        screen.press(Key::Open);
        let lines = text(&mut screen);
        assert!(lines.iter().all(|l| l.chars().count() <= 80), "{lines:#?}");
        assert!(lines.iter().any(|l| l.starts_with("    backplane_temp : 28.1")), "{lines:#?}");
    }

    #[test]
    fn a_table_for_a_pipe_is_not_cut() {
        let mut look = look(&["BANKA"]);
        look.rows[0].cells[8] = "e".repeat(100);
        let text = table(&look, None);
        assert!(text.contains(&"e".repeat(100)) && text.ends_with("warning: [12:00, 'a warning']"), "{text}");
        assert!(table(&look, Some(80)).lines().take(2).all(|l| l.chars().count() <= 80));
    }
}
