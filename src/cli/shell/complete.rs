//! Completion: interfaces, methods, names of arguments from the table; modes, parameters, status keys and players asked
//! of the node.

use super::line::{COMMANDS, split};
use crate::api::table::Table;
use crate::api::{Kind, Method};

/// Names that only the node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wanted {
    /// Modes of the configuration.
    Modes,
    /// Parameters of the current mode.
    Parameters,
    /// Keys in status memory.
    StatusKeys,
    /// Players of a proxy, and groups of them.
    Players,
}

/// Who can be asked for names.
pub trait Ask {
    /// Names of this kind for this interface; none if there is no answer in a moment.
    fn names(&mut self, interface: &str, wanted: Wanted) -> Vec<String>;
}

/// Arguments whose values are such names: method, position, name of the argument.
const VALUES: &[(&str, usize, &str, Wanted)] = &[
    ("set_mode", 0, "mode", Wanted::Modes),
    ("get_param", 0, "name", Wanted::Parameters),
    ("help_param", 0, "name", Wanted::Parameters),
    ("get_status", 0, "keys", Wanted::StatusKeys),
    ("add_active_player", 0, "names", Wanted::Players),
    ("remove_active_player", 0, "names", Wanted::Players),
];
/// Methods whose keywords are such names.
const KEYWORDS: &[(&str, Wanted)] = &[
    ("set_param", Wanted::Parameters),
    ("set_params", Wanted::Parameters),
    ("set_status", Wanted::StatusKeys),
];

/// What a Tab offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Where what is replaced begins, bytes.
    pub from: usize,
    /// What may stand there.
    pub names: Vec<String>,
}

/// Where names are looked up.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The methods there are.
    pub table: &'a Table,
    /// Methods without an interface are of this one.
    pub interface: &'a str,
}

impl<'a> Scene<'a> {
    /// Interface and method of a name as it is written: `start`, `bank.start`, `roach.read` of the interface in use.
    pub fn split_name(&self, name: &'a str) -> (String, &'a str) {
        match name.rsplit_once('.') {
            None => (self.interface.to_owned(), name),
            Some((interface, method)) => {
                let nested = format!("{}.{interface}", self.interface);
                let is_nested = !self.has(interface) && self.has(&nested);
                (if is_nested { nested } else { interface.to_owned() }, method)
            }
        }
    }

    /// Is there such an interface?
    pub fn has(&self, interface: &str) -> bool {
        self.table.interfaces().contains(&interface)
    }

    /// The listed method of a name.
    pub fn method(&self, name: &str) -> Option<&'static Method> {
        let (interface, method) = self.split_name(name);
        self.table.of_interface(&interface)?.iter().find(|m| m.name == method).copied()
    }
}

/// What can stand at the end of a line (the part before the cursor).
pub fn complete(line: &str, scene: Scene<'_>, ask: &mut dyn Ask) -> Completion {
    let start = line.len() - line.trim_start().len();
    let head = &line[start..];
    let end =
        head.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(head.len());
    if end == head.len() {
        let commands = COMMANDS.iter().map(|(name, ..)| (*name).to_owned());
        return offer(start, head, commands.chain(names(head, scene)));
    }
    let (name, rest) = head.split_at(end);
    let word_from = line.rfind(|c: char| c.is_whitespace() || c == '(').map_or(0, |at| at + 1);
    let word = &line[word_from..];
    let interfaces = || scene.table.interfaces().iter().map(|i| (*i).to_owned());
    match name {
        "use" => offer(word_from, word, interfaces()),
        "help" => {
            let parameters = ask.names(scene.interface, Wanted::Parameters);
            offer(word_from, word, names(word, scene).chain(interfaces()).chain(parameters))
        }
        "methods" if scene.method(name).is_none() => offer(word_from, word, interfaces()),
        _ => match scene.method(name) {
            Some(method) => argument(line.len(), rest, method, ask),
            None => Completion { from: line.len(), names: vec![] },
        },
    }
}

/// Those of `names` that begin with a word, sorted.
fn offer(from: usize, word: &str, names: impl Iterator<Item = String>) -> Completion {
    let mut names: Vec<String> = names.filter(|n| n.starts_with(word)).collect();
    names.sort();
    names.dedup();
    Completion { from, names }
}

/// Methods of the interface in use, interfaces with a dot, and the methods of one that is written out.
fn names<'a>(word: &str, scene: Scene<'a>) -> impl Iterator<Item = String> + use<'a> {
    let own = scene.table.of_interface(scene.interface).unwrap_or_default().iter().map(|m| m.name.to_owned());
    let interfaces = scene.table.interfaces().iter().map(|i| format!("{i}."));
    let written = word.rsplit_once('.').map(|(interface, _)| interface.to_owned());
    let found = written.as_deref().map(|i| scene.split_name(&format!("{i}.x")).0).unwrap_or_default();
    let methods = scene.table.of_interface(&found).unwrap_or_default();
    let full = methods.iter().map(move |m| format!("{}.{}", written.as_deref().unwrap_or_default(), m.name));
    own.chain(interfaces).chain(full)
}

/// The last, unfinished argument of a call; `rest` is what follows the name, `end` where the line ends.
fn argument(end: usize, rest: &str, method: &Method, ask: &mut dyn Ask) -> Completion {
    let inside = rest.trim_start().strip_prefix('(');
    let (position, word) = match inside {
        Some(text) => last_of(text, ','),
        None => last_of_words(rest),
    };
    let quotes = inside.is_some();
    if let Some((name, value)) = word.split_once('=') {
        let found = method.args.iter().find(|a| a.name == name);
        return value_of(end, value, method, found.map(|a| (a.name, a.kind)), usize::MAX, quotes, ask);
    }
    let at = method.args.get(position).or(method.args.last().filter(|a| a.kind == Kind::Rest));
    let mut offered = value_of(end, &word, method, at.map(|a| (a.name, a.kind)), position, quotes, ask);
    let open = word.trim_start_matches(['\'', '"', '[', '(']).len() == word.len();
    if open {
        let arguments = method.args.iter().filter(|a| a.kind != Kind::Rest).map(|a| a.name.to_owned());
        let more = KEYWORDS.iter().find(|(name, _)| *name == method.name);
        let more = more.map(|(_, wanted)| ask.names(method.interface, *wanted)).unwrap_or_default();
        let keywords = arguments.chain(more).map(|name| format!("{name}=")).filter(|n| n.starts_with(&word));
        offered.names.extend(keywords);
    }
    offered.names.sort();
    offered.names.dedup();
    offered
}

/// Values an argument can take, of which a part may be there already: a quote, a bracket, some letters.
fn value_of(
    end: usize,
    word: &str,
    method: &Method,
    argument: Option<(&str, Kind)>,
    position: usize,
    quotes: bool,
    ask: &mut dyn Ask,
) -> Completion {
    // Inside of a list the last item counts.
    let in_list = word.starts_with(['[', '(']);
    let item = if in_list { last_of(&word[1..], ',').1 } else { word.to_owned() };
    let quote = item.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let begun = item.trim_start_matches(['\'', '"']);
    let name = argument.map(|(name, _)| name).unwrap_or_default();
    let listed = VALUES.iter().find(|(m, at, arg, _)| *m == method.name && (*at == position || *arg == name));
    let values = match (listed, argument) {
        (Some((.., wanted)), _) => ask.names(method.interface, *wanted),
        (None, Some(("players", _))) => ask.names(method.interface, Wanted::Players),
        (None, Some((_, Kind::Bool))) => {
            let names =
                ["True", "False"].into_iter().filter(|v| v.starts_with(&item)).map(str::to_owned).collect();
            return Completion { from: end - item.len(), names };
        }
        _ => Vec::new(),
    };
    let mark = quote.or((quotes || in_list).then_some('\'')).map(String::from).unwrap_or_default();
    let names =
        values.into_iter().filter(|v| v.starts_with(begun)).map(|v| format!("{mark}{v}{mark}")).collect();
    Completion { from: end - item.len(), names }
}

/// How many pieces are before the last one, divided outside of quotes and brackets, and the last one without leading
/// white space.
fn last_of(text: &str, divider: char) -> (usize, String) {
    let (mut count, mut depth, mut quote, mut last) = (0, 0_i32, None, String::new());
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if matches!(c, '[' | '(' | '{') => depth += 1,
            None if matches!(c, ']' | ')' | '}') => depth -= 1,
            None if c == divider && depth == 0 => {
                count += 1;
                last.clear();
                continue;
            }
            None => {}
        }
        last.push(c);
    }
    (count, last.trim_start().to_owned())
}

/// The same for words; one that is finished by white space is followed by an empty one.
fn last_of_words(text: &str) -> (usize, String) {
    // An open quote is closed for the division, and its word is the last one.
    let closed =
        ["", "'", "\""].iter().find_map(|close| split(&format!("{text}{close}")).ok().map(|w| (w, *close)));
    let Some((mut words, close)) = closed else { return (0, String::new()) };
    if close.is_empty() && text.ends_with(char::is_whitespace) {
        return (words.len(), String::new());
    }
    let last = words.pop().unwrap_or_default();
    let last = last.strip_suffix(close).unwrap_or(&last).to_owned();
    (words.len(), last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::methods::table;

    /// Knows some of each.
    struct Node;

    impl Ask for Node {
        fn names(&mut self, interface: &str, wanted: Wanted) -> Vec<String> {
            assert_eq!(interface, "bank");
            let names: &[&str] = match wanted {
                Wanted::Modes => &["MODE1", "MODE2"],
                Wanted::Parameters => &["exposure", "scan_length", "source"],
                Wanted::StatusKeys => &["NETSTAT", "NDROP", "DISKSTAT"],
                Wanted::Players => &["BANKA"],
            };
            names.iter().map(|n| (*n).to_owned()).collect()
        }
    }

    /// The lines that a Tab would make.
    fn tab(line: &str) -> Vec<String> {
        let table = table();
        let got = complete(line, Scene { table: &table, interface: "bank" }, &mut Node);
        got.names.iter().map(|name| format!("{}{name}", &line[..got.from])).collect()
    }

    #[test]
    fn interfaces_methods_and_commands() {
        assert_eq!(tab("set_m"), ["set_mode"]);
        assert_eq!(tab("bank.set_m"), ["bank.set_mode"]);
        assert_eq!(tab("bank.ro"), ["bank.roach."]);
        assert_eq!(tab("roach.listde"), ["roach.listdev"]);
        assert_eq!(tab("hel"), ["help", "help_param"]);
        assert_eq!(tab("use bank.v"), ["use bank.valon"]);
        assert_eq!(tab("help scan_l"), ["help scan_length"]);
        assert!(tab("help set_").contains(&"help set_mode".to_owned()));
        assert!(tab("nonsense ").is_empty());
    }

    #[test]
    fn modes_parameters_and_keys_are_asked_for() {
        assert_eq!(tab("set_mode MODE"), ["set_mode MODE1", "set_mode MODE2"]);
        assert_eq!(tab("bank.set_mode('MODE2"), ["bank.set_mode('MODE2'"]);
        assert_eq!(tab("set_mode(mode=MODE1"), ["set_mode(mode='MODE1'"]);
        assert_eq!(tab("get_status N"), ["get_status NDROP", "get_status NETSTAT"]);
        assert_eq!(tab("get_status(['NETSTAT', 'D"), ["get_status(['NETSTAT', 'DISKSTAT'"]);
        assert_eq!(tab("set_param s"), ["set_param scan_length=", "set_param source="]);
        assert_eq!(tab("set_param(exposure=1, sc"), ["set_param(exposure=1, scan_length="]);
        assert_eq!(tab("set_status ND"), ["set_status NDROP="]);
    }

    #[test]
    fn names_of_arguments_and_truths() {
        assert_eq!(tab("set_mode MODE1 fo"), ["set_mode MODE1 force="]);
        assert_eq!(tab("set_mode MODE1 force=T"), ["set_mode MODE1 force=True"]);
        assert_eq!(tab("set_mode('MODE1', b"), ["set_mode('MODE1', bandwidth="]);
        assert_eq!(tab("add_switching_state 1.0 F"), ["add_switching_state 1.0 False"]);
    }
}
