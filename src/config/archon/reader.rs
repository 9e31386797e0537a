//! Typed reading of a YAML tree: every remark has its line, every key that nobody asked for is named.

use super::yaml::{Key, Kind, Node};
use crate::config::finding::{Finding, Severity};
use crate::config::suggest;
use crate::value::float_repr;

/// What was remarked so far.
#[derive(Default)]
pub(super) struct Reader {
    pub findings: Vec<Finding>,
}

impl Reader {
    pub fn remark(&mut self, severity: Severity, line: usize, path: &str, problem: String, remedy: &str) {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        self.findings.push(Finding {
            severity,
            line,
            section: section.to_owned(),
            key: key.to_owned(),
            problem,
            remedy: remedy.to_owned(),
        });
    }

    pub fn error(&mut self, line: usize, path: &str, problem: impl Into<String>, remedy: &str) {
        self.remark(Severity::Error, line, path, problem.into(), remedy);
    }

    pub fn warn(&mut self, line: usize, path: &str, problem: impl Into<String>, remedy: &str) {
        self.remark(Severity::Warning, line, path, problem.into(), remedy);
    }

    fn wrong(&mut self, path: &str, node: &Node, wanted: &str, example: &str) {
        let problem = format!("{} where {wanted} is expected", node.kind.name());
        self.error(node.line, path, problem, &format!("write for example {example}"));
    }

    /// Text; numbers are taken as Python would print them.
    pub fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        let text = scalar(&node.kind);
        if text.is_none() {
            self.wrong(path, node, "text", "'text'");
        }
        text
    }

    /// `true`, `false`, and what YAML 1.1 and so PyYAML takes for them.
    pub fn bool(&mut self, path: &str, node: &Node) -> Option<bool> {
        match &node.kind {
            Kind::Bool(b) => Some(*b),
            Kind::Text(t) if ["yes", "on"].contains(&t.to_ascii_lowercase().as_str()) => Some(true),
            Kind::Text(t) if ["no", "off"].contains(&t.to_ascii_lowercase().as_str()) => Some(false),
            _ => {
                self.wrong(path, node, "true or false", "true");
                None
            }
        }
    }

    pub fn int(&mut self, path: &str, node: &Node) -> Option<i64> {
        if let Kind::Int(i) = node.kind {
            return Some(i);
        }
        self.wrong(path, node, "an integer", "10");
        None
    }

    /// An integer within bounds.
    pub fn whole<T: TryFrom<i64>>(&mut self, path: &str, node: &Node) -> Option<T> {
        let int = self.int(path, node)?;
        let whole = T::try_from(int).ok();
        if whole.is_none() {
            self.error(node.line, path, format!("{int} is out of range"), "correct the number");
        }
        whole
    }

    pub fn number(&mut self, path: &str, node: &Node) -> Option<f64> {
        match node.kind {
            Kind::Int(i) => Some(i as f64),
            Kind::Float(x) => Some(x),
            _ => {
                self.wrong(path, node, "a number", "1.5");
                None
            }
        }
    }

    pub fn list<'a>(&mut self, path: &str, node: &'a Node) -> &'a [Node] {
        match &node.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            _ => {
                self.wrong(path, node, "a list", "[a, b]");
                &[]
            }
        }
    }

    pub fn texts(&mut self, path: &str, node: &Node) -> Vec<String> {
        self.list(path, node).iter().filter_map(|item| self.text(path, item)).collect()
    }
}

/// Text of a scalar as Python prints it; booleans, lists and maps have none.
pub(super) fn scalar(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Int(i) => Some(i.to_string()),
        Kind::Float(x) => Some(float_repr(*x)),
        Kind::Text(t) => Some(t.clone()),
        _ => None,
    }
}

/// A map being read.
pub(super) struct Section<'a> {
    pub path: String,
    pub line: usize,
    pairs: &'a [(Key, Node)],
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A node that should be a map; `null` is an empty one.
    pub fn of(reader: &mut Reader, path: &str, node: &'a Node) -> Section<'a> {
        let pairs: &[(Key, Node)] = match &node.kind {
            Kind::Map(pairs) => pairs,
            Kind::Null => &[],
            _ => {
                reader.wrong(path, node, "a map", "key: value");
                &[]
            }
        };
        let section = Section { path: path.to_owned(), line: node.line, pairs, asked: Vec::new() };
        section.duplicates(reader);
        section
    }

    /// A section of this one; absent: an empty one.
    pub fn section(&mut self, reader: &mut Reader, key: &'static str) -> Section<'a> {
        match self.get(key) {
            Some(node) => Section::of(reader, &self.at(key), node),
            None => Section { path: self.at(key), line: 0, pairs: &[], asked: Vec::new() },
        }
    }

    /// Path of a member.
    pub fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A member that is not `null`; of duplicates the last.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let found = self.pairs.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node);
        found.filter(|node| node.kind != Kind::Null)
    }

    /// A member, read by `read`; absent or unusable: `None`.
    pub fn take<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl FnOnce(&mut Reader, &str, &Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        read(reader, &self.at(key), node)
    }

    /// All members, in file order, for maps whose keys are names; of duplicates the last value in the first place.
    pub fn members(&self) -> Vec<(&'a str, &'a Node)> {
        let mut found: Vec<(&str, &Node)> = Vec::new();
        for (key, node) in self.pairs {
            match found.iter_mut().find(|(name, _)| *name == key.name) {
                Some(earlier) => earlier.1 = node,
                None => found.push((&key.name, node)),
            }
        }
        found
    }

    /// Remarks on keys nobody asked for; those in `unused` exist in the reference, but mean nothing here.
    pub fn finish(self, reader: &mut Reader, unused: &[&str]) {
        for (name, node) in self.members() {
            let path = self.at(name);
            let line = self.pairs.iter().find(|(k, _)| k.name == name).map_or(node.line, |(k, _)| k.line);
            if unused.contains(&name) {
                reader.remark(Severity::Note, line, &path, "not used".into(), "");
            } else if !self.asked.contains(&name) {
                let hint = suggest::hint(name, self.asked.iter().copied());
                reader.warn(line, &path, format!("unknown key{hint}"), "it has no effect");
            }
        }
    }

    fn duplicates(&self, reader: &mut Reader) {
        for (index, (key, _)) in self.pairs.iter().enumerate() {
            if self.pairs[..index].iter().any(|(earlier, _)| earlier.name == key.name) {
                reader.warn(
                    key.line,
                    &self.at(&key.name),
                    "duplicate key; the last one counts",
                    "keep one of them",
                );
            }
        }
    }
}
