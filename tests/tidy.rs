//! Reads the source tree and holds it to the invariants of `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Longest source file, tests included.
const LINES_MAX: usize = 900;

/// Folders whose code is handed time and bytes, and hands out orders.
const PURE: &[&str] = &["proto", "session", "plan", "player", "dealer", "archon", "node", "api"];

/// What such code would need to cheat.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "thread::sleep",
    "sys::clock",
    "clock::now",
    "clock::mono",
    "clock::utc",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "mio::",
];

struct Source {
    path: PathBuf,
    /// First folder or file under `src`, without extension.
    module: String,
    text: String,
}

impl Source {
    /// The code without comments and without what is compiled for tests only, line by line.
    fn code(&self) -> Vec<(usize, &str)> {
        if self.path.ends_with("tests.rs") || self.path.components().any(|c| c.as_os_str() == "tests") {
            return Vec::new();
        }
        let lines = self.text.lines().enumerate().map(|(i, line)| (i + 1, line));
        // By our convention the tests are the last item of a file.
        let product = lines.take_while(|(_, line)| *line != "#[cfg(test)]");
        product.map(|(n, line)| (n, line.split("//").next().unwrap_or_default())).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(files_under(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let files = files_under(&src).into_iter().map(|path| {
        let first = path.strip_prefix(&src).expect("it is under src").iter().next().expect("it has a name");
        let module = first.to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        Source { path, module, text }
    });
    files.collect()
}

/// Fails with one line per finding.
fn none(what: &str, findings: impl IntoIterator<Item = String>) {
    let list = findings.into_iter().fold(String::new(), |mut list, finding| {
        writeln!(list, "  {finding}").expect("writing to a String");
        list
    });
    assert!(list.is_empty(), "{what}:\n{list}");
}

/// `path:line: text` of each line of code that `wrong` objects to.
fn lines_where(sources: &[Source], wrong: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let bad = source.code().into_iter().filter(|(_, line)| wrong(source, line));
        found.extend(bad.map(|(n, line)| format!("{}:{n}: {}", source.path.display(), line.trim())));
    }
    found
}

#[test]
fn pure_modules_read_no_clock_open_no_socket_and_never_sleep() {
    none(
        "time and bytes come in as arguments in these modules",
        lines_where(&sources(), |source, line| {
            PURE.contains(&source.module.as_str()) && IMPURE.iter().any(|word| line.contains(word))
        }),
    );
}

/// Sockets and clocks themselves; everybody else goes through `sys` or is driven by `reactor`.
const RAW: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "mio::",
];

#[test]
fn clocks_and_sockets_are_in_reactor_and_sys_only() {
    none(
        "use what sys and reactor offer",
        lines_where(&sources(), |source, line| {
            !matches!(source.module.as_str(), "sys" | "reactor") && RAW.iter().any(|word| line.contains(word))
        }),
    );
}

#[test]
fn unsafe_code_is_in_sys_only() {
    // The word in a text (`unsafe power status`) is no code.
    let code = |line: &str| line.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let is_unsafe =
        |line: &str| code(line).split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|w| w == "unsafe");
    none(
        "unsafe outside src/sys",
        lines_where(&sources(), |source, line| source.module != "sys" && is_unsafe(line)),
    );
}

#[test]
fn nothing_unwraps_outside_tests() {
    none(
        "say why it cannot happen (`expect`), or handle it",
        lines_where(&sources(), |_, line| line.contains(".unwrap()")),
    );
}

#[test]
fn no_file_is_too_long() {
    let long =
        sources().into_iter().map(|s| (s.text.lines().count(), s.path)).filter(|(n, _)| *n > LINES_MAX);
    none(
        "split these by what they are about",
        long.map(|(n, path)| format!("{}: {n} lines", path.display())),
    );
}

#[test]
fn top_level_modules_form_no_cycle() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let code: String = source.code().into_iter().flat_map(|(_, line)| [line, "\n"]).collect();
        let targets = crate_paths(&code);
        uses.entry(source.module.clone())
            .or_default()
            .extend(targets.into_iter().filter(|t| *t != source.module));
    }
    // `lib` and `main` are above all.
    uses.retain(|module, _| module != "lib" && module != "main");
    while let Some(leaf) = uses.iter().find(|(_, targets)| targets.is_empty()).map(|(m, _)| m.clone()) {
        uses.remove(&leaf);
        for targets in uses.values_mut() {
            targets.remove(&leaf);
        }
    }
    none("what is left here uses each other", uses.iter().map(|(m, targets)| format!("{m} -> {targets:?}")));
}

/// First segments of the `crate::...` paths in a piece of code, groups in braces included.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

fn head(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    name.starts_with(char::is_lowercase).then_some(name)
}

/// `a::b, c::{d, e}, f}` gives a, c, f.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(head(&std::mem::take(&mut item))),
            other => item.push(other),
        }
    }
    heads.extend(head(&item));
    heads
}

#[test]
fn the_reader_of_paths_understands_groups() {
    let code = "use crate::units::Utc; use crate::{proto::{zmtp, katcp}, api, sys::clock}; crate::value::Value::Null";
    let wanted = ["api", "proto", "sys", "units", "value"].map(String::from);
    assert_eq!(crate_paths(code), BTreeSet::from(wanted));
}

#[test]
fn the_fuzz_manifest_is_whole_and_names_every_target() {
    let fuzz = root().join("fuzz");
    let text = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    let manifest: toml::Table = toml::from_str(&text).expect("fuzz/Cargo.toml is TOML");
    for table in ["package", "workspace", "dependencies"] {
        assert!(manifest.contains_key(table), "fuzz/Cargo.toml has no [{table}]: nobody could run a target");
    }
    let bins = manifest["bin"].as_array().expect("[[bin]] entries");
    let registered: BTreeSet<&str> = bins.iter().filter_map(|bin| bin.get("path")?.as_str()).collect();
    let files = files_under(&fuzz.join("fuzz_targets"));
    let there: BTreeSet<&str> =
        files.iter().filter_map(|path| path.strip_prefix(&fuzz).ok()?.to_str()).collect();
    assert_eq!(registered, there, "[[bin]] entries and files of fuzz_targets/");
}
