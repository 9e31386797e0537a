//! A panic in the app ends what it was handling, not the observation; a stream of them ends the
//! process, because then the state is not what anybody thinks it is.

use crate::units::Mono;
use std::any::Any;
use std::collections::VecDeque;
use std::time::Duration;

/// So many panics ...
const PANICS_MAX: usize = 10;
/// ... within this time are too many.
const PANICS_WITHIN: Duration = Duration::from_secs(60);
/// Exit status then (`EX_SOFTWARE`).
pub const EXIT_PANICS: u8 = 70;

#[derive(Default)]
pub(super) struct Panics {
    recent: VecDeque<Mono>,
}

impl Panics {
    /// Counts one. `true`: too many.
    pub(super) fn count(&mut self, now: Mono) -> bool {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|&first| now.since(first) > PANICS_WITHIN) {
            self.recent.pop_front();
        }
        self.recent.len() >= PANICS_MAX
    }
}

/// What a panic said.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("(no text)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_panics_close_together_are_too_many() {
        let mut panics = Panics::default();
        for minute in 0..100 {
            assert!(!panics.count(Mono(minute * 61_000_000_000)));
        }
        let mut panics = Panics::default();
        let verdicts: Vec<bool> = (0..PANICS_MAX).map(|i| panics.count(Mono(i as u64))).collect();
        assert_eq!(verdicts.iter().filter(|v| **v).count(), 1);
        assert_eq!(verdicts.last(), Some(&true));
    }
}
