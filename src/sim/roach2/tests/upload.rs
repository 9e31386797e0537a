//! Uploads by hand: the listener and its connection are the test itself.

use super::*;
use crate::fpga::model::State;

const FPG: &[u8] = b"#!/bin/kcpfpg\n?register\tacc_len\t0x100\t0x4\n?meta\tacc_len\tt\tp\tv\n?quit\nBITS";

/// One readable and writable register of 4 bytes at 0x100, one byte of bitstream.
fn bof() -> Vec<u8> {
    let mut file = vec![0x19, b'B', b'O', b'F', 0, 2];
    file.resize(52, 0);
    file[21] = 3;
    file[32..36].copy_from_slice(&52u32.to_be_bytes());
    let region = [0u32, 0, 100, 1, 1, 92, 0];
    file.extend(region.into_iter().flat_map(u32::to_be_bytes));
    // Name at 0, mode 3, address, length.
    file.extend([0, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 4]);
    file.extend(b"acc_len\0\xAA");
    file
}

/// Text to the client, and the orders about the listener.
fn outputs(roach: &mut Roach) -> (String, Vec<Output>) {
    let (mut text, mut orders) = (String::new(), vec![]);
    while let Some(output) = roach.poll() {
        match output {
            Output::Send(_, bytes) => text += &String::from_utf8_lossy(&bytes),
            Output::Listen(_) | Output::StopUpload => orders.push(output),
            _ => {}
        }
    }
    (text, orders)
}

fn order(roach: &mut Roach, request: &str) -> (String, Vec<Output>) {
    roach.receive(ME, request.as_bytes(), at(1));
    outputs(roach)
}

/// Answers of the server after the file has come, in pieces of some bytes.
fn send(roach: &mut Roach, file: &[u8], piece: usize) -> (String, Vec<Output>) {
    transfer(roach, file, piece);
    outputs(roach)
}

fn transfer(roach: &mut Roach, file: &[u8], piece: usize) {
    roach.upload_listening(Ok(7146), at(2));
    file.chunks(piece).for_each(|c| roach.upload_bytes(c, at(3)));
    roach.upload_closed(Ok(()), at(4));
}

#[test]
fn upload_answers_at_once_and_programs_at_the_end() {
    for (piece, file) in [(1, FPG.to_vec()), (7, bof())] {
        let mut r = joined(Speaks::V4, &[]);
        let (text, orders) = order(&mut r, "?upload\n?fpgastatus\n");
        let down = "#fpga loaded\n#fpga down\n!upload ok\n#fpga down\n!fpgastatus fail\n";
        assert_eq!((text.as_str(), orders), (down, vec![Output::Listen(7146)]));
        let (text, orders) = send(&mut r, &file, piece);
        assert_eq!(text, "#fpga loaded\n#fpga mapped\n#fpga ready\n");
        assert_eq!(orders, [Output::StopUpload]);
        assert_eq!(
            ask(&mut r, "?wordwrite acc_len 0 7\n?wordread acc_len\n", 5),
            "!wordwrite ok\n!wordread ok 0x7\n"
        );
        assert_eq!(ask(&mut r, "?listdev detail\n", 5), "#listdev acc_len 0x100:0\n!listdev ok\n");
    }
}

#[test]
fn an_uploaded_fpg_brings_its_meta() {
    let mut r = joined(Speaks::V4, &[]);
    order(&mut r, "?progremote 7147\n");
    send(&mut r, FPG, 99);
    assert_eq!(ask(&mut r, "?meta acc_len\n", 5), "#meta acc_len t p v\n!meta ok\n");
}

#[test]
fn programming_after_an_upload_takes_its_time() {
    let mut r = joined(Speaks::V4, &[]);
    r.config.program_time = Duration::from_secs(1);
    order(&mut r, "?upload 7146\n");
    assert_eq!(send(&mut r, FPG, 99).0, "");
    assert_eq!((r.board().state(), r.deadlines().0), (State::Down, Some(at(1004).mono)));
    r.tick(at(1004));
    assert_eq!(r.board().state(), State::Ready);
}

#[test]
fn uploadbof_replies_at_the_end_and_holds_up_what_follows() {
    for command in ["uploadbof", "saveremote"] {
        let mut r = joined(Speaks::V5, &[]);
        let asked = order(&mut r, &format!("?{command}[3] 7146 new.bof\n?listbof[4]\n"));
        assert_eq!(asked, (String::new(), vec![Output::Listen(7146)]));
        r.connect(ClientId(2), "other", at(1));
        outputs(&mut r);
        r.receive(ClientId(2), b"?watchdog\n", at(1));
        assert_eq!(outputs(&mut r).0, "!watchdog ok\n", "others are served");
        assert_eq!(send(&mut r, &bof(), 50).0, format!("!{command}[3] ok\n"));
        assert_eq!(r.deadlines().0, Some(at(4).mono));
        r.tick(at(4));
        assert_eq!(outputs(&mut r).0, "#listbof[4] n.bof\n#listbof[4] new.bof\n!listbof[4] ok 2\n");
        assert!(ask(&mut r, "?progdev new.bof\n", 5).contains("!progdev ok\n"));
        assert!(ask(&mut r, "?delbof new.bof\n", 5).contains("!delbof ok\n"));
        assert!(r.board_mut().catalogue().names().eq(["n.bof"]));
    }
}

#[test]
fn a_bitstream_is_mapped_by_requests() {
    let mut r = joined(Speaks::V4, &[]);
    assert!(order(&mut r, "?uploadbin 7146 4\n").0.ends_with("#fpga down\n"));
    r.upload_listening(Ok(7146), at(2));
    // The length ends it: the connection is still open.
    r.upload_bytes(b"BITS and more", at(3));
    let (text, orders) = outputs(&mut r);
    assert_eq!(
        (text.as_str(), orders),
        ("#fpga loaded\n#fpga mapped\n!uploadbin ok\n", vec![Output::StopUpload])
    );
    let text = ask(&mut r, "?register a 0x10 8\n?read a 0 4\n?finalise\n?read a 0 4\n", 4);
    assert!(text.starts_with("!register ok\n#log error "), "{text}");
    assert!(text.ends_with("!read fail\n#fpga ready\n!finalise ok\n!read ok \\0\\0\\0\\0\n"), "{text}");
}

#[test]
fn a_free_port_is_told() {
    let mut r = joined(Speaks::V5, &[]);
    assert_eq!(order(&mut r, "?upload[1] 0\n").1, [Output::Listen(0)]);
    r.upload_listening(Ok(40_000), at(2));
    assert_eq!(outputs(&mut r).0, "#upload[1] 40000\n!upload[1] ok\n");
    r.upload_closed(Ok(()), at(3));
    assert!(outputs(&mut r).0.starts_with("#log error "), "nothing came");
    ask(&mut r, "?uploadbof[2] 0 x.bof\n", 4);
    r.upload_listening(Ok(40_001), at(5));
    assert_eq!(outputs(&mut r).0, "#uploadbof[2] 40001\n");
}

#[test]
fn arguments_are_checked() {
    let mut r = joined(Speaks::V4, &[]);
    let table = [
        ("upload 80", "invalid"),
        ("upload 65536", "invalid"),
        ("upload 7146 4294967295", "fail"),
        ("upload zzz", "fail"),
        ("uploadbof 7146", "invalid"),
        ("uploadbof 7146 a/b.bof", "fail"),
        ("uploadbof 7146 .hidden", "fail"),
        ("uploadbof 7146 \\@", "fail"),
    ];
    for (request, word) in table {
        let (text, orders) = order(&mut r, &format!("?{request}\n"));
        assert!(text.ends_with(&format!(" {word}\n")) && orders.is_empty(), "{request}: {text}");
    }
    assert_eq!(r.board().state(), State::Ready, "nothing has happened");
    order(&mut r, "?upload\n");
    assert!(order(&mut r, "?uploadbin\n").0.ends_with("!uploadbin fail\n"), "one at a time");
}

#[test]
fn what_fails_is_in_the_log_and_in_the_reply_that_is_owed() {
    type Act = fn(&mut Roach);
    let fail: &[(&str, Act)] = &[
        ("unable to listen", |r| r.upload_listening(Err("in use".into()), at(2))),
        ("not a gateware image", |r| transfer(r, b"rubbish", 3)),
        ("broke off: reset", |r| {
            r.upload_listening(Ok(7146), at(2));
            r.upload_closed(Err("reset".into()), at(3));
        }),
        ("did not end in time", |r| r.tick(at(31_000))),
        ("ended after 3 of 90 bytes", |r| transfer(r, b"abc", 3)),
    ];
    for (why, act) in fail {
        let length = if why.contains("90") { 90 } else { 0 };
        let escaped = why.replace(' ', "\\_");
        for (request, reply) in [
            (format!("?upload 7146 {length}\n"), ""),
            (format!("?uploadbof 7146 x {length}\n"), "!uploadbof fail\n"),
        ] {
            let mut r = joined(Speaks::V4, &[]);
            order(&mut r, &request);
            act(&mut r);
            r.tick(at(31_001));
            let said = outputs(&mut r).0;
            assert!(said.starts_with("#log error ") && said.contains(&escaped), "{request}{said}");
            assert!(said.ends_with(reply), "{request}{said}");
            assert!(r.upload.is_none());
        }
    }
}

#[test]
fn nobody_waits_for_the_upload_of_a_client_that_left() {
    let mut r = joined(Speaks::V4, &[]);
    order(&mut r, "?uploadbof 7146 x.bof\n");
    r.closed(ME);
    assert_eq!(outputs(&mut r).1, [Output::StopUpload]);
    assert_eq!(r.deadlines().0, None);
    // The reply to `upload` is given: the image comes all the same.
    let mut r = joined(Speaks::V4, &[]);
    order(&mut r, "?upload\n");
    r.closed(ME);
    send(&mut r, &bof(), 9);
    assert_eq!(r.board().image(), Some("upload.bof"));
}
