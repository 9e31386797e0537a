//! Files of our own in TOML: `appliance.toml` and limits files. The first error ends the reading.

use super::whole_file;
use crate::config::archon::limits::Limits;
use crate::config::finding::Finding;
use crate::config::settings;
use crate::fpga::mmap::{MmapAddress, SCHEME};

/// `appliance.toml`.
pub(super) fn check(text: &str, name: &str) -> Vec<Finding> {
    let remedy = "config/appliance.toml shows every key with its default";
    match settings::load(text, name, &[]) {
        Ok(settings) => mapped_board(&settings.player.fpga, text).into_iter().collect(),
        Err(problem) => vec![toml_error(&problem, name, remedy)],
    }
}

/// `player.fpga` where it is an address of mapped memory.
fn mapped_board(address: &str, text: &str) -> Option<Finding> {
    let problem = address.starts_with(SCHEME).then(|| address.parse::<MmapAddress>().err()).flatten()?;
    let line = text.lines().position(|line| line.contains(address)).map_or(0, |n| n + 1);
    let (problem, remedy) = problem.rsplit_once("; ").unwrap_or((&problem, ""));
    Some(Finding {
        line,
        section: "player".into(),
        key: "fpga".into(),
        ..whole_file(problem.to_owned(), remedy)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_mapped_board_is_checked() {
        let found =
            check("[player]\nbank = \"BANKA\"\nfpga = \"mmap:/dev/uio0?order=up&map=a\"\n", "appliance.toml");
        let [finding] = &found[..] else { panic!("{found:?}") };
        assert_eq!((finding.line, finding.section.as_str(), finding.key.as_str()), (3, "player", "fpga"));
        assert!(finding.problem.contains("order=up makes no sense"), "{}", finding.problem);
        assert!(finding.remedy.contains("write mmap:DEVICE?map=FILE"), "{}", finding.remedy);
        assert!(check("[player]\nfpga = \"mmap:/dev/uio0?map=a\"\n", "appliance.toml").is_empty());
    }
}
