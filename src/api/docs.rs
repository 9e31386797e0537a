//! `METHODS.md`, written from the table of methods.

use super::table::Table;
use super::{Arg, Method};
use std::fmt::Write;

/// The reference of all methods as Markdown; an interface that several roles have is shown once.
pub fn methods_md(tables: &[&Table]) -> String {
    let mut out = String::from(
        "# Methods\n\nWritten by `appliance gen-docs` from the table of methods. Every face (ZeroMQ + JSON, binary RPC, \
         command line) calls them by these names; arguments go by position or by keyword.\n",
    );
    let mut shown: Vec<&str> = Vec::new();
    for (table, interface) in tables.iter().flat_map(|t| t.interfaces().iter().map(move |i| (t, *i))) {
        if shown.contains(&interface) {
            continue;
        }
        shown.push(interface);
        line(&mut out, format_args!("\n## `{interface}`"));
        let methods = table.of_interface(interface).unwrap_or_default();
        if methods.is_empty() {
            line(&mut out, format_args!("\nNo methods."));
        }
        for method in methods {
            push_method(&mut out, method);
        }
    }
    out
}

fn push_method(out: &mut String, method: &Method) {
    line(out, format_args!("\n### `{}`\n\n{}\n", signature(method), method.doc));
    let cancellable = if method.cancellable { ", cancellable" } else { "" };
    let (class, effect, since) = (method.class.name(), method.effect.name(), method.since);
    line(
        out,
        format_args!("Reply: {}. Class {class}, effect {effect}{cancellable}; since {since}.", method.reply),
    );
    if !method.args.is_empty() || method.keywords.is_some() {
        line(out, format_args!("\n| argument | type | unit | default | meaning |\n|---|---|---|---|---|"));
    }
    for arg in method.args {
        push_arg(out, arg);
    }
    if let Some(meaning) = method.keywords {
        line(out, format_args!("| any keyword | any | | | {} |", cell(meaning)));
    }
}

fn push_arg(out: &mut String, arg: &Arg) {
    let default = arg.default.map_or("required".to_owned(), |d| format!("`{d}`"));
    let (name, kind, unit, doc) = (arg.name, arg.kind.name(), arg.unit, cell(arg.doc));
    line(out, format_args!("| `{name}` | {kind} | {unit} | {default} | {doc} |"));
}

/// `add(x, y=1, **keywords)`
pub fn signature(method: &Method) -> String {
    let positional = method.args.iter().map(|arg| match arg.default {
        None => arg.name.to_owned(),
        Some(default) => format!("{}={default}", arg.name),
    });
    let open = method.keywords.map(|_| "**keywords".to_owned());
    format!("{}({})", method.name, positional.chain(open).collect::<Vec<_>>().join(", "))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::*;

    #[test]
    fn every_method_and_argument_is_there() {
        let table = Table::new(&[builtin::METHODS]).expect("valid").with_interface("bank.roach");
        let text = methods_md(&[&table, &table]);
        assert_eq!(text.matches("## `bank.roach`").count(), 1, "{text}");
        for wanted in [
            "## `bank.roach`\n\nNo methods.",
            "### `describe(name)`",
            "| `name` | str |  | required | an interface, or",
            "Class read, effect query; since 0.1.0.",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }
}
