//! Promises: before timing is released, lock files say which frame of which controller this exposure will be. If the
//! program ends between the readout and the first file, recovery knows whose frame lies in the controller.
//! The files, and why a promise must not outlive its exposure: [`crate::frames`], module `promise`.

use super::{Shot, header};
use crate::archon::role::context::Context;
use crate::archon::role::messages::Index;
use crate::archon::role::task::TaskId;
use crate::archon::status_word::StatusWord;
use crate::frames::geometry;
use crate::frames::jobs::{FrameId, FramePlan, ImageSpec, Job, Lost, Overscan};
use crate::units::Now;
use std::path::PathBuf;

/// No frame of this exposure will come from these controllers.
pub(in crate::archon) fn withdraw(cx: &mut Context, task: TaskId, shot: &Shot, who: &[Index]) {
    let who: Vec<Index> = who.iter().copied().filter(|n| cx.live.remove(&(shot.number, *n))).collect();
    let names: Vec<&str> = who.iter().map(|n| cx.name(*n)).collect();
    let mine = shot.paths.iter().filter(|(controller, _, _)| names.contains(&controller.as_str()));
    let images: Vec<PathBuf> = mine.map(|(_, _, path)| path.clone()).collect();
    if !images.is_empty() {
        cx.file(task, 0, Job::Withdraw(images));
    }
}

/// The charge of an exposure that waited for its readout is gone, or nobody wants it.
pub(in crate::archon) fn give_up_pending(cx: &mut Context, task: TaskId) -> bool {
    let Some(pending) = cx.pending.take() else { return false };
    withdraw(cx, task, &pending.shot, &pending.controllers);
    true
}

/// What has become of a promise, by what the controller has in its buffers.
#[derive(Debug, PartialEq)]
pub(in crate::archon) enum Kept {
    /// The frame is there.
    Yes(FrameId),
    /// The controller reads out; it may become the frame.
    Perhaps,
    /// It is not there, and will not come.
    No,
    /// The controller cannot be asked, in words.
    Unknown(String),
    /// A frame of this number is there, but not of this shape.
    Odd(String),
}

/// One plan for each controller whose next frame is known and to be written.
pub(super) fn plans(cx: &Context, controllers: &[Index], shot: &Shot, now: Now) -> Vec<FramePlan> {
    if shot.no_write {
        return Vec::new();
    }
    // When it is ordered is the best that can be said of its beginning before it begins.
    let shot = Shot { recovered: Some(now.utc), ..shot.clone() };
    controllers.iter().filter_map(|n| plan(cx, *n, &shot)).collect()
}

fn plan(cx: &Context, n: Index, shot: &Shot) -> Option<FramePlan> {
    let next = cx.controllers[n.0].next_frame()?;
    let detectors = &cx.config.controllers[n.0].entry.detectors;
    // A configuration that does not fit is refused where the frame is opened, in words.
    let cuts = geometry::cuts(detectors, &next.geometry).ok()?;
    let images: Vec<ImageSpec> = cuts
        .into_iter()
        .filter_map(|cut| {
            let mine = |(c, ccd, _): &&(String, String, PathBuf)| c == cx.name(n) && *ccd == cut.ccd;
            let (_, ccd, path) = shot.paths.iter().find(mine)?;
            let cards = header::cards(cx, n, shot, ccd, &next, path);
            Some(ImageSpec { cut, path: path.clone(), cards, discard: false })
        })
        .collect();
    (!images.is_empty()).then(|| FramePlan {
        id: next.id,
        exposure: shot.number,
        geometry: next.geometry,
        base: next.base,
        images,
        overscan: Overscan { columns: 0, mirrored: Vec::new() },
        naming: cx.config.naming.clone(),
    })
}

/// What became of it.
pub(in crate::archon) fn kept(cx: &Context, n: Index, lost: &Lost) -> Kept {
    let view = cx.controllers[n.0].view();
    let name = cx.name(n);
    if !view.attached {
        return Kept::Unknown(format!("{name} is not there ({})", view.why));
    }
    let Some((frame, _)) = &view.frame else {
        return Kept::Unknown(format!("{name} has not said FRAME yet"));
    };
    let own = cx.controllers[n.0].backplane();
    if !lost.id.backplane.is_empty() && lost.id.backplane != own {
        return Kept::Unknown(format!("{name} is another box ({own}) than it was ({})", lost.id.backplane));
    }
    let is_it = |b: &&crate::proto::archon::Buffer| {
        b.complete && b.frame == lost.id.frame && b.timestamp > lost.id.timestamp
    };
    let Some(buffer) = frame.buffers.iter().find(is_it) else {
        return if view.word.has(StatusWord::READING) { Kept::Perhaps } else { Kept::No };
    };
    match &lost.geometry {
        Some(g) if (g.width, g.height, g.sample) != (buffer.width, buffer.height, buffer.sample) => {
            Kept::Odd(format!(
                "frame {} in buffer {} of {name} is {} x {} {:?}, it was to be {} x {} {:?}; save it with `frame_fetch`",
                buffer.frame,
                buffer.number,
                buffer.width,
                buffer.height,
                buffer.sample,
                g.width,
                g.height,
                g.sample
            ))
        }
        _ => Kept::Yes(cx.controllers[n.0].frame_id(buffer)),
    }
}

/// A promise that is not kept, in words: it was not read out, or that frame was written over.
pub(in crate::archon) fn not_there(lost: &Lost) -> String {
    format!(
        "exposure {} of {} was begun, but its frame {} is in no buffer: there will be no {}",
        lost.exposure,
        lost.id.controller,
        lost.id.frame,
        lost.image.display()
    )
}
