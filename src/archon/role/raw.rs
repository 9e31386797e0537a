//! `frame_fetch` (a buffer as it is) and `config_read(save=True)`.

use super::context::{Context, refused};
use super::load::allowed;
use super::messages::{FileKey, Index};
use super::task::{Event, Task, TaskId};
use crate::api::{CallError, Ticket};
use crate::archon::controller::{Answer, Level, Order, OrderKey, Which};
use crate::archon::exposure::Shot;
use crate::archon::exposure::saving::{Into_, Saved, Saving};
use crate::frames::jobs::{Done, Job};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::path::PathBuf;

/// `frame_fetch`
#[derive(Debug)]
pub(super) struct FrameFetch {
    id: TaskId,
    ticket: Option<Ticket>,
    n: Index,
    which: Which,
    path: Option<PathBuf>,
    naming: Option<FileKey>,
    saving: Option<Saving>,
    over: bool,
}

impl FrameFetch {
    pub fn new(
        id: TaskId,
        ticket: Ticket,
        who: &[Index],
        buffer: Option<u8>,
        file: Option<&str>,
        cx: &Context,
    ) -> Result<FrameFetch, CallError> {
        let [n] = who else { return Err(refused("frame_fetch is for one controller: name it")) };
        let path = file.map(PathBuf::from);
        if let Some(path) = &path {
            allowed(cx, path)?;
        }
        let which = buffer.map_or(Which::Newest, Which::Buffer);
        Ok(FrameFetch {
            id,
            ticket: Some(ticket),
            n: *n,
            which,
            path,
            naming: None,
            saving: None,
            over: false,
        })
    }

    fn end(&mut self, outcome: Result<Saved, String>, cx: &mut Context) {
        self.over = true;
        let outcome = match outcome {
            Ok(saved) => {
                let (path, bytes) = saved
                    .published
                    .first()
                    .map_or((String::new(), 0), |p| (p.path.display().to_string(), p.bytes));
                cx.text(self.ticket, Level::Info, format!("File saved to {path}"));
                let rest = vec![
                    ("file".into(), Value::Str(path)),
                    ("bytes".into(), Value::Int(bytes as i64)),
                    ("buffer".into(), Value::Int(i64::from(saved.locked.id.buffer))),
                    ("frame".into(), Value::Int(saved.locked.id.frame as i64)),
                ];
                Ok(cx.about(self.n, rest))
            }
            Err(why) => Err(refused(format!("Failed fetching data: {why}"))),
        };
        cx.reply(&mut self.ticket, outcome);
    }

    fn look(&mut self, cx: &mut Context, now: Now) {
        let Some(saving) = &mut self.saving else { return };
        saving.go_on(self.ticket, cx, now);
        let outcome = match &saving.outcome {
            None => return,
            Some(Ok(saved)) => Ok(saved.clone()),
            Some(Err(why)) => Err(why.clone()),
        };
        self.end(outcome, cx);
    }
}

impl Task for FrameFetch {
    fn start(&mut self, cx: &mut Context, _: Now) {
        let job = Job::RawPath { path: self.path.clone(), controller: cx.name(self.n).to_owned() };
        self.naming = Some(cx.file(self.id, 0, job));
    }

    fn event(&mut self, mut event: Event, cx: &mut Context, now: Now) {
        if let Some(saving) = &mut self.saving
            && saving.event(&mut event, self.ticket, cx, now)
        {
            return self.look(cx, now);
        }
        match event {
            Event::File { key, done } if self.naming == Some(key) => match done.map(|d| *d) {
                Ok(Done::RawPath(Ok(path))) => {
                    let shot = Shot::unknown(0);
                    let which = self.which.clone();
                    self.saving = Some(Saving::new(self.n, shot, self.id, which, Into_::Raw(path), now));
                    self.look(cx, now);
                }
                Ok(Done::RawPath(Err(why))) => self.end(Err(why.to_string()), cx),
                Ok(_) => self.end(Err("no file name was found".into()), cx),
                Err(why) => self.end(Err(why), cx),
            },
            Event::Step { controller, level, text } => cx.text_of(self.ticket, level, controller, text),
            Event::Progress { controller, body } => {
                super::several::progress(cx, self.ticket, controller, body)
            }
            _ => self.look(cx, now),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.saving.as_ref().and_then(Saving::deadline)
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        Value::Str(format!("fetching a frame: {}", self.saving.as_ref().map_or("naming", |s| s.doing())))
    }
}

/// `config_read(save=True)`: one controller's configuration into a file.
#[derive(Debug)]
pub(super) struct ConfigSave {
    id: TaskId,
    ticket: Option<Ticket>,
    n: Index,
    path: PathBuf,
    asking: Option<OrderKey>,
    over: bool,
}

impl ConfigSave {
    pub fn new(id: TaskId, ticket: Ticket, who: &[Index], cx: &Context) -> Result<ConfigSave, CallError> {
        let [n] = who else { return Err(refused("config_read(save) is for one controller: name it")) };
        let path = PathBuf::from(format!("~/archon_{}.acf", cx.name(*n)));
        Ok(ConfigSave { id, ticket: Some(ticket), n: *n, path, asking: None, over: false })
    }
}

impl Task for ConfigSave {
    fn start(&mut self, cx: &mut Context, now: Now) {
        self.asking = Some(cx.order(self.id, self.n, Order::ReadConfig, now));
    }

    fn event(&mut self, event: Event, cx: &mut Context, _: Now) {
        match event {
            Event::Done { key, result, .. } if self.asking == Some(key) => match *result {
                Ok(Answer::Config(acf)) => {
                    let job = Job::WriteText { path: self.path.clone(), text: acf.to_text() };
                    cx.file(self.id, 0, job);
                }
                Ok(_) => {
                    self.over = true;
                    cx.reply(&mut self.ticket, Err(refused("no configuration was read")));
                }
                Err(fault) => {
                    self.over = true;
                    cx.reply(&mut self.ticket, Err(super::context::error_of(&fault)));
                }
            },
            Event::File { done, .. } => {
                self.over = true;
                let outcome = match done.map(|d| *d) {
                    Ok(Done::Wrote(Ok(path))) => {
                        let text = format!("Config written to '{}'", path.display());
                        cx.text(self.ticket, Level::Info, text.clone());
                        Ok(Value::Str(text))
                    }
                    Ok(Done::Wrote(Err(why))) => Err(refused(why.to_string())),
                    Ok(_) => Err(refused("the file was not written")),
                    Err(why) => Err(refused(why)),
                };
                cx.reply(&mut self.ticket, outcome);
            }
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        "reading a configuration into a file".into()
    }
}
