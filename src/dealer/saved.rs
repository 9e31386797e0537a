//! What a proxy must know again after it was killed: starts that are under way or must still be taken back, the scan
//! number that was set here, and the leases it holds at players. Everything else players say.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A start that a player may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStart {
    /// Name of the player.
    pub player: String,
    /// Its second, nanoseconds since 1970, UTC.
    pub start_ns: i64,
    /// It is not to be; otherwise it was under way.
    pub taken_back: bool,
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Set by `set_scan_number`.
    pub scan_number: Option<i64>,
    /// Starts.
    pub starts: Vec<SavedStart>,
    /// Player and token.
    pub leases: BTreeMap<String, String>,
}

impl Saved {
    /// As it is written.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("numbers, texts and flags")
    }

    /// Reads it again.
    ///
    /// # Errors
    /// It is not what [`Saved::text`] writes, in words.
    pub fn parse(text: &[u8]) -> Result<Saved, String> {
        serde_json::from_slice(text).map_err(|e| format!("not the state of a dealer proxy: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_half_of_it_is_not() {
        let start = SavedStart { player: "BANKA".into(), start_ns: 1, taken_back: true };
        let leases = BTreeMap::from([("BANKA".to_owned(), "1f.2".to_owned())]);
        let saved = Saved { scan_number: Some(42), starts: vec![start], leases };
        let text = saved.text();
        assert_eq!(Saved::parse(text.as_bytes()), Ok(saved));
        assert!(Saved::parse(&text.as_bytes()[..text.len() - 1]).is_err());
        assert_eq!(Saved::parse(b"{}"), Ok(Saved::default()), "a file of a later or earlier version");
    }
}
