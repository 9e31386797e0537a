//! `appliance check FILE...`: says everything there is to say about configuration files.
//!
//! One line per finding, `file:line: severity: section.key: problem; remedy`, so that editors can
//! jump to it. What a file is, its content tells, not its name. An `archon.yml` brings the ACF files it names; files
//! of the role archon that are given together are held against each other.

mod archon;
mod dibas;
mod settings;

use crate::config::acf::Acf;
use crate::config::finding::{Finding, Severity};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// dibas.conf, appliance.toml, archon.yml, ACF or limits files, told apart by content
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Least severity to print
    #[arg(long, value_enum, default_value_t = Level::Note)]
    pub level: Level,
}

/// Least severity to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Only what cannot be used.
    Error,
    /// Also what is probably not meant.
    Warning,
    /// Everything.
    Note,
}

impl Level {
    fn shows(self, severity: Severity) -> bool {
        match self {
            Level::Error => severity == Severity::Error,
            Level::Warning => severity <= Severity::Warning,
            Level::Note => true,
        }
    }
}

/// Checks all files. Exit status: 0 usable, 1 at least one error.
pub fn run(args: CheckArgs) -> ExitCode {
    let mut files: Vec<File> = args.files.iter().map(|path| File::read(path)).collect();
    let site = archon::Site::of(&files);
    files.extend(site.further_files(&files).iter().map(|path| File::read(path)));
    let mut errors = 0;
    for file in &files {
        let findings = file.check(&site);
        for finding in findings.iter().filter(|f| args.level.shows(f.severity)) {
            println!("{}:{finding}", file.name);
        }
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        errors += count(Severity::Error);
        println!(
            "{}: {} errors, {} warnings, {} notes",
            file.name,
            count(Severity::Error),
            count(Severity::Warning),
            count(Severity::Note)
        );
    }
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A file to be checked.
struct File {
    path: PathBuf,
    name: String,
    /// What is in it, or why that cannot be read.
    text: Result<String, String>,
}

impl File {
    fn read(path: &Path) -> File {
        let text =
            std::fs::read(path).map_err(|e| e.to_string()).and_then(|bytes| match String::from_utf8(bytes) {
                Ok(text) => Ok(text),
                Err(e) => {
                    // The vendor's GUI writes Latin-1.
                    let text = Acf::decode(e.as_bytes());
                    if kind(&text) == FileKind::Acf {
                        Ok(text)
                    } else {
                        Err("it is not UTF-8 text".to_owned())
                    }
                }
            });
        File { path: path.to_owned(), name: path.display().to_string(), text }
    }

    fn kind(&self) -> FileKind {
        self.text.as_deref().map_or(FileKind::Unknown, kind)
    }

    fn check(&self, site: &archon::Site) -> Vec<Finding> {
        let text = match &self.text {
            Ok(text) => text,
            Err(why) => {
                return vec![whole_file(
                    format!("cannot be read: {why}"),
                    "check the name, the rights and that it is UTF-8 text",
                )];
            }
        };
        match self.kind() {
            FileKind::Dibas => dibas::check(text, &self.name),
            FileKind::Settings => settings::check(text, &self.name),
            FileKind::Archon => archon::check_config(text, &self.path),
            FileKind::Limits => settings::check_limits(text, &self.name),
            FileKind::Acf => archon::check_acf(text, &self.path, site),
            FileKind::Unknown => vec![whole_file(
                "neither a dibas.conf (sections such as [DEFAULTS], [BANKA]), an appliance.toml (such as [listen]), an ACF \
                 ([CONFIG]), an archon.yml (such as controllers:) nor a limits file ([controller.NAME])"
                    .into(),
                "these five kinds of file can be checked",
            )],
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Dibas,
    Settings,
    Archon,
    Limits,
    Acf,
    Unknown,
}

/// Tables of `appliance.toml`.
const TABLES: &[&str] = &["listen", "player", "shm", "record", "resolve", "dealer", "archon"];
/// Top-level keys of `archon.yml`.
const YAML_KEYS: &[&str] = &[
    "controllers",
    "enabled_controllers",
    "window_modes",
    "archon",
    "files",
    "checksum",
    "header",
    "timeouts",
];

/// By its section names: those of `dibas.conf` and ACF files are upper case, ours are lower case; YAML has none.
fn kind(text: &str) -> FileKind {
    let headers = || text.lines().filter_map(|line| line.strip_prefix('[')?.split(']').next());
    if headers().any(|name| name == "CONFIG") {
        return FileKind::Acf;
    }
    for name in headers() {
        let dibas = ["DEFAULTS", "HPCMACS", "DEALER"].contains(&name)
            || name.starts_with("BANK")
            || name.contains("MODE");
        if dibas {
            return FileKind::Dibas;
        }
        let table = name.split('.').next().unwrap_or("").trim();
        if TABLES.contains(&table) {
            return FileKind::Settings;
        }
        if table == "controller" {
            return FileKind::Limits;
        }
    }
    let begins_with = |mark: char, names: &[&str]| {
        text.lines().any(|line| line.split_once(mark).is_some_and(|(key, _)| names.contains(&key.trim_end())))
    };
    match () {
        () if begins_with('=', &["role"]) => FileKind::Settings,
        () if begins_with(':', YAML_KEYS) => FileKind::Archon,
        () => FileKind::Unknown,
    }
}

/// An error about a file as a whole.
fn whole_file(problem: String, remedy: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        line: 0,
        section: String::new(),
        key: "file".into(),
        problem,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIBAS: &str = include_str!("../../../config/dibas.example.conf");
    const SETTINGS: &str = include_str!("../../../config/appliance.toml");
    const YAML: &str = include_str!("../../../config/archon.example.yml");
    const ACF: &str = include_str!("../../../config/archon.example.acf");
    const LIMITS: &str = include_str!("../../../config/archon.example.limits.toml");

    fn file(name: &str, text: &str) -> File {
        File { path: name.into(), name: name.into(), text: Ok(text.to_owned()) }
    }

    fn check(text: &str, name: &str) -> Vec<Finding> {
        file(name, text).check(&archon::Site::default())
    }

    /// Findings of all files that are given together.
    fn together(files: &[File]) -> Vec<Finding> {
        let site = archon::Site::of(files);
        files.iter().flat_map(|file| file.check(&site)).collect()
    }

    #[test]
    fn content_tells_the_kind() {
        assert_eq!(kind(DIBAS), FileKind::Dibas);
        assert_eq!(kind(SETTINGS), FileKind::Settings);
        assert_eq!(kind("role = \"player\"\n"), FileKind::Settings);
        assert_eq!(kind("[SYSTEM]\nBACKPLANE_TYPE=1\n"), FileKind::Unknown);
        assert_eq!(kind(YAML), FileKind::Archon);
        assert_eq!(kind(ACF), FileKind::Acf);
        assert_eq!(kind("[MODE_DEFAULT]\n[CONFIG]\n"), FileKind::Acf);
        assert_eq!(kind(LIMITS), FileKind::Limits);
    }

    #[test]
    fn our_own_files_are_clean() {
        assert_eq!(check(DIBAS, "dibas.example.conf"), []);
        assert_eq!(check(SETTINGS, "appliance.toml"), []);
        let files =
            [file("config/a.yml", YAML), file("config/archon.example.acf", ACF), file("limits.toml", LIMITS)];
        assert_eq!(together(&files), []);
    }

    #[test]
    fn errors_carry_line_and_remedy() {
        let found = check("[player]\nsimulat = true\n", "a.toml");
        assert_eq!((found.len(), found[0].line, found[0].severity), (1, 2, Severity::Error));
        let found = check(&DIBAS.replace("hwexposr = 0.000524288", "hwexposr = 1e-9"), "d.conf");
        assert!(found.iter().any(|f| f.key == "prepare" && f.severity == Severity::Error), "{found:?}");
        let found = check(&DIBAS.replace("sg_period = 704643070", "sg_period = 704643068"), "d.conf");
        assert!(found.iter().any(|f| f.problem.contains("sg_period 704643068")), "{found:?}");
        assert_eq!(check("hello", "x")[0].severity, Severity::Error);
        let found = check("[controller.sp1]\nkeys = 1\n", "l.toml");
        assert_eq!((found.len(), found[0].line), (1, 2), "{found:?}");
        let found = check("[CONFIG]\nhello\n", "a.acf");
        assert_eq!((found.len(), found[0].line), (1, 2), "{found:?}");
    }

    #[test]
    fn an_acf_is_held_against_what_names_it() {
        let acf = || file("config/archon.example.acf", ACF);
        let more = YAML.replace("taps: 2\n        sensor: A", "taps: 4\n        sensor: A");
        let found = together(&[file("config/a.yml", &more), acf()]);
        assert!(found.iter().any(|f| f.problem.contains("the CCDs have 6 (r1 4, b1 2)")), "{found:?}");
        let warm = YAML.replace("HEATERATARGET: -110.0", "HEATERATARGET: 20");
        let found = together(&[file("config/a.yml", &warm), acf(), file("l.toml", LIMITS)]);
        let line = ACF.lines().position(|l| l.starts_with("MOD2\\HEATERATARGET")).expect("there") + 1;
        let hit = found.iter().any(|f| f.line == line && f.problem.contains("= 20 is outside"));
        assert!(hit, "{found:?}");
        let other = LIMITS.replace("controller.sp1", "controller.sp9");
        let found = together(&[file("config/a.yml", YAML), acf(), file("l.toml", &other)]);
        assert!(found.iter().any(|f| f.problem.contains("no [controller.sp1]")), "{found:?}");
    }

    #[test]
    fn a_keyword_from_a_module_that_is_not_there_is_noticed() {
        for (key, said) in
            [("mod7/tempa", "no module mod7"), ("mod4/tempa", "mod4 is of type 9"), ("mod4/lvlc_v1", "")]
        {
            let yaml = YAML.replace("'mod2/tempa'", &format!("'{key}'"));
            let found = together(&[file("config/a.yml", &yaml), file("config/archon.example.acf", ACF)]);
            assert_eq!(found.iter().any(|f| f.problem.contains(said)), !said.is_empty(), "{key}: {found:?}");
        }
    }

    #[test]
    fn an_archon_yml_brings_its_acf() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let files = [File::read(&root.join("archon.example.yml"))];
        let site = archon::Site::of(&files);
        assert_eq!(site.further_files(&files), [root.join("archon.example.acf")]);
        let both =
            [File::read(&root.join("archon.example.yml")), File::read(&root.join("archon.example.acf"))];
        assert_eq!(site.further_files(&both), [] as [PathBuf; 0]);
    }
}
