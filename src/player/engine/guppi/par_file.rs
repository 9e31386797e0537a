//! The dispersion measure in a pulsar's par file.

/// The number after the first line's `DM`, pc cm^-3; 0.0 when there is none. Exponents may be written `1.0D2`.
pub fn dispersion_measure(text: &str) -> Result<f64, String> {
    let line = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("DM")).then(|| words.next()).flatten()
    });
    let Some(word) = line else { return Ok(0.0) };
    let number = word.replace(['D', 'd'], "e").parse::<f64>().ok().filter(|dm| dm.is_finite());
    number.ok_or_else(|| format!("DM '{word}' is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dm_counts() {
        assert_eq!(dispersion_measure("PSRJ B1937+21\n\nDM\nDM 71.0237 1\nDM 3\n"), Ok(71.0237));
        assert_eq!(dispersion_measure("  DM  1.0D2"), Ok(100.0));
        assert_eq!(dispersion_measure("F0 641.9\nDM1 0.5\n\n"), Ok(0.0));
        assert!(dispersion_measure("DM large").is_err());
        assert!(dispersion_measure("DM nan").is_err());
    }
}
