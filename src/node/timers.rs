//! The timers of a node: only what changed is ordered.

use crate::reactor::{Effects, TimerKey, When};

/// What is set, by key; at most one entry for each key a node has.
#[derive(Debug, Default)]
pub struct Timers {
    set: Vec<(TimerKey, When)>,
}

impl Timers {
    /// Sees to it that this timer is due then, or not at all.
    pub fn want<J>(&mut self, key: TimerKey, want: Option<When>, fx: &mut Effects<J>) {
        let found = self.set.iter().position(|(k, _)| *k == key);
        if found.map(|i| self.set[i].1) == want {
            return;
        }
        if let Some(i) = found {
            self.set.swap_remove(i);
        }
        match want {
            Some(at) => {
                self.set.push((key, at));
                fx.set_timer(key, at);
            }
            None => fx.cancel_timer(key),
        }
    }

    /// It went off: nothing is set any more.
    pub fn fired(&mut self, key: TimerKey) {
        self.set.retain(|(k, _)| *k != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Effect;
    use crate::units::Mono;

    #[test]
    fn only_changes_are_ordered() {
        let key = TimerKey(3);
        let at = |s| Some(When::Mono(Mono(s)));
        let mut timers = Timers::default();
        let orders = |timers: &mut Timers, want| -> Vec<bool> {
            let mut fx = Effects::<()>::default();
            timers.want(key, want, &mut fx);
            fx.drain().map(|e| matches!(e, Effect::SetTimer { .. })).collect()
        };
        assert_eq!(orders(&mut timers, None), [] as [bool; 0]);
        assert_eq!(orders(&mut timers, at(1)), [true]);
        assert_eq!(orders(&mut timers, at(1)), [] as [bool; 0]);
        assert_eq!(orders(&mut timers, at(2)), [true]);
        assert_eq!(orders(&mut timers, None), [false]);
        assert_eq!(orders(&mut timers, at(2)), [true]);
        timers.fired(key);
        assert_eq!(orders(&mut timers, at(2)), [true], "a timer that went off is set anew");
    }
}
