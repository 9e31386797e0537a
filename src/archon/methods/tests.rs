use super::*;
use crate::api::Call;
use crate::api::bind::bind;

fn typed(method: &str, kwargs: &[(&str, Value)]) -> Result<ArchonCall, String> {
    let table = table(&["sp1".into()]);
    let (interface, name) = method.rsplit_once('.').unwrap_or((INTERFACE, method));
    let method = table.find(interface, name).expect("in the table");
    let kwargs = kwargs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let made = Call { interface: interface.into(), method: name.into(), args: vec![], kwargs };
    bind(method, made).and_then(|bound| call(method, bound)).map_err(|e| e.message)
}

fn exposed(kwargs: &[(&str, Value)]) -> Result<ExposeAsk, String> {
    typed("expose", kwargs).map(|c| match c.ask {
        Ask::Expose(ask) => *ask,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_table_can_be_published_and_every_method_becomes_a_call() {
    let table = table(&["sp1".into(), "sp2".into(), "not plain".into()]);
    assert_eq!(table.interfaces(), ["archon", "archon.sp1", "archon.sp2", "rpc"]);
    for m in table.methods().iter().filter(|m| m.interface != "rpc") {
        let kwargs = m.args.iter().filter(|a| a.default.is_none() || a.name == "exposure_time");
        let kwargs = kwargs.map(|a| (a.name.to_owned(), sample(a))).collect();
        let made = Call { interface: m.interface.into(), method: m.name.into(), args: vec![], kwargs };
        let bound = bind(m, made).expect(m.name);
        call(m, bound).unwrap_or_else(|e| panic!("{}.{}: {e}", m.interface, m.name));
    }
}

fn sample(arg: &Arg) -> Value {
    match arg.kind {
        Kind::Int => Value::Int(1),
        Kind::Number => Value::Float(1.0),
        Kind::Bool => Value::Bool(true),
        _ => "x".into(),
    }
}

#[test]
fn a_controllers_own_interface_has_no_controller_argument() {
    let call = typed("archon.sp1.status", &[("simple", true.into())]).expect("binds");
    let ask = Ask::Status { simple: true, debug: false };
    assert_eq!(call, ArchonCall { controllers: vec!["sp1".into()], ask });
    assert!(typed("archon.sp1.status", &[("controller", "sp2".into())]).is_err());
    assert!(table(&["sp1".into()]).find("archon.sp1", "abort").is_err());
}

#[test]
fn controllers_are_a_name_a_list_or_all() {
    let named = |v: Value| typed("status", &[("controller", v)]).map(|c| c.controllers);
    assert_eq!(named(Value::Null), Ok(vec![]));
    assert_eq!(named("a".into()), Ok(vec!["a".into()]));
    assert_eq!(named(Value::List(vec!["a".into(), "b".into()])), Ok(vec!["a".into(), "b".into()]));
    assert!(named(Value::Int(1)).is_err());
}

#[test]
fn flavours_come_by_name_or_by_switch() {
    let time = ("exposure_time", Value::Float(1.0));
    assert_eq!(exposed(std::slice::from_ref(&time)).map(|e| e.flavour), Ok(Flavour::Object));
    assert_eq!(exposed(&[time.clone(), ("dark", true.into())]).map(|e| e.flavour), Ok(Flavour::Dark));
    let both = [time.clone(), ("flavour", "arc".into()), ("arc", true.into())];
    assert_eq!(exposed(&both).map(|e| e.flavour), Ok(Flavour::Arc));
    let two = exposed(&[time.clone(), ("flavour", "arc".into()), ("dark", true.into())]);
    assert_eq!(two, Err("More than one flavour was given.".into()));
    assert!(exposed(&[time, ("flavour", "sky".into())]).is_err());
    assert_eq!(exposed(&[("bias", true.into())]).map(|e| e.time), Ok(Some(Duration::ZERO)));
}

#[test]
fn refusals_have_the_texts_clients_know() {
    let one = ("exposure_time", Value::Int(1));
    for (kwargs, text) in [
        (vec![], "Exposure time required for flavour 'object'."),
        (
            vec![one.clone(), ("count", Value::Int(2)), ("no_readout", true.into())],
            "--count > 1 requires readout.",
        ),
        (
            vec![one.clone(), ("with_dark", true.into()), ("readout", false.into())],
            "--with-dark cannot be used with --no-readout.",
        ),
    ] {
        assert_eq!(exposed(&kwargs), Err(text.into()));
    }
    for bad in [Value::Float(-0.1), Value::Float(1e9), Value::Int(-1)] {
        assert!(exposed(&[("exposure_time", bad)]).is_err());
    }
}

#[test]
fn headers_come_as_objects_or_json_text() {
    let with = |v: Value| exposed(&[("bias", true.into()), ("header", v)]).map(|e| e.header);
    let map = Value::Map(vec![("A".into(), Value::Int(1))]);
    assert_eq!(with("{\"A\": 1}".into()), Ok(map.clone()));
    assert_eq!(with(map.clone()), Ok(map));
    assert_eq!(with("".into()), Ok(Value::Null));
    assert!(with("{".into()).is_err());
}

#[test]
fn window_members_keep_zeros_and_their_ranges() {
    let call = typed("set_window", &[("preskiplines", Value::Int(0)), ("hbin", Value::Int(2))]);
    let members = vec![(WindowKey::PreSkipLines, 0), (WindowKey::HBin, 2)];
    assert_eq!(call.map(|c| c.ask), Ok(Ask::SetWindow { mode: None, members }));
    assert!(typed("set_window", &[("vbin", Value::Int(0))]).is_err());
    assert!(typed("set_window", &[("lines", Value::Int(-1))]).is_err());
}

#[test]
fn nothing_with_a_line_end_reaches_the_wire() {
    assert!(typed("talk", &[("command", "STATUS\nPOWERON".into())]).is_err());
    assert!(typed("talk", &[("command", "".into())]).is_err());
    let line = [("key", Value::from("A")), ("value", "x\ny".into())];
    assert!(typed("write_line", &line).is_err());
    let empty = [("key", Value::from("A")), ("value", "".into())];
    assert!(typed("write_line", &empty).is_ok());
}
