//! The methods of `bank.roach`: names, arguments and defaults of the reference's FPGA client.

use super::arguments as arg;
use super::procedure::{Procedure, Step};
use super::registers::{any_request, progdev, read, read_word, write, write_int};
use super::values::Give;
use super::{snapshot, taps, ten_gbe};
use crate::api::bind::Bound;
use crate::api::entry::method;
use crate::api::{Arg, CallError, Class, Effect, ErrorClass, Kind, Method};
use crate::fpga::FpgaOp;
use std::time::Duration;

/// A method and what it does.
pub struct Entry {
    /// As it is called.
    pub method: Method,
    /// What becomes of its arguments.
    pub procedure: fn(&Bound) -> Result<Procedure, CallError>,
}

/// Time between the two readings of the clock counter.
const CLOCK_OVER: Duration = Duration::from_secs(2);

/// Listed, because clients look for it; how the reference does it is not specified publicly.
fn not_offered(method: &str, instead: &str) -> CallError {
    CallError::exception(format!("{method} is not part of this version; {instead}"))
}

impl Entry {
    /// A method of an interface. What may change something has this `effect`; a job of the board can be cancelled.
    pub const fn of(
        interface: &'static str,
        effect: Effect,
        (name, args): (&'static str, &'static [Arg]),
        class: Class,
        (reply, doc): (&'static str, &'static str),
        procedure: fn(&Bound) -> Result<Procedure, CallError>,
    ) -> Entry {
        let effect = if matches!(class, Class::Read) { Effect::Query } else { effect };
        let method = Method {
            cancellable: matches!(class, Class::Job),
            ..method(interface, name, class, effect, args, reply, doc)
        };
        Entry { method, procedure }
    }
}

const fn entry(
    call: (&'static str, &'static [Arg]),
    class: Class,
    reply: &'static str,
    doc: &'static str,
    procedure: fn(&Bound) -> Result<Procedure, CallError>,
) -> Entry {
    Entry::of("bank.roach", Effect::Dangerous, call, class, (reply, doc), procedure)
}

const fn need(name: &'static str, kind: Kind, unit: &'static str, doc: &'static str) -> Arg {
    Arg { name, kind, unit, default: None, doc }
}

const fn or(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Arg {
    Arg { name, kind, unit, default: Some(default), doc }
}

const REGISTER: Arg = need("device_name", Kind::Str, "", "Name of a register, as listdev() has it.");
const CORE: Arg = need("dev_name", Kind::Str, "", "Register of the 10 GbE core.");
const BLOCK: Arg =
    need("dev_name", Kind::Str, "", "Name of the snapshot block: its registers begin with it.");
const TAP: Arg = need("tap_dev", Kind::Str, "", "Name of the tap, at most 8 characters.");
const TAP_NAME: Arg = need("dev_name", Kind::Str, "", "Name of the tap.");
const GROUP: Arg = need("ip", Kind::Int, "", "Multicast address as a number of 32 bits.");
const GROUP_SIZE: Arg = or("n_addresses", Kind::Int, "", "1", "How many addresses; this version takes 1.");
const SIZE: Arg = need("size", Kind::Int, "bytes", "How much; at most 16 MiB.");
const BYTE_OFFSET: Arg = or("offset", Kind::Int, "bytes", "0", "Where to begin.");
const WORD_OFFSET: Arg = or("offset", Kind::Int, "words", "0", "Which 32-bit word.");
const DATA: Arg = need("data", Kind::Bytes, "", "What to write, most significant byte of a word first.");
const QDR: Arg = need("qdr", Kind::Int, "", "Number of the QDR controller.");
const VERBOSE: Arg = or("verbose", Kind::Bool, "", "False", "Accepted; nothing is printed.");
const MAN_TRIG: Arg = or("man_trig", Kind::Bool, "", "False", "Trigger at once.");
const MAN_VALID: Arg =
    or("man_valid", Kind::Bool, "", "False", "Capture on every clock, not on valid data only.");
const WAIT: Arg = or(
    "wait_period",
    Kind::Number,
    "s",
    "1",
    "Longest wait for the capture; negative: as long as we wait at all, 55 s.",
);
const CAPTURE_OFFSET: Arg =
    or("offset", Kind::Int, "bytes", "-1", "Begin so long after the trigger; negative: as the block is set.");
const CIRCULAR: Arg =
    or("circular_capture", Kind::Bool, "", "False", "Capture until something stops the block.");
const LINK_WAIT: Arg =
    or("timeout", Kind::Number, "s", "None", "Longest wait; absent: as long as we wait at all, 55 s.");

const BYTES: &str = "bytes; over JSON text with one character U+0000 to U+00FF per byte";

/// Every method of the interface.
pub static ROACH: &[Entry] = &[
    entry(
        ("listdev", &[]),
        Class::Read,
        "list of names",
        "Names of the registers of the running design, sorted.",
        |_| Ok(Procedure::orders([FpgaOp::ListDev], Give::Names)),
    ),
    entry(
        ("listbof", &[]),
        Class::Read,
        "list of names",
        "Names of the gateware images the board holds, in its order.",
        |_| Ok(Procedure::orders([FpgaOp::ListBof], Give::Names)),
    ),
    entry(
        ("progdev", &[need("boffile", Kind::Any, "", "Name of an image; null or '' deprograms.")]),
        Class::Write,
        "'ok'",
        "Program the FPGA, or deprogram it. The mode that was set is no longer what runs: set_mode() again before a scan.",
        progdev,
    ),
    entry(
        ("status", &[]),
        Class::Read,
        "text",
        "Is a design running? 'ok' or what the board says; RuntimeError when none runs.",
        |_| Ok(Procedure::orders([arg::request::<String>("status", [])], Give::SecondWord)),
    ),
    entry(
        ("ping", &[]),
        Class::Read,
        "true",
        "Does the board's server answer? RuntimeError if it does not.",
        |_| Ok(Procedure::orders([FpgaOp::Ping], Give::True)),
    ),
    entry(
        ("read", &[REGISTER, SIZE, BYTE_OFFSET]),
        Class::Read,
        BYTES,
        "Read bytes of a register, most significant byte of a word first.",
        read,
    ),
    entry(
        ("bulkread", &[REGISTER, SIZE, BYTE_OFFSET]),
        Class::Read,
        BYTES,
        "The same as read(), which splits long reads itself.",
        read,
    ),
    entry(
        ("write", &[REGISTER, DATA, BYTE_OFFSET]),
        Class::Write,
        "null",
        "Write bytes to a register and read them back; RuntimeError if they differ.",
        |bound| write(bound, true),
    ),
    entry(
        ("blindwrite", &[REGISTER, DATA, BYTE_OFFSET]),
        Class::Write,
        "null",
        "Write whole words to a register without reading them back.",
        |bound| write(bound, false),
    ),
    entry(
        ("read_int", &[REGISTER, WORD_OFFSET]),
        Class::Read,
        "int, -2^31 to 2^31-1",
        "Read a 32-bit word as a signed number.",
        |bound| read_word(bound, Give::Int),
    ),
    entry(
        ("read_uint", &[REGISTER, WORD_OFFSET]),
        Class::Read,
        "int, 0 to 2^32-1",
        "Read a 32-bit word as an unsigned number.",
        |bound| read_word(bound, Give::Uint),
    ),
    entry(
        (
            "write_int",
            &[
                REGISTER,
                need("integer", Kind::Int, "", "-2^31 to 2^32-1."),
                or("blindwrite", Kind::Bool, "", "False", "Do not read it back."),
                WORD_OFFSET,
            ],
        ),
        Class::Write,
        "null",
        "Write a 32-bit word and read it back unless told not to; RuntimeError if it differs.",
        write_int,
    ),
    entry(
        (
            "tap_start",
            &[
                TAP,
                need("device", Kind::Str, "", "Register of the 10 GbE core."),
                need("mac", Kind::Int, "", "Own MAC, 48 bits."),
                need("ip", Kind::Int, "", "Own address as a number of 32 bits."),
                need("port", Kind::Int, "", "UDP port."),
            ],
        ),
        Class::Write,
        "null",
        "Start a tap: the board's server sets the 10 GbE core up and answers ARP for it.",
        taps::start,
    ),
    entry(
        ("tap_stop", &[need("device", Kind::Str, "", "Name of the tap (not of the register), e.g. tap0.")]),
        Class::Write,
        "null",
        "Stop a tap.",
        taps::stop,
    ),
    entry(
        ("tap_multicast_add_send", &[TAP, GROUP, GROUP_SIZE]),
        Class::Write,
        "null",
        "Let a tap send to a group of multicast addresses.",
        taps::add_send,
    ),
    entry(
        ("tap_multicast_add_recv", &[TAP, GROUP, GROUP_SIZE]),
        Class::Write,
        "null",
        "Let a tap receive a group of multicast addresses.",
        taps::add_recv,
    ),
    entry(
        ("tap_multicast_remove", &[TAP]),
        Class::Write,
        "null",
        "Let a tap leave its multicast groups.",
        taps::remove,
    ),
    entry(
        (
            "config_10gbe_core",
            &[
                REGISTER,
                need("mac", Kind::Int, "", "Own MAC, 48 bits."),
                need("ip", Kind::Int, "", "Own address as a number of 32 bits."),
                need("port", Kind::Int, "", "UDP port."),
                need("arp_table", Kind::List, "", "256 MACs, by the last octet of the address."),
                or("gateway", Kind::Int, "", "1", "Last octet of the gateway: its place in the ARP table."),
                or("subnet_mask", Kind::Int, "", "4294967040", "As a number of 32 bits."),
            ],
        ),
        Class::Write,
        "null",
        "Set a 10 GbE core up by its registers, without a tap. The ARP table is read back.",
        ten_gbe::configure,
    ),
    entry(
        ("get_10gbe_core_details", &[CORE]),
        Class::Read,
        "object",
        "What a 10 GbE core is set to, its link and its ARP table. Of more than 4096 multicast addresses only the first is listed.",
        ten_gbe::read,
    ),
    entry(
        (
            "print_10gbe_core_details",
            &[
                CORE,
                or("arp", Kind::Bool, "", "False", "With the ARP table."),
                or("cpu", Kind::Bool, "", "False", "Accepted; the buffers of the CPU are not shown."),
            ],
        ),
        Class::Read,
        "null",
        "Write what a 10 GbE core is set to into this node's log.",
        ten_gbe::print,
    ),
    entry(
        ("est_brd_clk", &[]),
        Class::Read,
        "MHz",
        "Clock of the FPGA from two readings of sys_clkcounter, 2 s apart.",
        |_| {
            let read = || Step::Ask(arg::read_word("sys_clkcounter", 0));
            Ok(Procedure::steps([read(), Step::Pause(CLOCK_OVER), read()], Give::ClockMhz))
        },
    ),
    entry(
        ("qdr_status", &[QDR]),
        Class::Read,
        "{'phyrdy': bool, 'calfail': bool}",
        "Refused: not part of this version; read the controller's registers with read_uint().",
        |_| Err(not_offered("qdr_status", "read the controller's registers with read_uint()")),
    ),
    entry(
        ("qdr_rst", &[QDR]),
        Class::Write,
        "null",
        "Refused: not part of this version; write the controller's registers with write_int().",
        |_| Err(not_offered("qdr_rst", "write the controller's registers with write_int()")),
    ),
    entry(
        (
            "get_snap",
            &[
                BLOCK,
                need("brams", Kind::List, "", "Names of the memories to read."),
                MAN_TRIG,
                MAN_VALID,
                WAIT,
                CAPTURE_OFFSET,
                CIRCULAR,
                or("word_mult", Kind::Int, "", "1", "32-bit words at each address."),
            ],
        ),
        Class::Job,
        "{'length': words, 'offset': int, <bram>: bytes}",
        "Arm a snapshot block of the older kind, wait for the capture, read its memories.",
        snapshot::get_old,
    ),
    entry(
        ("snapshot_arm", &[BLOCK, MAN_TRIG, MAN_VALID, CAPTURE_OFFSET, CIRCULAR]),
        Class::Write,
        "null",
        "Arm a snapshot block; snapshot_get(arm=False) reads it later.",
        snapshot::arm,
    ),
    entry(
        (
            "snapshot_get",
            &[
                BLOCK,
                MAN_TRIG,
                MAN_VALID,
                WAIT,
                CAPTURE_OFFSET,
                CIRCULAR,
                or("get_extra_val", Kind::Bool, "", "False", "Read the register NAME_val too."),
                or("arm", Kind::Bool, "", "True", "Arm the block first."),
            ],
        ),
        Class::Job,
        "{'length': bytes, 'offset': int, 'data': bytes[, 'val': int]}",
        "Arm a snapshot block, wait for the capture, read it.",
        snapshot::get,
    ),
    entry(
        (
            "get_rcs",
            &[or("rcs_block_name", Kind::Str, "", "rcs", "Name of the block: its registers begin with it.")],
        ),
        Class::Read,
        "object",
        "Refused: not part of this version; read the block's registers with read_uint().",
        |_| Err(not_offered("get_rcs", "read the block's registers with read_uint()")),
    ),
    entry(
        ("read_dram", &[SIZE, BYTE_OFFSET, VERBOSE]),
        Class::Write,
        BYTES,
        "Refused: not part of this version.",
        |_| Err(not_offered("read_dram", "read the design's own registers and memories with read()")),
    ),
    entry(
        ("write_dram", &[DATA, BYTE_OFFSET, VERBOSE]),
        Class::Write,
        "null",
        "Refused: not part of this version.",
        |_| Err(not_offered("write_dram", "write the design's own registers and memories with write()")),
    ),
    entry(
        (
            "upload_program_bof",
            &[
                need("bof_file", Kind::Str, "", "Path of the image on this node."),
                need("port", Kind::Int, "", "TCP port of the board to send it to, above 1024."),
                or("timeout", Kind::Number, "s", "30", "Longest wait for the design to run."),
            ],
        ),
        Class::Job,
        "null",
        "Refused: a file of this node is not sent to the board on a client's word. Put the image among the board's and call progdev().",
        |_| {
            Err(CallError::exception(
                "upload_program_bof is not offered: a file of this node is not sent to the board on a client's word; put the image into the board's image directory and call progdev()",
            ))
        },
    ),
    entry(
        (
            "arp_announce_adj",
            &[
                TAP_NAME,
                or("announce_start", Kind::Int, "ms", "130", "Between the first announcements."),
                or("announce_stop", Kind::Int, "ms", "10000", "Between the last ones."),
                or("announce_step", Kind::Int, "ms", "500", "Longer by this each time."),
            ],
        ),
        Class::Write,
        "'ok'",
        "How often a tap announces its own address. Set in steps of 10 ms.",
        taps::announce,
    ),
    entry(
        (
            "arp_timeout_adj",
            &[TAP_NAME, or("valid_timeout", Kind::Int, "ms", "500000", "How long an entry is valid.")],
        ),
        Class::Write,
        "'ok'",
        "How long a tap believes an ARP entry. Set in steps of 10 ms.",
        taps::timeout,
    ),
    entry(
        (
            "arp_query_adj",
            &[
                TAP_NAME,
                or("query_start", Kind::Int, "ms", "250", "Between the first questions."),
                or("query_stop", Kind::Int, "ms", "50000", "Between the last ones."),
                or("query_step", Kind::Int, "ms", "500", "Longer by this each time."),
            ],
        ),
        Class::Write,
        "'ok'",
        "How often a tap asks for an address. Set in steps of 10 ms.",
        taps::query,
    ),
    entry(
        ("arp_reload", &[TAP_NAME]),
        Class::Write,
        "'ok'",
        "Let a tap ask for all addresses again.",
        taps::reload,
    ),
    entry(("listcmd", &[]), Class::Read, "NotImplementedError", "Never existed.", |_| Err(never("listcmd"))),
    entry(
        ("execcmd", &[need("string", Kind::Str, "", "A command.")]),
        Class::Read,
        "NotImplementedError",
        "Never existed.",
        |_| Err(never("execcmd")),
    ),
    entry(("is_connected", &[]), Class::Read, "bool", "Is the link to the board up?", |_| {
        Ok(Procedure::Link(Duration::ZERO))
    }),
    entry(
        ("running", &[]),
        Class::Read,
        "true",
        "Is the board looked after? Always, while the player runs.",
        |_| Ok(Procedure::orders([], Give::True)),
    ),
    entry(
        ("wait_connected", &[LINK_WAIT]),
        Class::Read,
        "bool",
        "Wait until the link to the board is up; false if it is not by then.",
        |bound| Ok(Procedure::Link(arg::wait(bound, "timeout"))),
    ),
    entry(
        ("wait_protocol", &[LINK_WAIT]),
        Class::Read,
        "bool",
        "The same as wait_connected(): a link is up when its protocol is known.",
        |bound| Ok(Procedure::Link(arg::wait(bound, "timeout"))),
    ),
    entry(
        ("convert_seconds", &[need("time_seconds", Kind::Number, "s", "A time.")]),
        Class::Read,
        "number",
        "A time in the unit of the board's server: ms for KATCP 4, s for KATCP 5.",
        |bound| {
            let seconds = bound.number("time_seconds").unwrap_or_default();
            Ok(Procedure::orders([FpgaOp::CountsMilliseconds], Give::Time(seconds)))
        },
    ),
    entry(
        ("stop", &[]),
        Class::Write,
        "Exception",
        "Refused: the player keeps its link to the board.",
        |_| {
            Err(CallError::exception(
                "bank.roach.stop would end the player's link to the board and is refused; bank.stop() ends a scan",
            ))
        },
    ),
];

/// Called by scripts although it is in no list.
pub static UNLISTED: &[Entry] = &[entry(
    (
        "_request",
        &[
            need("name", Kind::Str, "", "Name of a KATCP request."),
            need("args", Kind::Rest, "", "Its arguments; numbers in decimal."),
        ],
    ),
    Class::Write,
    "[[reply arguments], [[inform arguments], ..]]",
    "Any request of the board's server; RuntimeError unless it answers ok.",
    any_request,
)];

/// Names of the reference's list that take or return Python objects.
pub static PLUMBING: &[&str] = &[
    "blocking_request",
    "callback_request",
    "handle_inform",
    "handle_message",
    "handle_reply",
    "handle_request",
    "inform_build_state",
    "inform_version",
    "inform_version_connect",
    "join",
    "notify_connected",
    "preset_protocol_flags",
    "request",
    "run",
    "send_message",
    "send_request",
    "start",
    "unhandled_inform",
    "unhandled_reply",
    "unhandled_request",
];

/// The methods alone, for the table of a node.
pub const fn methods<const N: usize>(entries: &[Entry]) -> [Method; N] {
    assert!(entries.len() == N, "as many methods as entries");
    let mut methods = [entries[0].method; N];
    let mut n = 1;
    while n < N {
        methods[n] = entries[n].method;
        n += 1;
    }
    methods
}

fn never(name: &str) -> CallError {
    let class = ErrorClass::NotImplementedError;
    CallError::new(class, class.usual_family(), format!("{name} was never implemented"))
}
