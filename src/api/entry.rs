//! Entries of the tables of methods, short to write. What most methods are is what [`method`] gives; the rest is said with
//! `Method { urgent: true, ..method(..) }`.

use super::{Arg, Class, Effect, Kind, Method};

/// An argument. `default`: `None` if it is required.
pub const fn arg(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    default: Option<&'static str>,
    doc: &'static str,
) -> Arg {
    Arg { name, kind, unit, default, doc }
}

/// A method without further keywords that can neither be cancelled nor is urgent, there since 0.1.0.
pub const fn method(
    interface: &'static str,
    name: &'static str,
    class: Class,
    effect: Effect,
    args: &'static [Arg],
    reply: &'static str,
    doc: &'static str,
) -> Method {
    Method {
        interface,
        name,
        doc,
        args,
        keywords: None,
        reply,
        class,
        effect,
        cancellable: false,
        urgent: false,
        since: "0.1.0",
    }
}
