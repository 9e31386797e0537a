use super::*;

const EXAMPLE: &str = include_str!("../../../config/dibas.example.conf");

fn dibas() -> Dibas {
    Dibas::load(EXAMPLE, "example").expect("the example is sound")
}

fn engine_of(mode: &str, frequency: Option<f64>, reference_rounding: bool) -> Result<Engine, CallError> {
    let dibas = dibas();
    let site = Site {
        dibas: &dibas,
        resolve: &|_| None,
        dibas_dir: "/opt/dibas",
        data_root: "/data",
        reference_rounding,
    };
    Engine::new(&dibas.banks[0], dibas.mode(mode).expect("mode"), frequency, &site)
}

fn engine(mode: &str) -> Engine {
    engine_of(mode, None, false).expect("engine")
}

fn status<'a>(prepared: &'a Prepared, key: &str) -> &'a str {
    prepared.status.iter().find(|(k, _)| k == key).map_or("(absent)", |(_, v)| v)
}

fn derived(prepared: &Prepared, name: &str) -> f64 {
    prepared.derived.iter().find(|(n, _)| *n == name).expect(name).1
}

fn pair(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}

#[test]
fn construction_prepares_the_phase_of_no_length_and_then_defines_one_second() {
    let engine = engine("MODE1");
    let lut = |p: &Prepared| p.registers.iter().find(|(n, _)| n == "ssg_lut_bram").map(|(_, v)| v.clone());
    assert_eq!(lut(engine.initial()), Some(RegisterValue::Blob(vec![0, 0, 0, 6])));
    let prepared = engine.prepare().expect("prepares");
    assert_eq!(lut(&prepared), Some(RegisterValue::Blob(vec![0x02, 0xcb, 0x80, 0x06])));
    assert_eq!(engine.phases().len(), 1);
}

#[test]
fn facts_for_programming() {
    let engine = engine_of("MODE1", Some(-1.2e9), false).expect("engine");
    let fpga = engine.fpga();
    assert_eq!((engine.frequency_mhz(), fpga.valon_mhz), (-1200.0, 1200.0));
    let ip = fpga.taps[0].ip.expect("a dotted quad");
    assert_eq!((ip, facts::Tap::mac(ip)), (Ipv4Addr::new(127, 0, 17, 64), 0x0202_7f00_1140));
    let destination = &fpga.destinations[0];
    assert_eq!((destination.ip, destination.port), (Some(Ipv4Addr::new(127, 0, 17, 1)), 60000));
    assert_eq!(fpga.conduct.backend, "VEGAS");
    let prepared = engine.prepare().expect("prepares");
    assert_eq!(status(&prepared, "CHAN_BW"), "-1171875.0");
    assert_eq!(status(&prepared, "FPGACLK"), "150000000.0");
}

#[test]
fn several_parameters_are_set_together_or_not_at_all() {
    let mut engine = engine("MODE1");
    assert_eq!(engine.set_params(&[]), Ok(Value::Null));
    let bad = [pair("source", "3C286"), pair("polarization", "FULL")];
    engine.set_params(&bad).expect_err("polarization");
    assert_eq!(engine.get_param(Some("source")), Ok("unspecified".into()));
    let refused = [pair("source", "3C286"), pair("filter_bw", 800i64)];
    let reply = engine.set_params(&refused).expect("a reply, no exception");
    assert_eq!(reply, Value::verdict(false, "Filter bandwidth must be one of [450, 1450, 1900]"));
    assert_eq!(engine.get_param(Some("source")), Ok("unspecified".into()));
    let good = [pair("source", "3C286"), pair("scan_length", 60i64)];
    assert_eq!(engine.set_params(&good), Ok(Value::Bool(true)));
    assert_eq!(engine.scan_length(), 60.0);
    // The kind of number decides the card.
    assert_eq!(status(&engine.prepare().expect("prepares"), "SCANLEN"), "60");
}

#[test]
fn every_parameter_of_the_table_can_be_read_and_explained() {
    let engine = engine("MODE2");
    let Ok(Value::Map(all)) = engine.get_param(None) else { panic!("a map") };
    let Ok(Value::Map(help)) = engine.help_param(None) else { panic!("a map") };
    assert_eq!((all.len(), help.len()), (engine.parameters().len(), engine.parameters().len()));
    for p in engine.parameters() {
        let known = engine.engine.get(p.name);
        assert!(known.is_some(), "{} has no getter", p.name);
        assert_eq!(engine.help_param(Some(p.name)), Ok(p.help.into()));
    }
    assert_eq!(engine.get_param(Some("nope")), Ok(Value::Null));
    let error = engine.help_param(Some("nope")).expect_err("unknown");
    assert!(
        error
            .message
            .starts_with("No such parameter 'nope'. Legal parameters in this mode are: ['filter_bw', ")
    );
}

#[test]
fn nonsense_values_are_refused_and_change_nothing() {
    let mut engine = engine("MODE1");
    let before = engine.get_param(None);
    for (name, value) in [
        ("noise_source", Value::Int(2)),
        ("noise_tone_1", "on".into()),
        ("exposure", Value::Float(0.0)),
        ("exposure", Value::Float(f64::NAN)),
        ("exposure", "1".into()),
        ("hwexposr", Value::Float(1e-9)),
        ("hwexposr", Value::Float(f64::INFINITY)),
        ("hwexposr", Value::Null),
        ("scan_length", Value::Float(-1.0)),
        ("cal_freq", "fast".into()),
        ("nchan", Value::Int(0)),
        ("nchan", Value::Float(1.5)),
        ("num_spectra", Value::Int(-1)),
        ("observer", Value::List(vec![])),
        ("source_ra_dec", Value::Float(1.0)),
        ("polarization", Value::Int(2)),
        ("bandwidth", Value::Int(800)),
    ] {
        engine.set_param(name, &value).expect_err(name);
    }
    assert_eq!(engine.get_param(None), before);
}

#[test]
fn unusable_modes_and_frequencies_are_refused() {
    let mut dibas = dibas();
    dibas.modes[0].modename = "l9/lbw9".into();
    dibas.modes[1].usable = Err("Bad keys found".into());
    let site =
        Site { dibas: &dibas, resolve: &|_| None, dibas_dir: "", data_root: "", reference_rounding: false };
    let refusal = |mode: &Mode, f| Engine::new(&dibas.banks[0], mode, f, &site).expect_err("refused").message;
    assert!(refusal(&dibas.modes[0], None).contains("no engine for MODENAME 'l9/lbw9'"));
    assert_eq!(refusal(&dibas.modes[1], None), "Mode MODE2 is not usable: Bad keys found");
    assert!(refusal(&dibas.modes[2], Some(0.0)).contains("not a frequency"));
    assert!(refusal(&dibas.modes[2], Some(f64::NAN)).contains("not a frequency"));
}

#[test]
fn switching_states() {
    let mut engine = engine("MODE1");
    assert_eq!(engine.clear_switching_states(), Ok(Value::List(vec![true.into(), 0i64.into()])));
    assert_eq!(engine.prepare().expect_err("none").message, "No switching states defined");
    engine.add_switching_state(0.0, false, false, false).expect("a state of no length");
    engine.add_switching_state(0.0, false, true, false).expect("another");
    engine.prepare().expect_err("a cycle of no length");
    engine.clear_switching_states().expect("cleared");
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
        engine.add_switching_state(bad, false, false, false).expect_err("refused");
    }
    assert_eq!(engine.phases(), []);
}

#[test]
fn a_gbt_cycle_is_accepted_whole_or_refused_whole() {
    let row = |start: f64, blanking: f64| {
        Value::List(vec![start.into(), 0i64.into(), 1i64.into(), blanking.into()])
    };
    let mut exact = engine("MODE1");
    let reply = exact.set_gbt_ss(0.4, &Value::List(vec![row(0.0, 0.002), row(0.5, 0.0)])).expect("accepted");
    // No entry of no length for the second row.
    assert_eq!(reply, Value::List(vec![true.into(), 3i64.into()]));
    let before = exact.phases().to_vec();
    for bad in [vec![row(0.0, 0.5)], vec![row(0.5, 0.0), row(0.2, 0.0)], vec![row(0.0, -0.1)]] {
        exact.set_gbt_ss(0.4, &Value::List(bad)).expect_err("refused");
        assert_eq!(exact.phases(), before);
    }
    exact.set_gbt_ss(0.0, &Value::List(vec![row(0.0, 0.0)])).expect_err("no period");
    let mut reference = engine_of("MODE1", None, true).expect("engine");
    let reply =
        reference.set_gbt_ss(0.4, &Value::List(vec![row(0.0, 0.002), row(0.5, 0.0)])).expect("accepted");
    assert_eq!(reply, Value::List(vec![true.into(), 4i64.into()]));
    let error = reference.set_gbt_ss(0.4, &row(0.0, 0.002)).expect_err("flat");
    assert!(error.message.starts_with("Possible syntax error with parameter 'ss_list'."));
    assert_eq!(reference.phases().len(), 1);
    assert!(reference.phases()[0].sig_ref_1);
    assert_eq!(
        reference.set_gbt_ss(0.4, &Value::List(vec![])),
        Ok(Value::List(vec![true.into(), 0i64.into()]))
    );
}

/// The counts of wrong durations that the old arithmetic gives (spec: 1274 of 2000 in MODE1 and MODE2, none in MODE3).
#[test]
fn the_old_rounding_is_one_tick_short_exactly_where_it_was() {
    for (mode, acc_len, wrong) in [("MODE1", 768, 1274), ("MODE2", 768, 1274), ("MODE3", 384, 0)] {
        let mut reference = engine_of(mode, None, true).expect("engine");
        let mut exact = engine(mode);
        let Ok(Value::Float(hwexposr)) = exact.get_param(Some("hwexposr")) else { panic!("a number") };
        let mut short = 0;
        for n in 1..=2000u32 {
            // Half an exposure less, so that rounding up gives n whatever the last bit of the quotient.
            let duration = (f64::from(n) - 0.5) * hwexposr;
            for engine in [&mut reference, &mut exact] {
                engine.clear_switching_states().expect("cleared");
                engine.add_switching_state(duration, false, false, false).expect("fits");
            }
            assert_eq!(exact.phases()[0].ticks, n * acc_len, "{mode} n={n}");
            short += u32::from(reference.phases()[0].ticks != n * acc_len);
        }
        assert_eq!(short, wrong, "{mode}");
    }
}

#[test]
fn an_exposure_is_never_zero() {
    let mut engine = engine("MODE1");
    engine.set_param("exposure", &Value::Float(0.5)).expect("set");
    let rows = Value::List(vec![Value::List(vec![0i64.into(), 0i64.into(), 1i64.into(), 0.002.into()])]);
    engine.set_gbt_ss(10.0, &rows).expect("accepted");
    let prepared = engine.prepare().expect("prepares");
    assert!(derived(&prepared, "exposure") > 9.9);
}

#[test]
fn what_an_operator_should_know_is_said() {
    let mut engine = engine("MODE1");
    assert_eq!(engine.prepare().expect("prepares").warnings, Vec::<String>::new());
    engine.set_param("hwexposr", &Value::Float(0.001)).expect("set");
    engine.set_param("nchan", &Value::Int(512)).expect("set");
    let warnings = engine.prepare().expect("prepares").warnings;
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("nchan is 512") && warnings[1].contains("sg_period"), "{warnings:?}");
}

#[test]
fn the_master_bank_drives_its_own_signals() {
    let mut dibas = dibas();
    let mut words = Vec::new();
    for master in ["BANKA", "BANKB"] {
        dibas.who_is_master = master.to_owned();
        let site = Site {
            dibas: &dibas,
            resolve: &|_| None,
            dibas_dir: "",
            data_root: "",
            reference_rounding: false,
        };
        let mut engine = Engine::new(&dibas.banks[0], &dibas.modes[0], None, &site).expect("engine");
        engine.clear_switching_states().expect("cleared");
        engine.add_switching_state(0.1, false, true, true).expect("fits");
        let p = engine.prepare().expect("prepares");
        let select = p.registers.iter().find(|(n, _)| n == "ssg_ms_sel").map(|(_, v)| v.clone());
        words.push((select, [status(&p, "_AICL_01").to_owned(), status(&p, "_AECL_01").to_owned()]));
    }
    assert_eq!(words[0], (Some(RegisterValue::Word(0)), ["1".to_owned(), "0".to_owned()]));
    assert_eq!(words[1], (Some(RegisterValue::Word(14)), ["0".to_owned(), "1".to_owned()]));
}

#[test]
fn every_engine_explains_its_parameters_and_reads_them_back() {
    for mode in dibas().mode_names() {
        let mut engine = engine(&mode);
        for p in engine.parameters() {
            assert!(!p.help.is_empty() && p.help.ends_with('.'), "{mode} {}", p.name);
            let value =
                engine.engine.get(p.name).unwrap_or_else(|| panic!("{mode}: {} has no getter", p.name));
            // What is read can be set again, apart from what was never given.
            let given = value != Value::Null && value != "unspecified".into();
            if given {
                assert_eq!(engine.set_param(p.name, &value), Ok(Value::Bool(true)), "{mode} {}", p.name);
            }
        }
    }
}

#[test]
fn values_that_no_register_holds_are_refused() {
    for (mode, name, value) in [
        ("MODE4", "gain", Value::Int(-1)),
        ("MODE6", "gain", Value::List(vec![1024i64.into(); 7])),
        ("MODE4", "subband_freq", Value::List(vec![750i64.into()])),
        ("MODE5", "subband_freq", Value::List(vec![750i64.into(); 8])),
        ("MODE6", "subband_freq", Value::List(vec![Value::Float(-1.0); 8])),
        ("INCO_MODE_64", "scale", Value::Float(65_536.0)),
        ("INCO_MODE_64", "scale_q", Value::Float(-0.5)),
        ("INCO_MODE_64", "obs_mode", "COHERENT_FOLD".into()),
        ("INCO_MODE_64", "only_i", Value::Int(2)),
        ("INCO_MODE_64", "par_file", "".into()),
        ("INCO_MODE_64", "dm", Value::Float(1.0)),
        ("CODD_MODE_64", "dm", Value::Float(-1.0)),
        ("CODD_MODE_64", "num_channels", Value::Int(12)),
        ("CODD_MODE_64", "_node_number", Value::Int(8)),
    ] {
        engine(mode).set_param(name, &value).expect_err(name);
    }
    let mut inco = engine("INCO_MODE_64");
    inco.set_param("scale", &Value::Float(0.5)).expect("set");
    assert_eq!(inco.get_param(Some("scale_v")), Ok(Value::Float(0.5)));
    inco.set_param("integration_time", &Value::Float(1e-9)).expect("set");
    assert!(inco.prepare().expect_err("nothing").message.starts_with("Integration time too short"));
    let mut codd = engine("CODD_MODE_64");
    codd.set_param("dm", &Value::Float(1e9)).expect("set");
    assert!(codd.prepare().expect_err("too much").message.contains("smears"));
    let mut mirror = engine("MODE5");
    mirror.set_param("subband_freq", &Value::List(vec![Value::Float(1600.0)])).expect("set");
    assert!(mirror.prepare().expect("prepares").warnings[0].contains("mirror image of 1400"), "1600 of 3000");
}

#[test]
fn only_the_master_of_a_coherent_mode_drives_its_board() {
    let mut dibas = dibas();
    let mut second = dibas.banks[0].clone();
    second.name = "BANKB".into();
    second.data_destination_host = "127.0.17.2".into();
    dibas.banks.push(second);
    let codd = dibas.modes.iter_mut().find(|m| m.name == "CODD_MODE_64").expect("in the example");
    let cdd = codd.cdd.as_mut().expect("coherent");
    cdd.hpcs.push("BANKB".into());
    cdd.data_interfaces.push("127.0.17.65".into());
    let site =
        Site { dibas: &dibas, resolve: &|_| None, dibas_dir: "", data_root: "", reference_rounding: false };
    let mode = dibas.mode("CODD_MODE_64").expect("in the example");
    let of = |bank: usize| Engine::new(&dibas.banks[bank], mode, None, &site).expect("engine");
    let (master, slave) = (of(0), of(1));
    assert!(master.fpga().drives_board && !slave.fpga().drives_board);
    let taps: Vec<&str> = master.fpga().taps.iter().map(|t| t.device.as_str()).collect();
    let registers: Vec<&str> = master.fpga().destinations.iter().map(|d| d.ip_register.as_str()).collect();
    assert_eq!((taps, registers), (vec!["tGX8_tGv20", "tGX8_tGv21"], vec!["IP_0", "IP_1"]));
    let prepared = slave.prepare().expect("prepares");
    assert_eq!((status(&prepared, "BANKNUM"), status(&prepared, "DATAHOST")), ("1", "127.0.17.65"));
    assert_eq!(prepared.i2c, []);
    assert_eq!(status(&prepared, "OBSFREQ"), "1173.75");
}

// ---- the beamformer

const LOOPBACK: &str = include_str!("../../../config/dibas.loopback.conf");

fn beamformer(text: &str) -> Result<Engine, CallError> {
    let dibas = Dibas::load(text, "loopback.conf").expect("sound");
    let site = Site {
        dibas: &dibas,
        resolve: &|_| None,
        dibas_dir: "/opt/dibas",
        data_root: "/data",
        reference_rounding: false,
    };
    Engine::new(dibas.bank("BANKA").expect("there"), dibas.mode("MODE42").expect("there"), None, &site)
}

fn words(engine: &Engine, child: Child) -> String {
    let CommandLine { program, args, .. } = engine.command_line(child).expect("its own command line");
    format!("{program} {}", args.join(" "))
}

#[test]
fn the_pipeline_gets_the_project_that_is_set() {
    let mut engine = beamformer(LOOPBACK).expect("engine");
    engine.set_params(&[pair("project_id", "AGBT 26A; rm -r")]).expect("set");
    let daq = engine.command_line(Child::Daq).expect("its own command line");
    assert!(
        daq.args.contains(&"PROJID=AGBT 26A; rm -r".to_owned()),
        "one word, and no shell: {:?}",
        daq.args
    );
    assert!(daq.args.contains(&"DATADIR=/data".to_owned()));
    assert_eq!(words(&engine, Child::FitsWriter), "bfFitsWriter -i 0 -m s");
    let modename = |name: &str| LOOPBACK.replace("MODENAME = hi_correlator", &format!("MODENAME = {name}"));
    let power = beamformer(&modename("flag_total_power").replace("cpus = 0, 1, 2", "cpus = 3, 4, 5, 6"))
        .expect("engine");
    let daq = words(&power, Child::Daq);
    assert!(daq.ends_with("PROJID=JUNK -c 3 flag_net_thread -c 4 flag_transpose_thread -c 5 flag_power_thread -c 6 flag_powersave_thread"), "{daq}");
    assert_eq!(words(&power, Child::FitsWriter), "bfFitsWriter -i 0");
    // One core too few.
    let why = beamformer(&modename("flag_total_power")).expect_err("four threads").message;
    let line = LOOPBACK.lines().position(|l| l == "[BANKA]").expect("there") + 1;
    assert!(
        why.contains(&format!("loopback.conf:{line}")) && why.contains("3 cores, but there are 4 threads"),
        "{why}"
    );
    let why = beamformer(&LOOPBACK.replacen("xid = 0", "", 1)).expect_err("no X engine").message;
    assert!(why.contains(&format!("loopback.conf:{line}")) && why.contains("xid"), "{why}");
}

#[test]
fn a_beamformer_publishes_what_was_given_and_nothing_else() {
    let mut engine = beamformer(LOOPBACK).expect("engine");
    let prepared = engine.prepare().expect("prepares");
    assert_eq!(prepared.status, [("MODENAME".to_owned(), "hi_correlator".to_owned())]);
    assert_eq!((prepared.registers, prepared.i2c), (vec![], vec![]), "no switching table, no filter");
    engine
        .set_params(&[pair("int_length", 0.5), pair("source", "M31"), pair("scan_length", 30i64)])
        .expect("set");
    assert_eq!(engine.get_param(Some("exposure")), Ok(Value::Float(0.5)), "the same value");
    let prepared = engine.prepare().expect("prepares");
    let of = |key| status(&prepared, key);
    assert_eq!(
        (of("REQSTI"), of("SRC_NAME"), of("SCANLEN"), of("OBSERVER")),
        ("0.5", "M31", "30", "(absent)")
    );
    engine.set_param("exposure", &Value::Float(2.0)).expect("set");
    assert_eq!(status(&engine.prepare().expect("prepares"), "REQSTI"), "2.0");
    engine.set_param("int_length", &Value::Float(0.0)).expect_err("no length");
    assert_eq!(engine.phases().len(), 1, "there are switching states, for scripts that set them");
}
