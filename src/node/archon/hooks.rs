//! Programs of the site: children that hear JSON lines and answer with JSON lines.

use super::Job;
use crate::archon::role::{HookIndex, Input};
use crate::reactor::{ChildSignal, Effect, Effects, Event, Program, Stream, Tag};

/// The child of the first hook; the others count on.
const HOOK_TAG: u64 = 0x200;

fn tag(hook: HookIndex) -> Tag {
    Tag(HOOK_TAG + hook.0 as u64)
}

fn hook(tag: Tag) -> HookIndex {
    HookIndex(tag.0.saturating_sub(HOOK_TAG) as usize)
}

/// Starts a hook's program.
pub fn spawn(which: HookIndex, program: Program, fx: &mut Effects<Job>) {
    fx.push(Effect::Spawn { tag: tag(which), program });
}

/// Says a line to it.
pub fn tell(which: HookIndex, mut line: String, fx: &mut Effects<Job>) {
    if !line.ends_with('\n') {
        line.push('\n');
    }
    fx.push(Effect::WriteChild { tag: tag(which), bytes: line.into_bytes() });
}

/// Ends its input, after what was said.
pub fn end(which: HookIndex, fx: &mut Effects<Job>) {
    fx.push(Effect::CloseChildInput { tag: tag(which) });
}

/// Signals it.
pub fn signal(which: HookIndex, signal: ChildSignal, fx: &mut Effects<Job>) {
    fx.push(Effect::SignalChild { tag: tag(which), signal });
}

/// What the role hears of an event of a child. What a hook says on its error output is for the log.
pub fn heard<D>(event: Event<'_, D>) -> Option<Input> {
    match event {
        Event::ChildStarted { tag, pid } => {
            log::info!("hook {}: runs as process {pid}", hook(tag).0);
            Some(Input::HookStarted(hook(tag)))
        }
        Event::SpawnFailed { tag, error } => Some(Input::HookFailed(hook(tag), error)),
        Event::ChildLine { tag, stream: Stream::Stdout, line } => {
            Some(Input::HookLine(hook(tag), line.to_vec()))
        }
        Event::ChildLine { tag, stream: Stream::Stderr, line } => {
            log::warn!("hook {}: {}", hook(tag).0, String::from_utf8_lossy(line));
            None
        }
        Event::ChildInputClosed { tag } => {
            log::warn!("hook {}: it no longer reads what it is told", hook(tag).0);
            None
        }
        Event::ChildExited { tag, exit } => Some(Input::HookExited(hook(tag), exit)),
        _ => None,
    }
}
