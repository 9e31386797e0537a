use super::*;

fn shipped(name: &str) -> Option<String> {
    let root = std::env::var_os("APPLIANCE_SHARED")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let path = root.join("data/dibas").join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("SKIPPED: no {name} under ../shared/data/dibas");
    }
    text
}

#[test]
fn print_findings() {
    for name in ["dibas.conf.gb", "dibas.conf.shao"] {
        let Some(text) = shipped(name) else { return };
        let d = Dibas::load(&text, name).expect("loads");
        for f in &d.findings {
            println!("{name}:{f}");
        }
        println!("{:?}", d.mode("MODE1"));
        println!("{:?}", d.bank("BANKA"));
        println!("{:?}", d.modes.iter().filter_map(|m| m.usable.clone().err()).collect::<Vec<_>>());
    }
}
