//! What `help` says, all of it from the table of the process that is talked to.

use super::line::COMMANDS;
use super::show::clean;
use crate::api::docs::signature;
use crate::api::table::Table;
use crate::api::{Arg, Method};
use crate::cli::paint::Paint;
use std::fmt::Write;

/// `help`: how to write things, and what there is.
pub fn overview(table: &Table, interface: &str, paint: Paint) -> String {
    let mut out = String::from(
        "Write a call in either way; names are completed by Tab, lines kept in a history (arrows, Ctrl-R):\n  \
         set_mode MODE1 force=True        interface.method('text', 1.5, name=[1, 2])\n\
         Ctrl-C gives up waiting for an answer; the call itself may go on.\n\nCommands:\n",
    );
    for (name, takes, does) in COMMANDS {
        push(
            &mut out,
            format_args!("  {} {does}", paint.name(&format!("{:<22}", format!("{name} {takes}")))),
        );
    }
    push(&mut out, format_args!("\nInterfaces (methods without an interface are of {interface}):"));
    for name in table.interfaces() {
        let count = table.of_interface(name).map_or(0, <[_]>::len);
        push(&mut out, format_args!("  {} {count} methods", paint.name(&format!("{name:<22}"))));
    }
    let example = if table.find(interface, "set_mode").is_ok() { "help set_mode" } else { "help METHOD" };
    push(&mut out, format_args!("\n`help {interface}` lists its methods, `{example}` explains one."));
    out.trim_end().to_owned()
}

/// The methods of an interface: arguments, and the first sentence of what they do.
pub fn interface(methods: &[&'static Method], paint: Paint) -> String {
    let mut out = String::new();
    for method in methods {
        push(&mut out, format_args!("{}", paint.name(&clean(&signature(method)))));
        let first = first_sentence(method.doc);
        if !first.is_empty() {
            push(&mut out, format_args!("    {}", clean(first)));
        }
    }
    if methods.is_empty() { "No methods.".into() } else { out.trim_end().to_owned() }
}

/// All about a method: text, reply, consequence, arguments with type, unit, default and range.
pub fn method(method: &Method, paint: Paint) -> String {
    let mut out = String::new();
    push(&mut out, format_args!("{}.{}", method.interface, paint.name(&clean(&signature(method)))));
    if !method.doc.is_empty() {
        // Lines of a docstring are kept; nothing else of it reaches the terminal.
        method.doc.lines().for_each(|l| push(&mut out, format_args!("  {}", clean(l))));
    }
    if !method.reply.is_empty() {
        let stop = if method.cancellable { ", can be stopped" } else { "" };
        let (reply, class, effect) = (clean(method.reply), method.class.name(), method.effect.name());
        push(&mut out, format_args!("\n  Reply: {reply}. Class {class}, effect {effect}{stop}."));
    }
    if !method.args.is_empty() || method.keywords.is_some() {
        push(&mut out, format_args!("\n  Arguments:"));
    }
    method.args.iter().for_each(|a| argument(&mut out, a, paint));
    if let Some(meaning) = method.keywords {
        push(&mut out, format_args!("    {}  any: {}", paint.name("NAME=VALUE"), clean(meaning)));
    }
    out.trim_end().to_owned()
}

fn argument(out: &mut String, arg: &Arg, paint: Paint) {
    let unit = if arg.unit.is_empty() { String::new() } else { format!(", {}", clean(arg.unit)) };
    let default = arg.default.map_or("required".to_owned(), |d| format!("default {}", clean(d)));
    let (name, kind, doc) = (paint.name(&clean(arg.name)), arg.kind.name(), clean(arg.doc));
    push(out, format_args!("    {name}  {kind}{unit}, {default}: {doc}"));
}

fn first_sentence(doc: &str) -> &str {
    let line = doc.trim().lines().next().unwrap_or_default();
    line.find(". ").map_or(line, |at| &line[..=at])
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::methods::table;

    #[test]
    fn a_method_is_explained_with_units_defaults_and_ranges() {
        let table = table();
        let text = method(table.find("bank", "set_cov_mode").expect("there"), Paint::PLAIN);
        assert!(text.starts_with("bank.set_cov_mode(n)\n") && text.contains("1 HI, 2 PAF_CAL"), "{text}");
        let text = method(table.find("bank", "set_mode").expect("there"), Paint::PLAIN);
        assert!(text.contains("bandwidth  any, MHz, default None: "), "{text}");
        assert!(
            text.contains("mode  any, required: ") && text.contains("Class job, effect operate"),
            "{text}"
        );
        let text = method(table.find("bank", "set_param").expect("there"), Paint::PLAIN);
        assert!(text.contains("NAME=VALUE  any: parameter=value pairs"), "{text}");
    }

    #[test]
    fn interfaces_and_commands_are_listed() {
        let table = table();
        let text = overview(&table, "bank", Paint::PLAIN);
        for wanted in ["help [NAME]", "bank.roach", "`help set_mode`", "Ctrl-C"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        let text = interface(table.of_interface("bank").expect("there"), Paint::PLAIN);
        assert!(text.contains("start(starttime=None)\n    Start a scan on a 1 PPS edge."), "{text}");
    }

    #[test]
    fn the_first_sentence_is_enough_for_a_list() {
        assert_eq!(first_sentence(" Sets 1.5 MHz. And more."), "Sets 1.5 MHz.");
        assert_eq!(first_sentence(""), "");
    }
}
