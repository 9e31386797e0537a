//! The methods of `bank.valon`.

use super::SynthWork;
use crate::api::bind::Bound;
use crate::api::{Arg, CallError, Class, Effect, ErrorClass, Family, Kind};
use crate::player::board::{BoardCall, Entry, Procedure};
use crate::proto::valon::Synth;
use crate::proto::valon::order::Order;
use crate::proto::valon::registers::{MOST_R, Options};
use crate::value::Value;

const fn arg(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    default: Option<&'static str>,
    doc: &'static str,
) -> Arg {
    Arg { name, kind, unit, default, doc }
}

const fn entry(
    call: (&'static str, &'static [Arg]),
    class: Class,
    reply: &'static str,
    doc: &'static str,
    procedure: fn(&Bound) -> Result<Procedure, CallError>,
) -> Entry {
    Entry::of("bank.valon", Effect::Operate, call, class, (reply, doc), procedure)
}

const SYNTH: Arg = arg("synth", Kind::Any, "", None, "0: synthesizer A, 8: synthesizer B.");
const DONE: &str = "true, or false if the synthesizer refuses";

/// Every method of the interface.
pub static VALON: &[Entry] = &[
    entry(
        (
            "set_frequency",
            &[
                SYNTH,
                arg("frequency", Kind::Number, "MHz", None, "Output frequency."),
                arg(
                    "chan_spacing",
                    Kind::Number,
                    "MHz",
                    Some("10.0"),
                    "Grid at the VCO: the output is rounded to it.",
                ),
            ],
        ),
        Class::Write,
        DONE,
        "Set the output frequency. get_phase_lock() tells when it is locked; get_frequency() what it was rounded to.",
        |bound| {
            let (mhz, spacing) = (bound.value("frequency").clone(), bound.value("chan_spacing").clone());
            order(Order::SetFrequency { synth: synth(bound)?, mhz, spacing })
        },
    ),
    entry(("get_frequency", &[SYNTH]), Class::Read, "MHz", "The output frequency.", |bound| {
        order(Order::Frequency(synth(bound)?))
    }),
    entry(
        (
            "set_label",
            &[SYNTH, arg("new_label", Kind::Str, "", None, "At most 16 characters; the rest is cut off.")],
        ),
        Class::Write,
        DONE,
        "Give the synthesizer a name.",
        |bound| {
            let text = bound.text("new_label").unwrap_or_default().chars().take(16).collect();
            order(Order::SetLabel(synth(bound)?, text))
        },
    ),
    entry(("get_label", &[SYNTH]), Class::Read, "text", "The name of the synthesizer.", |bound| {
        order(Order::Label(synth(bound)?))
    }),
    entry(
        (
            "set_options",
            &[
                SYNTH,
                arg("double", Kind::Bool, "", Some("False"), "Double the reference."),
                arg("half", Kind::Bool, "", Some("False"), "Halve the reference."),
                arg(
                    "r",
                    Kind::Int,
                    "",
                    Some("1"),
                    "Divide the reference by this, 0 to 1023; 0 is the same as 1.",
                ),
                arg("low_spur", Kind::Bool, "", Some("False"), "Low spurs rather than low noise."),
            ],
        ),
        Class::Write,
        DONE,
        "Set how the reference is used. The frequency changes with it: set it again.",
        set_options,
    ),
    entry(
        ("get_options", &[SYNTH]),
        Class::Read,
        "[double, half, r, low_spur]",
        "How the reference is used.",
        |bound| order(Order::Options(synth(bound)?)),
    ),
    entry(
        ("get_phase_lock", &[SYNTH]),
        Class::Read,
        "bool",
        "Is the synthesizer locked to its reference?",
        |bound| order(Order::PhaseLock(synth(bound)?)),
    ),
    entry(
        (
            "set_ref_select",
            &[arg(
                "external",
                Kind::Any,
                "",
                None,
                "1 or 'external': from outside; 0 or 'internal': its own.",
            )],
        ),
        Class::Write,
        DONE,
        "Choose the reference, of both synthesizers.",
        set_ref_select,
    ),
    entry(("get_ref_select", &[]), Class::Read, "0 or 1", "1: the reference comes from outside.", |_| {
        order(Order::External)
    }),
    entry(
        ("set_reference", &[arg("ref_freq", Kind::Int, "Hz", None, "Frequency of the reference.")]),
        Class::Write,
        DONE,
        "Tell the synthesizers the frequency of their reference.",
        |bound| order(Order::SetReference(whole(bound, "ref_freq", 1, i64::from(u32::MAX))? as u32)),
    ),
    entry(
        ("get_reference", &[]),
        Class::Read,
        "Hz",
        "The frequency of the reference as it was told.",
        |_| order(Order::Reference),
    ),
    entry(
        ("set_rf_level", &[SYNTH, arg("rf_level", Kind::Int, "dBm", None, "-4, -1, 2 or 5.")]),
        Class::Write,
        "true, or false for a level that does not exist",
        "Set the output level.",
        |bound| order(Order::SetLevel(synth(bound)?, bound.int("rf_level").unwrap_or_default())),
    ),
    entry(("get_rf_level", &[SYNTH]), Class::Read, "dBm", "The output level.", |bound| {
        order(Order::Level(synth(bound)?))
    }),
    entry(
        (
            "set_vco_range",
            &[
                SYNTH,
                arg("low", Kind::Int, "MHz", None, "Lower limit."),
                arg("high", Kind::Int, "MHz", None, "Upper limit."),
            ],
        ),
        Class::Write,
        DONE,
        "Set the limits of the oscillator, which decide on the output divider.",
        |bound| {
            let limit = |name| whole(bound, name, 1, 65_535).map(|mhz| mhz as u16);
            let (low, high) = (limit("low")?, limit("high")?);
            if low >= high {
                return Err(CallError::value_error(format!(
                    "low ({low} MHz) must be below high ({high} MHz)"
                )));
            }
            order(Order::SetVco(synth(bound)?, low, high))
        },
    ),
    entry(
        ("get_vco_range", &[SYNTH]),
        Class::Read,
        "[low, high] in MHz",
        "The limits of the oscillator.",
        |bound| order(Order::Vco(synth(bound)?)),
    ),
    entry(
        ("flash", &[]),
        Class::Write,
        "null",
        "Keep all settings over a power cut. The memory wears out after some thousand times.",
        |_| order(Order::Flash),
    ),
];

/// The call of a method of the table.
///
/// # Errors
/// `ValonException` for a wrong synthesizer, `ValueError` for an argument out of range.
pub fn valon_call(method: &str, bound: &Bound) -> Result<BoardCall, CallError> {
    BoardCall::of(VALON.iter(), method, bound)
}

fn order(order: Order) -> Result<Procedure, CallError> {
    Ok(Procedure::Synth(Box::new(SynthWork::call(order))))
}

fn synth(bound: &Bound) -> Result<Synth, CallError> {
    let given = bound.value("synth");
    let number = match given {
        Value::Int(n) => Synth::of(*n),
        _ => None,
    };
    number.ok_or_else(|| {
        let text = format!(
            "The 'synth' parameter was given as {given}. It must be an integer either 0x00 (SYNTH_A) or 0x08 (SYNTH_B)"
        );
        CallError::new(ErrorClass::ValonException, Family::Invalid, text)
    })
}

fn whole(bound: &Bound, name: &str, least: i64, most: i64) -> Result<i64, CallError> {
    let value = bound.int(name).unwrap_or(0);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(CallError::value_error(format!("{name} is {value}; it must be {least} to {most}")))
}

fn set_options(bound: &Bound) -> Result<Procedure, CallError> {
    let flag = |name| bound.flag(name).unwrap_or(false);
    let r = whole(bound, "r", 0, i64::from(MOST_R))? as u32;
    let options = Options { double: flag("double"), half: flag("half"), r, low_spur: flag("low_spur") };
    order(Order::SetOptions(synth(bound)?, options))
}

fn set_ref_select(bound: &Bound) -> Result<Procedure, CallError> {
    let external = match bound.value("external") {
        Value::Int(n @ (0 | 1)) => *n == 1,
        Value::Bool(external) => *external,
        Value::Str(word) if word == "external" => true,
        Value::Str(word) if word == "internal" => false,
        other => {
            let text = format!("external is {other}; it must be 0, 1, 'internal' or 'external'");
            return Err(CallError::value_error(text));
        }
    };
    order(Order::SetExternal(external))
}
