//! Standard input as a script: one line after the other, results on standard output, what failed on standard error.

use super::run::{Said, Talk};
use std::io::BufRead;

/// Runs all lines, or those up to the first that fails; did all of them succeed?
///
/// # Errors
/// The script cannot be read.
pub fn run(talk: &mut Talk, input: impl BufRead, keep_going: bool) -> Result<bool, String> {
    each(input, keep_going, |line| talk.hear(line))
}

fn each(input: impl BufRead, keep_going: bool, mut hear: impl FnMut(&str) -> Said) -> Result<bool, String> {
    let mut good = true;
    for (number, line) in input.lines().enumerate() {
        let number = number + 1;
        let line = line.map_err(|e| format!("line {number} cannot be read: {e}"))?;
        match hear(&line) {
            Said::End => break,
            Said::Done(text) | Said::Changed(text) if text.is_empty() => {}
            Said::Done(text) | Said::Changed(text) => println!("{text}"),
            Said::Failed(why) => {
                eprintln!("line {number}: {}: {why}", line.trim());
                good = false;
                if !keep_going {
                    break;
                }
            }
        }
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that were heard, and how it ended.
    fn script(text: &str, keep_going: bool) -> (Vec<String>, bool) {
        let mut heard = Vec::new();
        let good = each(text.as_bytes(), keep_going, |line| {
            heard.push(line.to_owned());
            match line {
                "bad" => Said::Failed("no".into()),
                "quit" => Said::End,
                _ => Said::Done(String::new()),
            }
        });
        (heard, good.expect("it can be read"))
    }

    #[test]
    fn a_failure_ends_a_script_unless_it_shall_go_on() {
        assert_eq!(script("a\nbad\nb", false), (vec!["a".into(), "bad".into()], false));
        assert_eq!(script("a\nbad\nb", true), (vec!["a".into(), "bad".into(), "b".into()], false));
        assert_eq!(script("a\nquit\nb", false), (vec!["a".into(), "quit".into()], true));
    }
}
