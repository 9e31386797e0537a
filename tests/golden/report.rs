//! Counting and printing; reading of golden files.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A golden file, decoded.
pub struct GoldenFile {
    /// Where it came from.
    pub path: PathBuf,
    /// File name.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// JSON, or the bytes of an unzipped file.
pub enum Content {
    /// A `.json` file.
    Json(serde_json::Value),
    /// A `.gz` file.
    Bytes(Vec<u8>),
}

impl GoldenFile {
    /// Reads and decodes.
    pub fn read(path: &Path) -> Result<GoldenFile, String> {
        let raw = std::fs::read(path).map_err(|e| e.to_string())?;
        let content = if path.extension().is_some_and(|e| e == "gz") {
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(&raw[..]).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            Content::Bytes(bytes)
        } else {
            Content::Json(serde_json::from_slice(&raw).map_err(|e| e.to_string())?)
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(GoldenFile { path: path.to_owned(), name, content })
    }

    /// The JSON, if this is JSON.
    pub fn json(&self) -> Option<&serde_json::Value> {
        match &self.content {
            Content::Json(v) => Some(v),
            Content::Bytes(_) => None,
        }
    }
}

/// Results so far.
#[derive(Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    /// Cases seen.
    pub fn cases(&self) -> usize {
        self.passed + self.failed + self.skipped
    }
    /// One case passed.
    pub fn pass(&mut self) {
        self.passed += 1;
    }
    /// One case failed.
    pub fn fail(&mut self, case: &str, why: &str) {
        self.failed += 1;
        println!("FAILED  {case}: {why}");
    }
    /// One case was not run.
    pub fn skip(&mut self, case: &str, why: &str) {
        self.skipped += 1;
        println!("skipped {case}: {why}");
    }
    /// Passed when `result` is `Ok`.
    pub fn check(&mut self, case: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.pass(),
            Err(why) => self.fail(case, &why),
        }
    }
    /// Prints the closing line.
    pub fn finish(self) -> ExitCode {
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
