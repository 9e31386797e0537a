//! ACF files to lines of configuration memory. The vectors name files of the site's data folder; without it the lines
//! and tables that are written out in them are all there is to check.

use crate::report::{GoldenFile, Report};
use appliance::config::acf::Acf;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Cases of a file of ACF lines.
pub fn run(file: &GoldenFile, report: &mut Report) -> bool {
    let Some(files) = file.json().and_then(|json| json["files"].as_object()) else { return false };
    if !files.values().all(|case| case["parameters_full"].is_object() && case["n_lines"].is_u64()) {
        return false;
    }
    for (name, case) in files {
        check(name, case, report);
    }
    true
}

/// `$APPLIANCE_SHARED`, else `../shared`, with the ACF files in `data/archon`.
fn data_file(name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("APPLIANCE_SHARED") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    Some(root.join("data/archon").join(name)).filter(|path| path.is_file())
}

fn check(name: &str, case: &Json, report: &mut Report) {
    if let Some(lines) = case["wconfig_preserve_case"].as_array() {
        report.check(&format!("{name}: the lines as a file"), through_a_file(lines, case));
    }
    let Some(path) = data_file(name) else {
        report.skip(name, "SKIPPED: the file is not there (data/archon below $APPLIANCE_SHARED)");
        return;
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) => return report.fail(name, &e.to_string()),
    };
    let acf = match Acf::parse(&Acf::decode(&bytes)) {
        Ok((acf, findings)) if findings.is_empty() => acf,
        Ok((_, findings)) => return report.fail(name, &format!("{findings:?}")),
        Err(e) => return report.fail(name, &e.to_string()),
    };
    report.check(&format!("{name}: lines"), lines(&acf, case));
    report.check(&format!("{name}: hashes"), hashes(&acf, case));
    report.check(&format!("{name}: parameters"), parameters(&acf, case));
    report.check(&format!("{name}: parameters of the reference"), parameters_of_the_reference(&acf, case));
    let again = Acf::parse(&acf.to_text()).map(|(acf, _)| acf);
    report.check(&format!("{name}: written and read again"), same("file", &again.as_ref().ok(), &Some(&acf)));
}

/// Text after `WCONFIGnnnn` of each line, by index.
fn wconfig(text: &str) -> Option<(usize, &str)> {
    let (index, line) = text.strip_prefix("WCONFIG")?.split_at_checked(4)?;
    Some((usize::from_str_radix(index, 16).ok()?, line))
}

/// The written-out lines are read as a readback, go through a file and come out the same.
fn through_a_file(lines: &[Json], case: &Json) -> Result<(), String> {
    let wire: Vec<&str> = lines.iter().filter_map(|l| wconfig(l.as_str()?)).map(|(_, text)| text).collect();
    same("lines written out", &wire.len(), &lines.len())?;
    let memory = Acf::from_wire(wire.iter().map(|text| Some((*text).to_owned())).collect());
    let (acf, _) = Acf::parse(&memory.to_text()).map_err(|e| e.to_string())?;
    same("wire lines", &acf.wire_lines(), &wire.iter().map(|text| (*text).to_owned()).collect())?;
    same("hash", &Some(acf.hash().as_str()), &case["sha256_preserve_case_joined_lf"].as_str())?;
    parameters(&acf, case)
}

fn lines(acf: &Acf, case: &Json) -> Result<(), String> {
    let wire = acf.wire_lines();
    same("number of lines", &Some(wire.len() as u64), &case["n_lines"].as_u64())?;
    let longest = wire.iter().map(|line| line.chars().count() as u64).max();
    same("longest", &longest, &case["longest"].as_u64())?;
    let samples = case["samples"].as_object().into_iter().flat_map(|m| m.values());
    for text in samples.chain(case["wconfig_preserve_case"].as_array().into_iter().flatten()) {
        let (index, line) = text.as_str().and_then(wconfig).ok_or_else(|| format!("{text} is no WCONFIG"))?;
        same(&format!("line {index}"), &wire.get(index).map(String::as_str), &Some(line))?;
    }
    Ok(())
}

/// The hash of the lines, and that of the lines in upper case as the reference sends them.
fn hashes(acf: &Acf, case: &Json) -> Result<(), String> {
    same("hash", &Some(acf.hash().as_str()), &case["sha256_preserve_case_joined_lf"].as_str())?;
    let mut upper = acf.clone();
    for line in &mut upper.lines {
        line.key.make_ascii_uppercase();
        line.value.make_ascii_uppercase();
    }
    same("hash in upper case", &Some(upper.hash().as_str()), &case["sha256_upper_joined_lf"].as_str())
}

fn table(case: &Json) -> BTreeMap<String, i64> {
    let pairs = case.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect()
}

fn parameters(acf: &Acf, case: &Json) -> Result<(), String> {
    let ours: BTreeMap<String, i64> = acf.parameters().into_iter().map(|p| (p.name, p.value)).collect();
    same("parameters", &ours, &table(&case["parameters_full"]))
}

/// What is left of ours by the reference's pattern: names of letters only, no sign, upper case.
fn parameters_of_the_reference(acf: &Acf, case: &Json) -> Result<(), String> {
    let ours = acf.parameters().into_iter();
    let left = ours.filter(|p| p.value >= 0 && p.name.bytes().all(|b| b.is_ascii_alphabetic()));
    let left: BTreeMap<String, i64> = left.map(|p| (p.name.to_ascii_uppercase(), p.value)).collect();
    same("parameters of the reference", &left, &table(&case["parameters_reference_regex"]))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?}, should be {theirs:?}")) }
}
