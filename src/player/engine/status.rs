//! The status map that `prepare` fills.

use crate::value::Value;

/// Keys in order of first appearance. Letter case does not distinguish keys (the shared memory has
/// upper case only); the spelling and the value of the last writer count.
#[derive(Clone, Debug, Default)]
pub struct StatusMap {
    pairs: Vec<(String, String)>,
}

impl StatusMap {
    /// Sets a key to the text of a value.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let text = value.into().to_string();
        match self.pairs.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case(key)) {
            Some(pair) => *pair = (key.to_owned(), text),
            None => self.pairs.push((key.to_owned(), text)),
        }
    }

    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
    }

    /// The pairs.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_make_two_keys() {
        let mut map = StatusMap::default();
        map.set("hwexposr", "0.5");
        map.set("OBS_MODE", "HBW");
        map.set("HWEXPOSR", 0.25);
        assert_eq!(map.get("hwexposr"), Some("0.25"));
        assert_eq!(map.into_pairs()[0], ("HWEXPOSR".to_owned(), "0.25".to_owned()));
    }
}
