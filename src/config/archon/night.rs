//! Which night a time belongs to: the directory of its images.

use crate::units::Utc;
use std::time::Duration;

/// SDSS Julian day: `floor(MJD + 0.3)` at APO, `floor(MJD + 0.4)` at LCO, and MJD anywhere else; in whole nanoseconds,
/// so that no night begins a rounding error early.
pub fn sjd(utc: Utc, observatory: &str) -> i64 {
    let tenths = match observatory.to_ascii_uppercase().as_str() {
        "APO" => 3,
        "LCO" => 4,
        _ => 0,
    };
    (utc + Duration::from_secs(tenths * 8640)).mjd_day()
}

/// Number of the directory: SJD if so configured, else MJD.
pub fn night(utc: Utc, observatory: &str, use_sjd: bool) -> i64 {
    if use_sjd { sjd(utc, observatory) } else { utc.mjd_day() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MJD_OF_EPOCH;

    /// A time so many nanoseconds before the fraction `tenths` of MJD 61000.
    fn at(tenths: i64, nanos_before: i64) -> Utc {
        let midnight = Utc::from_seconds((61_000 - MJD_OF_EPOCH) * 86_400);
        Utc(midnight.0 + tenths * 8640 * 1_000_000_000 - nanos_before)
    }

    #[test]
    fn the_night_begins_at_its_tenth_to_the_nanosecond() {
        for (observatory, tenths) in [("APO", 7), ("apo", 7), ("LCO", 6), ("elsewhere", 10)] {
            assert_eq!(sjd(at(tenths, 1), observatory), 61_000, "{observatory}");
            assert_eq!(sjd(at(tenths, 0), observatory), 61_001, "{observatory}");
        }
        assert_eq!((night(at(8, 0), "APO", false), night(at(8, 0), "APO", true)), (61_000, 61_001));
    }
}
