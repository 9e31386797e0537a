//! Commands, configuration, power, clients.

use super::*;

#[test]
fn unknown_commands_and_rubbish_are_met_with_silence() {
    let mut desk = Desk::with(&[]);
    let junk =
        ["NONSENSE", "status", "STATUS1", "FETCH12", "FETCH0000000000000001", "FETCHA000000+00000001", ""];
    for command in junk {
        assert_eq!(desk.ask(command), "", "{command}");
    }
    assert_eq!(desk.ask("FETCHLOG"), "<0A(null)\n");
    for command in ["LOCK9", "LOCKT1", "RCONFIG+001", "RCONFIG001", "WCONFIGx", "APPLYMOD2", "APPLYMOD0F"] {
        assert_eq!(desk.ask(command), "?0A\n", "{command}");
    }
}

#[test]
fn why_a_command_was_refused_is_in_the_log() {
    let mut desk = Desk::with(&[]);
    assert_eq!(desk.ask("POWERON"), "?0A\n");
    assert_eq!(desk.number("STATUS", "LOG"), 1);
    assert_eq!(desk.logged(), ["POWERON: not before APPLYALL"]);
    assert_eq!(desk.number("STATUS", "LOG"), 0);
}

#[test]
fn configuration_memory_is_text_until_it_is_applied() {
    let mut desk = Desk::with(&[]);
    assert_eq!(desk.ask("RCONFIG0001"), "<0AFRAMEMODE=0\n");
    assert_eq!(desk.ask("RCONFIG3000"), "<0A\n");
    assert_eq!(desk.ask("RCONFIG4000"), "?0A\n");
    assert_eq!(desk.ask("WCONFIG4000A=1"), "?0A\n");
    assert_eq!(desk.ask("POWERON"), "?0A\n", "before the first APPLYALL");
    assert_eq!(desk.ask("FASTLOADPARAM Exposures 1"), "?0A\n", "no script is loaded");
    desk.done(&["WCONFIG0002LINECOUNT=20", "APPLYALL", "POWERON"]);
    assert_eq!(desk.number("STATUS", "POWER"), 3);
    desk.wait(200);
    assert_eq!(desk.number("STATUS", "POWER"), 4);
    assert_eq!(desk.ask("fastloadparam x 1"), "");
    assert_eq!(desk.ask("FASTLOADPARAM EXPOSURES 0"), "<0A\n", "any case");
    desk.done(&["APPLYALL"]);
    assert_eq!(desk.number("STATUS", "POWER"), 2, "APPLYALL drops power");
    desk.done(&["CLEARCONFIG"]);
    assert_eq!(desk.ask("APPLYALL"), "?0A\n", "of nothing");
}

#[test]
fn longest_line_of_configuration() {
    let mut desk = Desk::with(&[]);
    let key = "K=";
    let line = |length: usize| format!("WCONFIG0100{key}{}", "x".repeat(length - key.len()));
    assert_eq!(desk.ask(&line(2048)), "<0A\n");
    assert_eq!(desk.ask("RCONFIG0100").len(), 2048 + 4);
    assert_eq!(desk.ask(&line(2049)), "?0A\n");
}

#[test]
fn an_apply_takes_over_its_own_part_only() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "POWERON"]);
    desk.wait(200);
    desk.done(&["WCONFIG0002LINECOUNT=20", "WCONFIG0005MOD4/LVLC_V1=2.5"]);
    let volts = |desk: &mut Desk| {
        let text = desk.ask("STATUS");
        text.split(' ').find_map(|w| w.strip_prefix("MOD4/LVLC_V1=")).map(str::to_owned)
    };
    let lines = |desk: &mut Desk| {
        desk.expose(1);
        desk.read_out();
        let buffer = desk.number("FRAME", "WBUF");
        desk.number("FRAME", &format!("BUF{buffer}HEIGHT"))
    };
    desk.done(&["APPLYSYSTEM", "APPLYMOD08", "APPLYDIO03"]);
    assert_eq!((volts(&mut desk).as_deref(), lines(&mut desk)), (Some("1.500"), 10));
    desk.done(&["APPLYMOD03"]);
    assert_eq!((volts(&mut desk).as_deref(), lines(&mut desk)), (Some("2.500"), 10));
    desk.done(&["APPLYCDS"]);
    assert_eq!(lines(&mut desk), 20);
    desk.done(&["WCONFIG0002LINECOUNT=-1"]);
    assert_eq!(desk.ask("APPLYCDS"), "?0A\n");
    assert_eq!(desk.logged(), ["APPLYCDS: LINECOUNT=-1 is not 1 to 65535"]);
    assert_eq!(lines(&mut desk), 20, "what was applied stays");
}

#[test]
fn a_bias_is_there_while_power_is_on() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL"]);
    assert!(desk.ask("STATUS").contains(" MOD4/LVLC_V1=0.000 "));
    desk.done(&["POWERON"]);
    desk.wait(200);
    assert!(desk.ask("STATUS").contains(" MOD4/LVLC_V1=1.500 "));
    desk.done(&["POWEROFF"]);
    assert!(desk.ask("STATUS").contains(" MOD4/LVLC_V1=0.000 "));
}

#[test]
fn a_prepared_parameter_comes_into_force_with_the_next_load() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "FASTPREPPARAM Exposures 1"]);
    assert_eq!(desk.archon.doing(), "idle");
    desk.done(&["FASTLOADPARAM IntCS 10"]);
    assert_eq!(desk.archon.doing(), "integrating");
    for bad in
        ["FASTPREPPARAM Nothing 1", "FASTLOADPARAM IntCS 1048576", "FASTLOADPARAM IntCS -1", "LOADPARAM x"]
    {
        assert_eq!(desk.ask(bad), "?0A\n", "{bad}");
    }
}

#[test]
fn a_load_is_from_configuration_memory_and_a_fast_load_does_not_change_it() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "HOLDTIMING", "FASTLOADPARAM Exposures 3"]);
    assert_eq!(desk.ask("RCONFIG0006"), "<0APARAMETER0=Exposures=0\n");
    desk.done(&["LOADPARAM Exposures", "RELEASETIMING"]);
    assert_eq!(desk.archon.doing(), "idle", "0 again");
    desk.done(&["WCONFIG0006PARAMETER0=Exposures=1", "WCONFIG0007PARAMETER1=IntCS=10", "LOADPARAMS"]);
    assert_eq!(desk.archon.doing(), "integrating");
}

#[test]
fn parameters_can_be_matched_letter_by_letter() {
    let mut desk = Desk::of(ACF, &[], ArchonSimConfig { case_sensitive: true, ..ArchonSimConfig::default() });
    desk.done(&["APPLYALL", "FASTLOADPARAM IntCS 1"]);
    assert_eq!(desk.ask("FASTLOADPARAM INTCS 1"), "?0A\n");
}

#[test]
fn held_cores_stand_still_and_go_on_where_they_stood() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "FASTLOADPARAM IntCS 10", "FASTLOADPARAM Exposures 1"]);
    desk.wait(60);
    desk.done(&["HOLDTIMING"]);
    desk.wait(5000);
    assert_eq!((desk.archon.doing(), desk.archon.deadline()), ("integrating", None));
    desk.done(&["RELEASETIMING"]);
    desk.wait(39);
    assert_eq!(desk.archon.doing(), "integrating");
    desk.wait(1);
    assert_eq!(desk.archon.doing(), "pending");
}

#[test]
fn the_timer_counts_ten_nanoseconds() {
    let mut desk = Desk::with(&[]);
    desk.wait(1500);
    assert_eq!(desk.ask("TIMER"), format!("<0ATIMER={:016X}\n", 150_000_000));
}

#[test]
fn clients_are_heard_in_order_of_arrival() {
    for (revision, heard) in [(5, 1), (7, 4)] {
        let mut desk = Desk::of(ACF, &[], ArchonSimConfig { revision, ..ArchonSimConfig::default() });
        desk.archon.closed(ME);
        // Their numbers say nothing about the order.
        let guests = [9u64, 3, 7, 1, 5].map(ClientId);
        guests.iter().for_each(|g| desk.archon.connect(*g));
        let answers = |desk: &mut Desk, guest: ClientId| {
            desk.archon.receive(guest, b">01FETCHLOG\n", desk.now());
            desk.settle();
            std::mem::take(&mut desk.sent) == b"<01(null)\n"
        };
        let answered = guests.iter().take_while(|g| answers(&mut desk, **g)).count();
        assert_eq!(answered, heard, "revision {revision}");
        desk.archon.closed(guests[0]);
        assert!(answers(&mut desk, guests[heard]), "the next one's turn");
    }
}

#[test]
fn polloff_freezes_status_but_for_the_log() {
    let mut desk = Desk::with(&[]);
    desk.done(&["APPLYALL", "POLLOFF"]);
    let before = desk.ask("STATUS");
    desk.done(&["POWERON"]);
    desk.wait(5000);
    assert_eq!(desk.ask("STATUS"), before);
    assert_eq!(desk.ask("LOCK9"), "?0A\n");
    assert_eq!(desk.number("STATUS", "LOG"), 1);
    desk.done(&["POLLON"]);
    assert_eq!(desk.number("STATUS", "POWER"), 4);
    assert!(desk.number("STATUS", "COUNT") > 50);
}

#[test]
fn status_tells_what_the_modules_have() {
    let mut desk = Desk::with(&[]);
    let status = desk.ask("STATUS");
    let keys =
        ["FANTACH=", "HEATER_V=", "MOD1/XVP_V4=", "MOD2/TEMPB=", "MOD2/HEATERBD=", "MOD2/VCPU_OUTREG15="];
    let more = ["MOD4/LVHC_I6=", "MOD4/DINPUTS=00000101", "MOD5/TEMP=", "MOD9/HVLC_V24=", "MOD11/LVLC_V1="];
    for key in keys.iter().chain(&more) {
        assert!(status.contains(&format!(" {key}")), "{key} in {status}");
    }
    assert!(!status.contains("MOD9/DINPUTS") && !status.contains("MOD7/"));
    let mut older = Desk::of(ACF, &[], ArchonSimConfig { revision: 4, ..ArchonSimConfig::default() });
    assert!(!older.ask("STATUS").contains("FANTACH"));
    assert!(older.ask("SYSTEM").contains("BACKPLANE_REV=4"));
}

#[test]
fn modules_are_those_of_the_configuration_in_flash() {
    let acf = format!("{ACF}[SYSTEM]\nBACKPLANE_ID=00000000000000AB\nMOD3_TYPE=9\nMOD3_ID=0123\n");
    let mut desk = Desk::of(&acf, &[], ArchonSimConfig::default());
    let system = desk.ask("SYSTEM");
    for pair in
        ["BACKPLANE_ID=00000000000000AB ", "MOD3_TYPE=9 ", "MOD3_ID=0123 ", "MOD1_TYPE=0 ", "MOD_PRESENT=4 "]
    {
        assert!(system.contains(pair), "{pair} in {system}");
    }
    assert!(desk.ask("STATUS").contains("MOD3/LVLC_V1=") && !desk.ask("STATUS").contains("MOD2/"));
}

#[test]
fn boot_keys_are_honoured() {
    let at_boot = |keys: &str| {
        let mut desk = Desk::of(
            &ACF.replace("[CONFIG]\n", &format!("[CONFIG]\n{keys}")),
            &[],
            ArchonSimConfig::default(),
        );
        desk.wait(200);
        desk.number("STATUS", "POWER")
    };
    assert_eq!(at_boot("POWERON=1\n"), 1, "power needs an applied configuration");
    assert_eq!(at_boot("APPLYALL=1\n"), 2);
    assert_eq!(at_boot("APPLYALL=1\nPOWERON=1\n"), 4);
}

#[test]
fn after_a_reboot_nobody_is_heard_for_a_while() {
    let mut desk = Desk::of(
        ACF,
        &[],
        ArchonSimConfig { boot_time: Duration::from_secs(3), ..ArchonSimConfig::default() },
    );
    desk.done(&["APPLYALL"]);
    assert_eq!(desk.ask("REBOOT"), "");
    assert!(desk.closed);
    desk.archon.connect(ME);
    desk.wait(2999);
    assert_eq!(desk.ask("STATUS"), "");
    desk.wait(1);
    assert_eq!(desk.number("STATUS", "POWER"), 1);
    assert_eq!(desk.ask("RCONFIG0001"), "<0AFRAMEMODE=0\n", "as in flash memory");
}

#[test]
fn many_commands_at_once_are_answered_in_order_however_they_are_cut() {
    let text: String = (0..200).map(|n| format!(">{n:02X}RCONFIG{:04X}\r\n\n", n % 8)).collect();
    let ask = |piece: usize| {
        let mut desk = Desk::with(&[]);
        for bytes in text.as_bytes().chunks(piece) {
            desk.archon.receive(ME, bytes, desk.now());
            desk.settle();
        }
        desk.sent
    };
    let whole = ask(usize::MAX);
    assert_eq!(whole.iter().filter(|b| **b == b'\n').count(), 200);
    assert!(whole.starts_with(b"<00BIGBUF=0\n<01FRAMEMODE=0\n"));
    for piece in [1, 7, 64] {
        assert_eq!(ask(piece), whole, "{piece}");
    }
}

#[test]
fn who_asks_without_taking_the_answers_is_cut_off() {
    let mut desk = Desk::with(&[]);
    desk.archon.set_congested(ME, true);
    let many = b">01TIMER\n".repeat(17_000);
    desk.archon.receive(ME, &many, desk.now());
    desk.settle();
    assert!(desk.closed && desk.sent.is_empty());
}

#[test]
fn nothing_said_to_it_makes_it_panic() {
    let words = [
        "FETCH",
        "A0000000",
        "LOCK",
        "WCONFIG",
        "0000",
        "FFFF",
        "PARAMETER0=",
        "Exposures",
        "=",
        "1",
        " ",
        "FASTLOADPARAM ",
        "ContinuousExposures",
        "APPLYALL",
        "APPLYMOD",
        "0A",
        "REBOOT",
        "\u{fc}",
        "LINECOUNT=65535",
        "TAPLINE0=AD1L, 1, 1",
        "TAPLINES=99999",
        "APPLYCDS",
        "FRAMEMODE=2",
        "PIXELCOUNT=65535",
        "BIGBUF=1",
        "ReadOut",
    ];
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let config = ArchonSimConfig { segment: 2048, ..ArchonSimConfig::default() };
    let mut desk = Desk::of(ACF, &["interleave"], config);
    for _ in 0..5000 {
        let line: String = (0..1 + next(4)).map(|_| words[next(words.len())]).collect();
        let bytes: Vec<u8> = format!(">0A{line}\n").chars().map(|c| c as u8).collect();
        desk.archon.receive(ME, &bytes, desk.now());
        for _ in 0..20 {
            // A FETCH may be of half a gigabyte: some of it will do.
            if desk.archon.poll().is_none() {
                break;
            }
        }
        desk.ms += next(30) as u64;
        desk.archon.tick(desk.now());
        if desk.archon.clients.is_empty() || next(50) == 0 {
            desk.archon.closed(ME);
            desk.archon.connect(ME);
        }
    }
    desk.archon.closed(ME);
    desk.settle();
    desk.archon.connect(ME);
    assert!(desk.ask("STATUS").starts_with("<0AVALID=1"));
}
