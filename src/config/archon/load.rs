//! Text of `archon.yml` to [`ArchonConfig`]: the sections, one function each, over the reference's defaults.

use super::reader::{Reader, Section, scalar};
use super::template::FileTemplate;
use super::yaml::{self, Kind, Node};
use super::{
    AcfFiles, Actor, ArchonConfig, Checksum, ChecksumMode, Files, IntParam, Timeouts, WindowKey, controllers,
    header,
};
use crate::config::acf::normal;
use crate::config::finding::{Finding, Severity};
use crate::config::suggest;
use crate::proto::archon::PARAMETER_MAX;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Variables of the environment, by name.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl ArchonConfig {
    /// Reads a file over the reference's defaults. Findings of severity error make it unusable, and are all there is then.
    ///
    /// `path_of_file`: its directory stands for `{archon_etc}`. `env` is asked for `HOME` and `OBSERVATORY`.
    /// Relative ACF paths stay relative (to the configuration file).
    pub fn load(
        text: &str,
        path_of_file: &Path,
        env: Env<'_>,
    ) -> Result<(ArchonConfig, Vec<Finding>), Vec<Finding>> {
        let mut reader = Reader::default();
        let root = yaml::parse(text).unwrap_or_else(|(line, problem)| {
            reader.error(line, "", problem, "the file is YAML");
            Node { line, kind: Kind::Null }
        });
        let r = &mut reader;
        let mut top = Section::of(r, "", &root);
        let (all, enabled) = controllers::read(&mut top, r);
        let etc = path_of_file.parent().unwrap_or(Path::new("."));
        let mut config = ArchonConfig {
            window_modes: window_modes(&mut top, r),
            files: files(&mut top, r, env),
            checksum: checksum(&mut top, r),
            excluded_cameras: top
                .take(r, "excluded_cameras", |r, path, n| Some(r.texts(path, n)))
                .unwrap_or_default(),
            header: header::read(&mut top, r),
            timeouts: timeouts(&mut top, r),
            actor: actor(&mut top, r),
            observatory: observatory(&mut top, r, env),
            ..archon(&mut top, r, etc)
        };
        top.finish(r, &[]);
        config.controllers = all;
        agree(&config, r);
        config.controllers.retain(|c| enabled.as_ref().is_none_or(|names| names.contains(&c.name)));
        let mut findings = reader.findings;
        findings.sort_by_key(|f| f.line);
        let broken = findings.iter().any(|f| f.severity == Severity::Error);
        if broken { Err(findings) } else { Ok((config, findings)) }
    }

    /// `acf_overrides` of a controller: global ones, then its own, which win.
    pub fn overrides_for(&self, controller: &str) -> Vec<(String, String)> {
        let mut merged: Vec<(String, String)> = Vec::new();
        for wanted in ["global", controller] {
            let sections = self.acf_overrides.iter().filter(|(name, _)| name == wanted);
            for (key, value) in sections.flat_map(|(_, pairs)| pairs) {
                match merged.iter_mut().find(|(earlier, _)| normal(earlier) == normal(key)) {
                    Some(earlier) => earlier.1.clone_from(value),
                    None => merged.push((key.clone(), value.clone())),
                }
            }
        }
        merged
    }
}

impl AcfFiles {
    /// The file of a controller.
    pub fn of(&self, controller: &str) -> Option<&Path> {
        match self {
            AcfFiles::None => None,
            AcfFiles::All(path) => Some(path),
            AcfFiles::Each(paths) => paths.get(controller).map(PathBuf::as_path),
        }
    }
}

/// Section `archon`; everything else is what it is without a file.
fn archon(top: &mut Section<'_>, r: &mut Reader, etc: &Path) -> ArchonConfig {
    let mut s = top.section(r, "archon");
    let acf_file = s.take(r, "acf_file", |r, path, node| Some(acf_files(r, path, node, etc)));
    let overrides = s.section(r, "acf_overrides");
    let of_controllers = overrides.members().into_iter();
    let acf_overrides = of_controllers
        .map(|(name, node)| (name.to_owned(), override_values(r, &overrides.at(name), node)))
        .collect();
    let defaults = s.section(r, "default_parameters");
    let default_parameters = defaults
        .members()
        .into_iter()
        .filter_map(|(name, node)| Some((name.to_owned(), parameter(r, &defaults.at(name), node)?)))
        .collect();
    let int_param = s.take(r, "int_param", |r, path, node| match r.text(path, node)?.as_str() {
        "IntCS" => Some(IntParam::IntCS),
        "IntMS" => Some(IntParam::IntMS),
        other => {
            r.error(node.line, path, format!("Invalid archon.int_param '{other}'."), "write IntCS or IntMS");
            None
        }
    });
    s.finish(r, &[]);
    ArchonConfig {
        controllers: Vec::new(),
        window_modes: Vec::new(),
        acf_file: acf_file.unwrap_or(AcfFiles::None),
        acf_overrides,
        default_parameters,
        int_param: int_param.unwrap_or(IntParam::IntCS),
        files: Files { data_dir: PathBuf::new(), template: String::new(), use_sjd: false, write_async: true },
        checksum: Checksum { write: true, mode: ChecksumMode::Md5, file: String::new() },
        excluded_cameras: Vec::new(),
        header: Vec::new(),
        timeouts: Timeouts::default(),
        actor: Actor::default(),
        observatory: String::new(),
    }
}

fn acf_files(r: &mut Reader, path: &str, node: &Node, etc: &Path) -> AcfFiles {
    let placed = |text: String| PathBuf::from(text.replace("{archon_etc}", &etc.to_string_lossy()));
    if !matches!(node.kind, Kind::Map(_)) {
        return r.text(path, node).map_or(AcfFiles::None, |text| AcfFiles::All(placed(text)));
    }
    let section = Section::of(r, path, node);
    let members = section.members().into_iter();
    let files = members.filter_map(|(name, node)| {
        let text = r.text(&section.at(name), node)?;
        Some((name.to_owned(), placed(text)))
    });
    AcfFiles::Each(files.collect())
}

fn override_values(r: &mut Reader, path: &str, node: &Node) -> Vec<(String, String)> {
    let section = Section::of(r, path, node);
    let mut pairs = Vec::new();
    for (key, node) in section.members() {
        match scalar(&node.kind) {
            Some(text) => pairs.push((key.to_owned(), text)),
            None => {
                let problem = format!("{} cannot be a configuration value", node.kind.name());
                r.error(node.line, &section.at(key), problem, "write a number or quoted text");
            }
        }
    }
    pairs
}

/// A parameter of the timing script: 20 bits.
fn parameter(r: &mut Reader, path: &str, node: &Node) -> Option<i64> {
    let value = r.int(path, node)?;
    if !(0..=i64::from(PARAMETER_MAX)).contains(&value) {
        r.error(
            node.line,
            path,
            format!("{value} is no parameter value"),
            "parameters are 0..1048575 (20 bit)",
        );
        return None;
    }
    Some(value)
}

fn window_modes(top: &mut Section<'_>, r: &mut Reader) -> Vec<(String, Vec<(WindowKey, i64)>)> {
    let modes = top.section(r, "window_modes");
    let mut found = Vec::new();
    for (name, node) in modes.members() {
        let path = modes.at(name);
        if name == "default" {
            r.warn(node.line, &path, "'default' always is the window of the ACF", "choose another name");
        }
        found.push((name.to_owned(), window(r, &path, node)));
    }
    found
}

fn window(r: &mut Reader, path: &str, node: &Node) -> Vec<(WindowKey, i64)> {
    let section = Section::of(r, path, node);
    let mut keys = Vec::new();
    for (name, node) in section.members() {
        let path = section.at(name);
        match WindowKey::ALL.iter().find(|(text, _)| *text == name) {
            Some((_, key)) => keys.extend(parameter(r, &path, node).map(|value| (*key, value))),
            None => {
                let hint = suggest::hint(name, WindowKey::ALL.map(|(text, _)| text));
                r.warn(node.line, &path, format!("unknown key{hint}"), "it has no effect");
            }
        }
    }
    keys
}

fn files(top: &mut Section<'_>, r: &mut Reader, env: Env<'_>) -> Files {
    let mut s = top.section(r, "files");
    let dir = s.take(r, "data_dir", Reader::text).unwrap_or_else(|| "~/".to_owned());
    let data_dir = expanded(&dir, env).unwrap_or_else(|problem| {
        r.error(s.line, &s.at("data_dir"), problem, "write an absolute path");
        PathBuf::new()
    });
    let template = s.take(r, "template", |r, path, node| {
        let text = r.text(path, node)?;
        FileTemplate::parse(&text)
            .map_err(|why| {
                r.error(node.line, path, why, "write for example sdR-{ccd}-{exposure_no:08d}.fits.gz")
            })
            .ok()?;
        Some(text)
    });
    let use_sjd = s.take(r, "use_sjd", Reader::bool);
    let write_async = s.take(r, "write_async", Reader::bool);
    s.finish(r, &["write_engine", "split"]);
    Files {
        data_dir,
        template: template.unwrap_or_else(|| "sdR-{ccd}-{exposure_no:08d}.fits.gz".to_owned()),
        use_sjd: use_sjd.unwrap_or(false),
        write_async: write_async.unwrap_or(true),
    }
}

/// `~` at the beginning is `$HOME`.
fn expanded(dir: &str, env: Env<'_>) -> Result<PathBuf, String> {
    let Some(rest) = dir.strip_prefix('~') else { return Ok(PathBuf::from(dir)) };
    let below = match rest.strip_prefix('/') {
        Some(below) => below.trim_start_matches('/'),
        None if rest.is_empty() => "",
        None => return Err(format!("'{dir}': homes of other users are not looked up")),
    };
    let home =
        env("HOME").filter(|home| !home.is_empty()).ok_or_else(|| format!("'{dir}': $HOME is not set"))?;
    Ok(if below.is_empty() { PathBuf::from(home) } else { Path::new(&home).join(below) })
}

fn checksum(top: &mut Section<'_>, r: &mut Reader) -> Checksum {
    let mut s = top.section(r, "checksum");
    let write = s.take(r, "write", Reader::bool);
    let mode = s.take(r, "mode", |r, path, node| {
        let text = r.text(path, node)?;
        let known = [("md5", ChecksumMode::Md5), ("sha1", ChecksumMode::Sha1)];
        let mode = known.into_iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, mode)| mode);
        if mode.is_none() {
            r.error(node.line, path, format!("Invalid checksum mode '{text}'."), "write md5 or sha1");
        }
        mode
    });
    let mode = mode.unwrap_or(ChecksumMode::Md5);
    let file = s.take(r, "file", Reader::text);
    s.finish(r, &[]);
    let sum = match mode {
        ChecksumMode::Md5 => "md5",
        ChecksumMode::Sha1 => "sha1",
    };
    Checksum { write: write.unwrap_or(true), mode, file: file.unwrap_or_else(|| format!("{{SJD}}.{sum}sum")) }
}

/// Longest wait a configuration may ask for, s.
const WAIT_MAX_S: f64 = 86_400.0;

impl Default for Timeouts {
    /// Those of the reference.
    fn default() -> Timeouts {
        Timeouts {
            controller_connect: Duration::from_secs(5),
            write_config: Duration::from_secs(2),
            write_config_delay: Duration::from_micros(100),
            readout_max: Duration::from_secs(60),
            fetching_max: Duration::from_secs(10),
            flushing: Duration::from_millis(1200),
        }
    }
}

fn timeouts(top: &mut Section<'_>, r: &mut Reader) -> Timeouts {
    let mut s = top.section(r, "timeouts");
    let mut t = Timeouts::default();
    let members: [(&'static str, &mut Duration); 6] = [
        ("controller_connect", &mut t.controller_connect),
        ("write_config_timeout", &mut t.write_config),
        ("write_config_delay", &mut t.write_config_delay),
        ("readout_max", &mut t.readout_max),
        ("fetching_max", &mut t.fetching_max),
        ("flushing", &mut t.flushing),
    ];
    for (key, member) in members {
        let may_be_zero = key == "write_config_delay";
        let read = s.take(r, key, |r, path, node| {
            let seconds = r.number(path, node)?;
            let sane = seconds.is_finite()
                && seconds <= WAIT_MAX_S
                && (seconds > 0.0 || (may_be_zero && seconds == 0.0));
            if !sane {
                r.error(
                    node.line,
                    path,
                    format!("{seconds} is no wait"),
                    "write seconds, more than 0 and at most a day",
                );
                return None;
            }
            Duration::try_from_secs_f64(seconds).ok()
        });
        *member = read.unwrap_or(*member);
    }
    s.finish(r, &["expose_timeout", "readout_expected", "fetching_expected"]);
    t
}

impl Default for Actor {
    /// Those of the reference.
    fn default() -> Actor {
        Actor {
            name: "archon".to_owned(),
            host: "localhost".to_owned(),
            port: 5672,
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            version: None,
            run_recovery_on_start: true,
        }
    }
}

/// What CLU's actors understand besides; no part of ours.
const ACTOR_UNUSED: &[&str] = &[
    "virtualhost",
    "ssl",
    "url",
    "models",
    "log",
    "log_dir",
    "verbose",
    "schema",
    "store",
    "additional_properties",
    "task_handlers",
    "config",
    "parser",
    "command_parser",
    "tron_host",
    "tron_port",
    "exchange_name",
];

fn actor(top: &mut Section<'_>, r: &mut Reader) -> Actor {
    let mut s = top.section(r, "actor");
    let default = Actor::default();
    let mut text = |r: &mut Reader, key: &'static str| s.take(r, key, Reader::text);
    let (name, host, user) = (text(r, "name"), text(r, "host"), text(r, "user"));
    let (password, version) = (text(r, "password"), text(r, "version"));
    let port = s.take(r, "port", Reader::whole);
    let recovery = s.take(r, "run_recovery_on_start", Reader::bool);
    s.finish(r, ACTOR_UNUSED);
    Actor {
        name: name.unwrap_or(default.name),
        host: host.unwrap_or(default.host),
        port: port.unwrap_or(default.port),
        user: user.unwrap_or(default.user),
        password: password.unwrap_or(default.password),
        version,
        run_recovery_on_start: recovery.unwrap_or(default.run_recovery_on_start),
    }
}

fn observatory(top: &mut Section<'_>, r: &mut Reader, env: Env<'_>) -> String {
    let configured = top.take(r, "observatory", Reader::text);
    let name = configured.or_else(|| env("OBSERVATORY")).map(|name| name.trim().to_ascii_uppercase());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "LCO".to_owned())
}

/// Things that only together are wrong.
fn agree(config: &ArchonConfig, r: &mut Reader) {
    if config.files.use_sjd && !["APO", "LCO"].contains(&config.observatory.as_str()) {
        let problem = format!("SJD is defined for APO and LCO, not for {}", config.observatory);
        r.error(0, "files.use_sjd", problem, "write observatory: APO or LCO, or use_sjd: false");
    }
    let ccds: Vec<&str> =
        config.controllers.iter().flat_map(|c| &c.detectors).map(|d| d.name.as_str()).collect();
    let controllers: Vec<&str> = config.controllers.iter().map(|c| c.name.as_str()).collect();
    names_are_known(config, r, &ccds, &controllers);
    let Ok(template) = FileTemplate::parse(&config.files.template) else { return };
    if ccds.len() > 1 && !template.tells_ccds_apart() {
        r.error(
            0,
            "files.template",
            "images of all CCDs would have the same name",
            "add {ccd} to the template",
        );
    }
}

fn names_are_known(config: &ArchonConfig, r: &mut Reader, ccds: &[&str], controllers: &[&str]) {
    let mut unknown = |path: &str, name: &str, of: &[&str], what: &str| {
        if !of.contains(&name) {
            let hint = suggest::hint(name, of.iter().copied());
            r.warn(0, path, format!("there is no {what} '{name}'{hint}"), "it has no effect");
        }
    };
    for ccd in &config.excluded_cameras {
        unknown("excluded_cameras", ccd, ccds, "CCD");
    }
    for (name, _) in config.acf_overrides.iter().filter(|(name, _)| name != "global") {
        unknown("archon.acf_overrides", name, controllers, "controller");
    }
    if let AcfFiles::Each(files) = &config.acf_file {
        for name in files.keys() {
            unknown("archon.acf_file", name, controllers, "controller");
        }
    }
}
