//! Files of our own in TOML: `appliance.toml` and limits files. The first error ends the reading.

use super::whole_file;
use crate::config::archon::limits::Limits;
use crate::config::finding::Finding;
use crate::config::settings;

/// `appliance.toml`.
pub(super) fn check(text: &str, name: &str) -> Vec<Finding> {
    let remedy = "config/appliance.toml shows every key with its default";
    settings::load(text, name, &[])
        .err()
        .map(|problem| toml_error(&problem, name, remedy))
        .into_iter()
        .collect()
}

/// A limits file.
pub(super) fn check_limits(text: &str, name: &str) -> Vec<Finding> {
    let remedy = "config/archon.example.limits.toml shows how it is written";
    Limits::load(text, name).err().map(|problem| toml_error(&problem, name, remedy)).into_iter().collect()
}

/// The text of an error with its line.
fn toml_error(problem: &str, name: &str, remedy: &str) -> Finding {
    let problem = problem.strip_prefix(&format!("{name}: ")).unwrap_or(problem);
    let line = problem.split_once("at line ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    Finding { line: line.unwrap_or(0), ..whole_file(one_line(problem), remedy) }
}

/// What a TOML error says below the picture of the line, or the whole text.
fn one_line(problem: &str) -> String {
    let below: Vec<&str> = problem.lines().skip_while(|line| !line.contains('^')).skip(1).collect();
    if below.is_empty() { problem.to_owned() } else { below.concat() }
}
