//! `init`, `config_write` and `config_diff`: a file is read, then given to the controllers.

use super::context::{Context, refused};
use super::group::Group;
use super::messages::{FileKey, Index};
use super::several::{difference, outcome, progress};
use super::task::{Event, Task, TaskId};
use crate::api::{CallError, Ticket};
use crate::archon::controller::{Answer, Fault, Level, Order};
use crate::archon::methods::Ask;
use crate::config::acf::Acf;
use crate::config::archon::AcfFiles;
use crate::frames::jobs::{Done, Job};
use crate::units::Now;
use crate::value::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The call.
#[derive(Debug)]
pub(super) struct Load {
    id: TaskId,
    ticket: Option<Ticket>,
    ask: Ask,
    /// (controller, its file), files that are read, what was in them.
    files: Vec<(Index, PathBuf)>,
    reading: Vec<(FileKey, PathBuf)>,
    read: Vec<(PathBuf, Arc<Acf>)>,
    group: Group,
    failed: Vec<(Index, Fault)>,
    values: Vec<(Index, Value)>,
    over: bool,
}

impl Load {
    /// Finds the file of every controller.
    pub fn new(
        id: TaskId,
        ticket: Ticket,
        ask: Ask,
        controllers: Vec<Index>,
        cx: &Context,
    ) -> Result<Load, CallError> {
        let named = match &ask {
            Ask::Init { acf, .. } => acf.as_deref(),
            Ask::ConfigWrite { path, .. } => Some(path.as_str()),
            Ask::ConfigDiff(path) => path.as_deref(),
            _ => None,
        };
        let file = |n: &Index| Ok((*n, path_of(cx, *n, named)?));
        let files = controllers.iter().map(file).collect::<Result<Vec<_>, CallError>>()?;
        Ok(Load {
            id,
            ticket: Some(ticket),
            ask,
            files,
            reading: Vec::new(),
            read: Vec::new(),
            group: Group::default(),
            failed: Vec::new(),
            values: Vec::new(),
            over: false,
        })
    }

    fn fail(&mut self, error: CallError, cx: &mut Context) {
        self.over = true;
        cx.reply(&mut self.ticket, Err(error));
    }

    fn file_read(&mut self, path: PathBuf, text: &str, cx: &mut Context, now: Now) {
        match Acf::parse(text) {
            Ok((acf, findings)) => {
                for finding in findings {
                    let text = format!("{}:{}: {}", path.display(), finding.line, finding.problem);
                    cx.text(self.ticket, Level::Warning, text);
                }
                self.read.push((path, Arc::new(acf)));
            }
            Err(e) => {
                let text = format!("Invalid ACF file. {}: {e}", path.display());
                return self.fail(refused(text), cx);
            }
        }
        if self.reading.is_empty() {
            self.order(cx, now);
        }
    }

    fn order(&mut self, cx: &mut Context, now: Now) {
        if matches!(self.ask, Ask::Init { .. }) {
            for (n, path) in self.files.clone() {
                let text = format!("Loading and applying ACF file {}", path.display());
                cx.text_of(self.ticket, Level::Info, n, text);
            }
        }
        let orders: Vec<(Index, Order)> =
            self.files.iter().map(|(n, path)| (*n, self.order_for(*n, path, cx))).collect();
        let who: Vec<Index> = orders.iter().map(|(n, _)| *n).collect();
        let order = |n: Index| orders.iter().find(|(m, _)| *m == n).map_or(Order::Status, |(_, o)| o.clone());
        self.group = Group::order(cx, self.id, &who, order, now);
    }

    fn order_for(&self, n: Index, path: &Path, cx: &Context) -> Order {
        let found = self.read.iter().find(|(p, _)| p == path).map(|(_, acf)| acf.clone());
        let acf = found.unwrap_or_default();
        let path = path.display().to_string();
        match &self.ask {
            Ask::Init { apply, power, consent, .. } => Order::Load {
                acf,
                path,
                apply_all: apply.is_empty(),
                apply: apply.clone(),
                power: *power && apply.is_empty(),
                overrides: overrides(cx, n),
                init: true,
                consent: consent.clone(),
            },
            Ask::ConfigWrite { apply_all, power, consent, .. } => Order::Load {
                acf,
                path,
                apply_all: *apply_all,
                apply: Vec::new(),
                power: *power,
                overrides: Vec::new(),
                init: false,
                consent: consent.clone(),
            },
            _ => Order::Diff {
                acf: Arc::new(acf.with_overrides(&overrides(cx, n)).unwrap_or_else(|_| (*acf).clone())),
            },
        }
    }

    fn finish(&mut self, cx: &mut Context) {
        self.over = true;
        let order: Vec<Index> = self.files.iter().map(|(n, _)| *n).collect();
        let outcome = outcome(cx, &order, &self.failed, &self.values);
        if let (Ok(_), Ask::ConfigWrite { path, .. }) = (&outcome, &self.ask) {
            let text = format!("Config file '{path}' successfully loaded.");
            cx.text(self.ticket, Level::Info, text);
        }
        cx.reply(&mut self.ticket, outcome);
    }
}

/// The named file, or the configured one.
fn path_of(cx: &Context, n: Index, named: Option<&str>) -> Result<PathBuf, CallError> {
    let configured = match &cx.config.site.acf_file {
        AcfFiles::None => None,
        AcfFiles::All(path) => Some(path.clone()),
        AcfFiles::Each(paths) => paths.get(cx.name(n)).cloned(),
    };
    let path = match (named, configured) {
        (Some(path), _) => {
            let path = PathBuf::from(path);
            allowed(cx, &path)?;
            path
        }
        (None, Some(path)) => path,
        (None, None) => {
            return Err(refused(format!("{} - No ACF file defined for this controller.", cx.name(n))));
        }
    };
    Ok(if path.is_absolute() { path } else { cx.config.base_dir.join(path) })
}

/// File arguments of calls stay below the configured roots.
pub(super) fn allowed(cx: &Context, path: &Path) -> Result<(), CallError> {
    let roots = &cx.config.roots;
    let climbs = path.components().any(|c| matches!(c, std::path::Component::ParentDir));
    let full = if path.is_absolute() { path.to_owned() } else { cx.config.base_dir.join(path) };
    if roots.is_empty() || (!climbs && roots.iter().any(|root| full.starts_with(root))) {
        return Ok(());
    }
    let shown: Vec<String> = roots.iter().map(|r| r.display().to_string()).collect();
    Err(refused(format!(
        "{} is outside the directories of archon.roots ({})",
        path.display(),
        shown.join(", ")
    )))
}

fn overrides(cx: &Context, n: Index) -> Vec<(String, String)> {
    let of = |name: &str| {
        cx.config
            .site
            .acf_overrides
            .iter()
            .filter(move |(c, _)| c == name)
            .flat_map(|(_, o)| o.clone())
            .collect::<Vec<_>>()
    };
    let mut all = of("global");
    for (key, value) in of(cx.name(n)) {
        all.retain(|(k, _)| !k.eq_ignore_ascii_case(&key));
        all.push((key, value));
    }
    all
}

impl Task for Load {
    fn start(&mut self, cx: &mut Context, _: Now) {
        let mut paths: Vec<PathBuf> = self.files.iter().map(|(_, p)| p.clone()).collect();
        paths.dedup();
        for path in paths {
            let key = cx.file(self.id, 0, Job::ReadText { path: path.clone() });
            self.reading.push((key, path));
        }
    }

    fn event(&mut self, event: Event, cx: &mut Context, now: Now) {
        match event {
            Event::File { key, done } if !self.over => {
                let Some(at) = self.reading.iter().position(|(k, _)| *k == key) else { return };
                let (_, path) = self.reading.remove(at);
                match done.map(|d| *d) {
                    Ok(Done::Read(Ok(text))) => self.file_read(path, &text, cx, now),
                    Ok(Done::Read(Err(why))) => {
                        self.fail(refused(format!("Cannot find file {}: {why}", path.display())), cx);
                    }
                    Ok(_) => self.fail(refused(format!("{} was not read", path.display())), cx),
                    Err(why) => self.fail(refused(why), cx),
                }
            }
            Event::Done { controller, key, result } if self.group.take(controller, key, &result) => {
                match *result {
                    Ok(Answer::Diff(differences)) => {
                        let list = differences.iter().map(difference).collect();
                        self.values.push((controller, Value::List(list)));
                    }
                    Ok(_) => self.values.push((controller, Value::Bool(true))),
                    Err(fault) => {
                        cx.error_of(self.ticket, controller, fault.to_string());
                        self.failed.push((controller, fault));
                    }
                }
                if self.group.is_done() {
                    self.finish(cx);
                }
            }
            Event::Step { controller, level, text } => cx.text_of(self.ticket, level, controller, text),
            Event::Progress { controller, body } => progress(cx, self.ticket, controller, body),
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        let files = self.files.iter().map(|(_, p)| Value::Str(p.display().to_string())).collect();
        Value::Map(vec![("loading".into(), Value::List(files))])
    }
}
