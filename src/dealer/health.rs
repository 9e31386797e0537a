//! What is wrong with players, in one readable list.

use super::messages::Index;
use super::procedure::View;
use super::seat::STALE;
use crate::value::Value;

/// What speaks against a start with these players; each line names its player.
pub fn complaints(players: &[Index], view: &View<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for player in players {
        let seat = view.roster.seat(*player);
        let mut say = |text: String| all.push(format!("{}: {text}", seat.name));
        if !seat.is_up() {
            say(format!("not connected ({})", seat.why_down()));
            continue;
        }
        if let Some(why) = &seat.uncertain {
            say(format!("what it does is uncertain: {why}"));
        }
        let Some((state, at)) = &seat.state else {
            say("it has not said yet what it does".into());
            continue;
        };
        let age = view.now.mono.since(*at);
        if age > STALE {
            say(format!("its last word is {:.1} s old", age.as_secs_f64()));
        }
        if state.get("mode").is_some_and(|m| *m == Value::Null) {
            say("no mode is set".into());
        }
        if let Some(roach) = state.get("roach").and_then(Value::as_str)
            && !matches!(roach, "absent" | "connected")
        {
            say(format!("ROACH {roach}"));
        }
        if let Some(Value::List(warnings)) = state.get("warnings") {
            for warning in warnings.iter().filter_map(Value::as_str) {
                say(warning.to_owned());
            }
        }
    }
    all
}
