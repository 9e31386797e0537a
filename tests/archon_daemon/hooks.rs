//! A site's program beside the daemon: asked, told, and never in the way.

use crate::house::{House, result};
use crate::{card, filenames, image, observing};
use std::fs;

/// Answers every question and writes down what it hears.
const PROGRAM: &str = r#"
while read -r line; do
  echo "$line" >> "$1"
  id=$(printf '%s' "$line" | sed 's/.*"id": *\([0-9][0-9]*\).*/\1/')
  echo "{\"id\":$id,\"ok\":true,\"header\":{\"HOOKED\":[42,\"by the site\"]}}"
done
"#;

#[test]
fn a_hook_moves_the_shutter_and_adds_cards() {
    let house = House::new(&[]);
    let (program, heard) = (house.dir.path().join("hook.sh"), house.dir.path().join("heard"));
    fs::write(&program, PROGRAM).expect("written");
    let setting = format!(
        "archon.hooks=[{{command=[\"/bin/sh\",\"{}\",\"{}\"],events=[\"pre_expose\",\"shutter\",\"header\",\"post_process\"],timeout_s=10.0}}]",
        program.display(),
        heard.display()
    );
    let daemon = observing(&house, &[&setting]);
    let reply = result(&daemon, &["archon.expose", "0.1"]);
    for file in filenames(&reply) {
        let image = image(&file);
        assert_eq!(card(&image, "HOOKED"), "42");
        assert_eq!(card(&image, "SHUTSTAT").trim_matches('\'').trim(), "confirmed");
    }
    daemon.stop();
    let heard = fs::read_to_string(heard).expect("it wrote");
    let events: Vec<&str> =
        heard.lines().filter_map(|l| l.split("\"event\":").nth(1)?.split('"').nth(1)).collect();
    assert_eq!(events[..3], ["pre_expose", "shutter", "shutter"], "{events:?}");
    assert_eq!(events.iter().filter(|e| **e == "header").count(), 2, "one for each controller");
    assert_eq!(events.last(), Some(&"post_process"));
}
