//! The full screen: the picture on a terminal, keys, and looks that come from threads of their own, so that a node that
//! does not answer never makes the screen wait.

use super::rows::{Look, Tone};
use super::screen::{Key, Line, Screen};
use super::watcher::Watcher;
use crate::cli::paint::Paint;
use crate::sys::clock;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Drawn, Span, Text};
use ratatui::{DefaultTerminal, Frame};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// A node is looked at so often, and the screen drawn at least so often.
const EVERY: Duration = Duration::from_millis(500);
/// A key that is pressed is answered within this, and so is a look that came.
const LOOK_AT_KEYS: Duration = Duration::from_millis(100);
/// Looks that wait to be shown, of one node: the newest is asked for when there is room.
const LOOKS: usize = 1;
/// Wishes for a detail that wait for the end of a look.
const WISHES: usize = 8;

/// One node, looked at in its thread.
struct Watched {
    looks: Receiver<Look>,
    wishes: SyncSender<Option<String>>,
    last: Option<Look>,
}

/// Shows the nodes until the user quits; the screen is as it is given at first.
///
/// # Errors
/// The terminal cannot be used.
pub fn watch(mut screen: Screen, watchers: Vec<Watcher>, paint: Paint) -> Result<(), String> {
    let fault = |e: std::io::Error| format!("the terminal cannot be used: {e}");
    let mut nodes: Vec<Watched> = watchers.into_iter().map(begin).collect();
    let mut terminal = ratatui::try_init().map_err(fault)?;
    let ended = show(&mut terminal, &mut screen, &mut nodes, paint);
    let restored = ratatui::try_restore();
    ended.and(restored).map_err(fault)
}

fn begin(mut watcher: Watcher) -> Watched {
    let (send, looks) = sync_channel(LOOKS);
    let (wishes, wanted) = sync_channel::<Option<String>>(WISHES);
    std::thread::spawn(move || {
        let mut detail = None;
        while send.send(watcher.look(detail.as_deref())).is_ok() {
            // A wish is fulfilled at once, otherwise a look is taken when it is time.
            match wanted.recv_timeout(EVERY) {
                Ok(wish) => detail = wanted.try_iter().last().unwrap_or(wish),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    Watched { looks, wishes, last: None }
}

fn show(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    nodes: &mut [Watched],
    paint: Paint,
) -> std::io::Result<()> {
    let mut drawn = None;
    loop {
        let mut changed = false;
        for node in nodes.iter_mut() {
            for look in node.looks.try_iter() {
                node.last = Some(look);
                changed = true;
            }
        }
        if changed {
            let before = screen.wanted().map(str::to_owned);
            screen.take(merged(nodes));
            // A screen that is open from the beginning learns only now whose keys it shows.
            if screen.wanted() != before.as_deref() {
                wish(screen, nodes);
            }
        }
        let now = clock::mono();
        if changed || drawn.is_none_or(|at| now.since(at) >= EVERY) {
            draw(terminal, screen, paint)?;
            drawn = Some(now);
        }
        if !event::poll(LOOK_AT_KEYS)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match meaning(key) {
                Pressed::Quit => return Ok(()),
                Pressed::Nothing => continue,
                Pressed::Key(key) => {
                    if screen.press(key) {
                        wish(screen, nodes);
                    }
                }
            },
            _ => {}
        }
        draw(terminal, screen, paint)?;
    }
}

/// Tells those who look whose status keys are wanted.
fn wish(screen: &Screen, nodes: &[Watched]) {
    let wish = screen.wanted().map(str::to_owned);
    // A full queue means that a later look brings what was wished before: wish again then.
    nodes.iter().for_each(|n| drop(n.wishes.try_send(wish.clone())));
}

fn draw(terminal: &mut DefaultTerminal, screen: &mut Screen, paint: Paint) -> std::io::Result<()> {
    // Seconds are enough.
    let time: String = clock::now().utc.to_string().chars().take(19).collect();
    let time = format!("{time} UTC");
    terminal.draw(|frame| paint_all(frame, screen, &time, paint)).map(drop)
}

fn paint_all(frame: &mut Frame<'_>, screen: &mut Screen, time: &str, paint: Paint) {
    let area = frame.area();
    let lines = screen.lines(usize::from(area.width), usize::from(area.height), time);
    let lines: Vec<Drawn<'_>> = lines.into_iter().map(|line| drawn_line(line, paint)).collect();
    frame.render_widget(Text::from(lines), area);
}

fn drawn_line(line: Line, paint: Paint) -> Drawn<'static> {
    let span = |(text, tone)| Span::styled(text, style(tone, paint));
    Drawn::from(line.into_iter().map(span).collect::<Vec<_>>())
}

fn style(tone: Tone, paint: Paint) -> Style {
    if !paint.has_colour() {
        return Style::new();
    }
    match tone {
        Tone::Plain => Style::new(),
        Tone::Name => Style::new().fg(Color::Cyan),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Busy => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

/// The looks at all nodes as one.
fn merged(nodes: &[Watched]) -> Look {
    merge(nodes.iter().filter_map(|n| n.last.as_ref()))
}

/// Several looks as one; the columns are those of the first, and nodes of another kind are left out.
pub fn merge<'a>(mut looks: impl Iterator<Item = &'a Look>) -> Look {
    let mut all = match looks.next() {
        Some(first) => first.clone(),
        None => Look {
            columns: super::rows::PLAYERS,
            rows: vec![],
            warnings: vec![],
            detail: None,
            complete: true,
        },
    };
    for look in looks.filter(|l| l.columns == super::rows::PLAYERS) {
        all.rows.extend(look.rows.iter().cloned());
        all.warnings.extend(look.warnings.iter().cloned());
        all.detail = all.detail.or_else(|| look.detail.clone());
        all.complete &= look.complete;
    }
    all
}

enum Pressed {
    Quit,
    Nothing,
    Key(Key),
}

fn meaning(key: KeyEvent) -> Pressed {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => Pressed::Quit,
        KeyCode::Char('q') => Pressed::Quit,
        KeyCode::Up | KeyCode::Char('k') => Pressed::Key(Key::Up),
        KeyCode::Down | KeyCode::Char('j') => Pressed::Key(Key::Down),
        KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => Pressed::Key(Key::Open),
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left | KeyCode::Char('h') => Pressed::Key(Key::Back),
        KeyCode::Char('a') => Pressed::Key(Key::Hidden),
        KeyCode::Char('s') => Pressed::Key(Key::Order),
        _ => Pressed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::PLAYERS;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn painted(paint: Paint) -> Terminal<TestBackend> {
        let mut screen = Screen { title: "target".into(), ..Screen::default() };
        screen.take(Look::silent(PLAYERS, "BANKA", "Connection refused"));
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal in memory");
        terminal.draw(|frame| paint_all(frame, &mut screen, "12:00:00", paint)).expect("drawn");
        terminal
    }

    #[test]
    fn the_picture_reaches_the_terminal_with_and_without_colour() {
        for paint in [Paint::PLAIN, Paint::COLOUR] {
            let terminal = painted(paint);
            let buffer = terminal.backend().buffer();
            let line = |y: u16| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
            assert!(line(3).starts_with("> BANKA NO ANSWER"), "{}", line(3));
            assert!(line(5).contains("BANKA: Connection refused"), "{}", line(5));
            let coloured = buffer[(2, 3)].fg != Color::Reset;
            assert_eq!(coloured, paint.has_colour());
        }
    }

    #[test]
    fn several_nodes_are_one_picture() {
        let silent = |name: &str| Look::silent(PLAYERS, name, "gone");
        let all = merge([silent("BANKA"), silent("BANKB")].iter());
        assert_eq!(all.rows.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["BANKA", "BANKB"]);
        assert!(!all.complete && merge([].iter()).rows.is_empty());
    }

    #[test]
    fn keys_have_their_meaning() {
        let press = |code| meaning(KeyEvent::new(code, KeyModifiers::NONE));
        assert!(matches!(press(KeyCode::Char('q')), Pressed::Quit));
        assert!(matches!(press(KeyCode::Enter), Pressed::Key(Key::Open)));
        assert!(matches!(press(KeyCode::Char('c')), Pressed::Nothing));
        assert!(matches!(meaning(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Pressed::Quit));
    }
}
