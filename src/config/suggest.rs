//! "Did you mean": the candidate nearest to a mistyped word.

/// The nearest candidate within two edits (one for words of four letters or fewer); letter case is
/// not counted. `None` when nothing is near, or when the word itself is a candidate.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if word.len() <= 4 { 1 } else { 2 };
    let folded = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .filter(|c| *c != word)
        .map(|c| (edits(&folded, &c.to_ascii_lowercase()), c))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `; did you mean 'x'?` or nothing.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map(|c| format!("; did you mean '{c}'?")).unwrap_or_default()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. Words only:
/// quadratic, so long texts count as far apart.
pub fn edits(a: &str, b: &str) -> usize {
    const WORD_BYTES_MAX: usize = 80;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > WORD_BYTES_MAX || b.len() > WORD_BYTES_MAX {
        return WORD_BYTES_MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_not() {
        assert_eq!(closest("katcp_prot", ["katcp_ip", "katcp_port"]), Some("katcp_port"));
        assert_eq!(closest("file_system", ["filter_bw", "frequency"]), None);
        assert_eq!(closest("nchan", ["nchan"]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(closest("bnak", ["bank", "seed"]), Some("bank"));
        assert_eq!(edits("", "abc"), 3);
    }
}
