//! Helper programs: children of this process, unlike those that outlive it. One at a time; the player sees to that.

use crate::player::bank::Input;
use crate::reactor::{ChildSignal, Effect, Effects, Event, Program, Stream, Tag};

/// The helper.
const HELPER: Tag = Tag(16);

/// Starts it. It gets no input.
pub fn run<J>(program: Program, fx: &mut Effects<J>) {
    log::info!("helper program: {} {}", program.path.display(), program.args.join(" "));
    fx.push(Effect::Spawn { tag: HELPER, program });
    fx.push(Effect::CloseChildInput { tag: HELPER });
}

/// Kills it, and what it has started.
pub fn kill<J>(fx: &mut Effects<J>) {
    log::warn!("the helper program is killed");
    fx.push(Effect::SignalChild { tag: HELPER, signal: ChildSignal::Kill });
}

/// Takes the events that are about it; gives the others back.
pub fn take<D>(event: Event<'_, D>) -> Result<Option<Input>, Event<'_, D>> {
    match event {
        Event::ChildExited { tag: HELPER, exit } => Ok(Some(Input::HelperEnded(Ok(exit)))),
        Event::SpawnFailed { tag: HELPER, error } => Ok(Some(Input::HelperEnded(Err(error)))),
        Event::ChildLine { tag: HELPER, stream, line } => {
            let text = String::from_utf8_lossy(line);
            match stream {
                Stream::Stderr => log::warn!("helper program: {text}"),
                Stream::Stdout => log::info!("helper program: {text}"),
            }
            Ok(None)
        }
        Event::ChildStarted { tag: HELPER, .. } | Event::ChildInputClosed { tag: HELPER } => Ok(None),
        other => Err(other),
    }
}
