//! The shell and the status screen as somebody uses them: on a terminal, against simulated nodes; scripts; and, in tmux, the
//! screens that are kept in `docs/screens` (written again with `APPLIANCE_WRITE_SCREENS=1`).

mod leftovers;

use leftovers::Place;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A terminal of the smallest size there is.
const COLUMNS: u16 = 80;
const LINES: u16 = 24;
/// One step, whatever else the machine does.
const WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_appliance"))
}

// ---------------------------------------------------------------------- nodes

fn example_acf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/archon.example.acf")
}

/// A node; ended in order when dropped.
struct Node {
    child: Child,
    json: String,
    rpc: String,
    log: PathBuf,
}

impl Node {
    fn start(place: &Place, name: &str, words: &[&str]) -> Node {
        let faces =
            ["--announce", "--set", "listen.json=tcp://127.0.0.1:0", "--set", "listen.rpc=tcp://127.0.0.1:0"];
        let record = format!("record.dir={}", place.out.join(name).display());
        let words = [words, &faces[..], &["--set", &record]].concat();
        let (child, line, log) = Node::ready(place, name, &words);
        let at = |face: &str| {
            let found = line.split_whitespace().find_map(|w| w.strip_prefix(face)?.strip_prefix('='));
            found.unwrap_or_else(|| {
                panic!("no {face} in '{line}': {}", fs::read_to_string(&log).unwrap_or_default())
            })
        };
        Node { json: at("json").to_owned(), rpc: at("rpc").to_owned(), log: log.clone(), child }
    }

    /// A process, what it says when it is ready, and its log.
    fn ready(place: &Place, name: &str, words: &[&str]) -> (Child, String, PathBuf) {
        let log = place.out.join(format!("{name}.log"));
        let mut child = place
            .command(binary())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its ready line");
        (child, line, log)
    }

    /// A controller; its address is `json`.
    fn controller(place: &Place) -> Node {
        let acf = example_acf();
        let words = ["sim", "archon", "--port", "0", "--announce", "--acf", acf.to_str().expect("UTF-8")];
        let (child, line, log) = Node::ready(place, "controller", &words);
        let address = line.split_whitespace().last().unwrap_or_default().to_owned();
        Node { json: address, rpc: String::new(), log, child }
    }

    fn player(place: &Place) -> Node {
        Node::player_with(place, &[])
    }

    /// A player with more settings.
    fn player_with(place: &Place, settings: &[&str]) -> Node {
        let root = place.out.display().to_string();
        let data = format!("player.data_root={root}");
        let mut words = vec!["--role", "player"];
        for setting in ["player.bank=BANKA", "player.simulate=true", &data].iter().chain(settings) {
            words.extend(["--set", setting]);
        }
        Node::start(place, "player", &words)
    }

    /// A CCD host with a simulated controller, and with one that is not there.
    fn ccd_host(place: &Place, controller: &Node) -> Node {
        fs::create_dir_all(place.out.join("images")).expect("a directory");
        let file = place.out.join("archon.yml");
        let one = |name: &str, port: &str| {
            format!(
                "  {name}:\n    host: 127.0.0.1\n    port: {port}\n    detectors:\n      b{name}: {{taps: 2}}\n"
            )
        };
        let port = controller.json.rsplit(':').next().expect("an address");
        let text = format!(
            "controllers:\n{}{}archon:\n  acf_file: {}\nfiles:\n  data_dir: {}\n",
            one("sp1", port),
            one("sp2", "1"),
            example_acf().display(),
            place.out.join("images").display()
        );
        fs::write(&file, text).expect("written");
        let setting = format!("archon.config={}", file.display());
        Node::start(place, "archon", &["--role", "archon", "--set", &setting])
    }

    /// A proxy for a player, and for one that is not there.
    fn proxy(place: &Place, player: &Node) -> Node {
        let file = place.out.join("dealer.toml");
        // Port 1 of the loopback network: nobody listens there.
        let text = format!(
            "role = \"dealer-proxy\"\n[dealer]\nplayers = {{ BANKA = \"{}\", BANKB = \"tcp://127.0.0.1:1\" }}\n",
            player.json
        );
        fs::write(&file, text).expect("written");
        Node::start(place, "dealer", &["--config", file.to_str().expect("UTF-8")])
    }

    fn stop(mut self) {
        kill(pid(&self.child), Signal::SIGTERM).expect("it runs");
        let until = Instant::now() + WITHIN;
        while self.child.try_wait().expect("a child").is_none() {
            assert!(
                Instant::now() < until,
                "it does not end: {}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only node of a place ends, and nothing of it stays.
fn nothing_is_left(place: &Place, player: Node) {
    let log = player.log.clone();
    player.stop();
    let left = place.left(&[log]);
    assert!(left.is_empty(), "left behind: {left:#?}");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
}

// ---------------------------------------------------------------------- a terminal

/// A program on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    output: Receiver<Vec<u8>>,
    said: String,
}

impl Terminal {
    fn run(place: &Place, words: &[&str]) -> Terminal {
        Terminal::of(place, binary(), words)
    }

    fn of(place: &Place, program: &Path, words: &[&str]) -> Terminal {
        let size = Winsize { ws_row: LINES, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo-terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        // In charge of its terminal, as a login shell would have it: keys become signals.
        let child = place
            .command(Path::new("setsid"))
            .arg("--ctty")
            .arg(program)
            .args(words)
            .env("XDG_STATE_HOME", &place.out)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the binary starts");
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().expect("a descriptor");
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keys, output, said: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until this has been said; what came up to there is gone then.
    fn hears(&mut self, wanted: &str) -> String {
        let until = Instant::now() + WITHIN;
        loop {
            if let Some(at) = self.said.find(wanted) {
                let rest = self.said.split_off(at + wanted.len());
                return std::mem::replace(&mut self.said, rest);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("'{wanted}' was not said:\n{}", self.said),
            }
        }
    }

    /// A line, and what is said until the next prompt.
    fn line(&mut self, line: &str) -> String {
        self.press(&format!("{line}\r"));
        self.hears("\n");
        self.hears("bank> ")
    }

    fn ends(mut self) {
        let until = Instant::now() + WITHIN;
        loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => return assert!(status.success(), "{status}: {}", self.said),
                None => assert!(Instant::now() < until, "it does not end: {}", self.said),
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A start second as Python writes it, so many seconds from now.
fn in_seconds(ahead: u64) -> String {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + ahead;
    let utc: appliance::units::Utc =
        appliance::units::Utc(i64::try_from(unix).expect("a time") * 1_000_000_000);
    // 2026-11-21 17:05:09.000000
    let numbers = utc.to_string().replace(['-', ' ', ':', '.'], ",");
    let numbers: Vec<i64> = numbers.split(',').filter_map(|n| n.parse().ok()).take(6).collect();
    format!("{numbers:?}")
}

#[test]
fn a_player_is_operated_on_a_terminal() {
    let place = Place::new();
    let player = Node::player(&place);
    for target in [&player.json, &player.rpc] {
        let mut shell = Terminal::run(&place, &["shell", target]);
        shell.hears("methods in bank");
        shell.hears("bank> ");
        // Tab completes the method, and the mode as far as it can, with a list of the modes there are.
        shell.press("set_mod\t M\t");
        shell.hears("MODE2");
        shell.hears("bank> set_mode MODE");
        shell.press("\u{3}");
        shell.hears("\n");
        shell.hears("bank> ");
        assert!(shell.line("set_mode MODE1 force=True").contains("ok: New mode MODE1 set!"));
        shell.press("set_param exp\t0.5\r");
        shell.hears("True");
        shell.hears("bank> ");
        assert!(shell.line("bank.get_param('exposure')").contains("0.5"));
        let help = shell.line("help set_mode");
        assert!(help.contains("MHz, default None") && help.contains("Class job"), "{help}");
        assert!(shell.line("help scan_length").contains("in seconds"));
        let refused = shell.line("set_mode NOPE");
        assert!(refused.contains("FAILED: Mode NOPE is not supported."), "{refused}");
        let wrong = shell.line("set_mode(1, 2, 3, 4)");
        assert!(wrong.contains("TypeError (invalid)") && wrong.contains("`help set_mode`"), "{wrong}");
        let named = shell.line("set_param exposure 0.5");
        assert!(named.contains("set_param takes NAME=VALUE"), "{named}");
        assert!(shell.line("set_moode").contains("there is no 'set_moode'"));
        shell.press("\u{4}");
        shell.ends();
    }
    player.stop();
}

#[test]
fn waiting_is_given_up_and_history_is_kept() {
    let place = Place::new();
    let player = Node::player(&place);
    let mut shell = Terminal::run(&place, &["shell", &player.json]);
    shell.hears("bank> ");
    assert!(shell.line("set_mode MODE1").contains("ok:"));
    // The key reaches the program as a signal while a call runs, because the shell is in charge of its terminal.
    waits_for_start(&place, &mut shell);
    shell.press("\u{3}");
    let given_up = shell.hears("bank> ");
    assert!(given_up.contains("no longer waiting for the answer to bank.start"), "{given_up}");
    assert!(given_up.contains("may still be at work"), "{given_up}");
    let stopped = shell.line("stop");
    assert!(stopped.contains("ok:"), "{stopped}");
    shell.press("quit\r");
    shell.ends();

    let mut again = Terminal::run(&place, &["shell", &player.json]);
    again.hears("bank> ");
    again.press("\u{1b}[A\u{1b}[A");
    again.hears("stop");
    again.press("\u{3}");
    again.hears("\n");
    again.hears("bank> ");
    again.press("\u{4}");
    again.ends();
    nothing_is_left(&place, player);
}

/// A call that takes two minutes if nobody stops it, begun at the node.
fn waits_for_start(place: &Place, shell: &mut Terminal) {
    let log = || fs::read_to_string(place.out.join("player/record.jsonl")).unwrap_or_default();
    let begun = || log().matches("bank.start").count();
    let before = begun();
    shell.press(&format!("start {}\r", in_seconds(120)));
    shell.hears("\n");
    let until = Instant::now() + WITHIN;
    while begun() == before {
        assert!(Instant::now() < until, "the call has not come: {}", log());
        std::thread::sleep(LOOK_EVERY);
    }
}

#[test]
fn what_is_typed_during_a_call_is_the_next_lines() {
    let place = Place::new();
    let player = Node::player(&place);
    let mut shell = Terminal::run(&place, &["shell", &player.rpc]);
    shell.hears("bank> ");
    assert!(shell.line("set_mode MODE1").contains("ok:"));
    waits_for_start(&place, &mut shell);
    // Two lines and the beginning of a third, in one go.
    shell.press("help prepare\rhelp stop\rget_mo");
    shell.hears("get_mo");
    let stopped = script(&place, &["call", &player.json, "bank.stop"], "");
    assert!(stopped.status.success(), "{stopped:?}");
    shell.hears("cancelled by stop()");
    shell.hears("bank> ");
    shell.hears("bank.prepare(dry_run=False)");
    shell.hears("bank.stop()");
    shell.hears("get_mo");
    shell.press("de\r");
    shell.hears("MODE1");
    shell.hears("bank> ");
    shell.press("\u{4}");
    shell.ends();
    nothing_is_left(&place, player);
}

// ---------------------------------------------------------------------- scripts and tables

fn script(place: &Place, words: &[&str], text: &str) -> Output {
    let mut child = place
        .command(binary())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_script_stops_at_the_first_call_that_fails() {
    let place = Place::new();
    let player = Node::player(&place);
    let lines = "# a remark\nset_mode MODE1\nset_mode NOPE\nget_mode\n";
    let stopped = script(&place, &["shell", &player.rpc], lines);
    assert_eq!(
        (stopped.status.code(), text(&stopped.stdout).as_str()),
        (Some(1), "ok: New mode MODE1 set!\n")
    );
    assert_eq!(text(&stopped.stderr), "line 3: set_mode NOPE: FAILED: Mode NOPE is not supported.\n");
    let all = script(&place, &["shell", &player.json, "--keep-going"], lines);
    assert_eq!(all.status.code(), Some(1));
    assert!(text(&all.stdout).ends_with("MODE1\n"), "{}", text(&all.stdout));
    let explained = script(&place, &["call", &player.json, "bank.set_mode", "--describe"], "");
    assert!(explained.status.success(), "{explained:?}");
    assert!(text(&explained.stdout).contains("bandwidth  any, MHz, default None"), "{explained:?}");
    let good = script(&place, &["shell", &player.json, "--use", "bank.roach"], "listdev\n");
    assert!(good.status.success() && text(&good.stdout).contains("sys_scratchpad"), "{good:?}");
    player.stop();
}

#[test]
fn under_a_lease_commands_and_the_shell_go_on() {
    let place = Place::new();
    let player = Node::player_with(&place, &["listen.lease=required"]);
    for target in [&player.json, &player.rpc] {
        let call = |words: &[&str]| script(&place, &[&["call", target], words].concat(), "");
        let without = call(&["bank.set_mode", "MODE1"]);
        assert_eq!(without.status.code(), Some(1));
        assert!(text(&without.stderr).contains("--lease TOKEN"), "{}", text(&without.stderr));
        let granted = text(&call(&["rpc.acquire", "ann", "60"]).stdout);
        let token = granted.split('"').nth(3).expect("a token").to_owned();
        let with = call(&["bank.set_mode", "MODE1", "force=True", "--lease", &token]);
        assert_eq!(text(&with.stdout), "[true, \"New mode MODE1 set!\"]\n", "{}", text(&with.stderr));
        let mut command = place.command(binary());
        command.args(["call", target, "bank.set_param", "exposure=0.5"]).env("APPLIANCE_LEASE", &token);
        let by_variable = command.output().expect("it runs");
        assert!(by_variable.status.success(), "{}", text(&by_variable.stderr));
        let until = text(&call(&["rpc.lease"]).stdout);
        assert!(
            granted.contains(until.rsplit('"').nth(1).expect("a time")),
            "not prolonged: {granted} {until}"
        );
        assert!(call(&["rpc.release", &token]).status.success());
        // A token that is of no use any more keeps nobody from looking and from stop.
        let stale = |method| call(&[method, "--lease", &token]);
        assert!(stale("bank.get_mode").status.success());
        assert!(text(&stale("bank.stop").stdout).contains("No scan running!"), "{:?}", stale("bank.stop"));
        assert_eq!(stale("bank.prepare").status.code(), Some(1));
    }
    for target in [&player.json, &player.rpc] {
        let shell = script(&place, &["shell", target, "--who", "ann"], "set_param exposure=1.0\n");
        assert!(text(&shell.stderr).contains("`rpc.acquire NAME SECONDS` here"), "{shell:?}");
        let lines = "rpc.acquire ann 60\nset_param exposure=1.0\nrpc.clients\nset_mode MODE1 force=True\n";
        let shell = script(&place, &["shell", target, "--who", "ann"], lines);
        assert!(shell.status.success(), "{}", text(&shell.stderr));
        let said = text(&shell.stdout);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let named = said.lines().filter(|line| words(line) == ["who", "ann"]).count();
        assert!(named >= 2, "the holder, and among the clients: {said}");
        let again = script(&place, &["shell", target], "rpc.acquire ben 60\n");
        assert!(text(&again.stderr).contains("control is with ann"), "{again:?}");
        // Whose it was is known; a token is no secret.
        let record = fs::read_to_string(place.out.join("player/record.jsonl")).expect("a record");
        assert!(record.contains("\"who\":\"ann\"") || record.contains("\"who\": \"ann\""), "{record}");
        let token = said.lines().find_map(|line| line.strip_prefix("token")).expect("a token").trim();
        assert_eq!(text(&script(&place, &["call", target, "rpc.release", token], "").stdout), "true\n");
    }
    nothing_is_left(&place, player);
}

#[test]
fn a_call_tells_by_its_exit_status_and_its_errors_what_to_do() {
    let place = Place::new();
    let player = Node::player(&place);
    let proxy = Node::proxy(&place, &player);
    let call = |target: &str, words: &[&str]| script(&place, &[&["call", target], words].concat(), "");
    let refused = call(&player.json, &["bank.set_mode", "NOPE"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stdout).starts_with("[false, "), "{refused:?}");
    assert!(call(&player.json, &["bank.set_mode", "MODE1", "force=True"]).status.success());
    let idle = call(&player.json, &["bank.scan_status"]);
    assert!(idle.status.success() && text(&idle.stdout).starts_with("[false, \"NETSTAT="), "{idle:?}");
    for target in [&player.json, &player.rpc] {
        let misspelt = call(target, &["bank.set_modes", "MODE1"]);
        assert_eq!(misspelt.status.code(), Some(1));
        let said = text(&misspelt.stderr);
        assert!(said.contains("there is no 'bank.set_modes'; there is bank.set_mode,"), "{said}");
    }
    let nowhere = text(&call(&player.json, &["bnk.set_mode", "--describe"]).stderr);
    assert!(nowhere.contains("there is no 'bnk.set_mode'; there is bank.set_mode"), "{nowhere}");
    let wrong = text(&call(&player.json, &["bank.set_mode", "1", "2", "3", "4"]).stderr);
    assert!(wrong.contains("TypeError (invalid)") && wrong.contains("--describe"), "{wrong}");
    // BANKB is not there.
    let some = call(&proxy.json, &["dealer.get_mode", "players=BANKB"]);
    assert!(some.status.success(), "an answer that is no verdict: {some:?}");
    let some = call(&proxy.json, &["dealer.set_param", "exposure=0.5"]);
    assert_eq!(some.status.code(), Some(1), "{some:?}");
    proxy.stop();
    player.stop();
}

#[test]
fn status_is_one_table_and_says_who_is_lost() {
    let place = Place::new();
    let player = Node::player(&place);
    let proxy = Node::proxy(&place, &player);
    let status = |target: &str| script(&place, &["status", target], "");
    let one = status(&player.rpc);
    assert!(one.status.success(), "{}", text(&one.stderr));
    assert!(text(&one.stdout).lines().nth(1).is_some_and(|l| l.starts_with("BANKA NO_MODE")), "{one:?}");
    let until = Instant::now() + WITHIN;
    let both = loop {
        let both = status(&proxy.json);
        // The link to a player takes a moment.
        if text(&both.stdout).contains("BANKA NO_MODE") || Instant::now() > until {
            break both;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let table = text(&both.stdout);
    assert_eq!(both.status.code(), Some(1), "{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("BANKA NO_MODE") && lines[2].starts_with("BANKB NO ANSWER"), "{table}");
    let only = |bank: &str| script(&place, &["status", &proxy.json, "--bank", bank], "");
    let chosen = only("banka");
    assert!(chosen.status.success(), "{chosen:?}");
    let rows: Vec<String> = text(&chosen.stdout).lines().skip(1).map(str::to_owned).collect();
    assert!(rows[0].starts_with("BANKA NO_MODE") && !rows.iter().any(|r| r.starts_with("BANKB")), "{rows:?}");
    let absent = only("BANKX");
    assert_eq!(absent.status.code(), Some(1));
    assert!(text(&absent.stdout).contains("not known here; there are: BANKA, BANKB"), "{absent:?}");
    let taken = script(&place, &["call", &proxy.json, "rpc.acquire", "ann", "600"], "");
    assert!(taken.status.success(), "{taken:?}");
    assert!(
        text(&only("BANKA").stdout).lines().nth(1).is_some_and(|l| l.contains(" ann")),
        "{:?}",
        only("BANKA")
    );
    let nobody = status("tcp://127.0.0.1:1");
    assert!(nobody.status.code() == Some(1) && text(&nobody.stdout).contains("cannot connect"), "{nobody:?}");
    proxy.stop();
    player.stop();
}

#[test]
fn the_controllers_of_a_ccd_host_are_rows_also_when_one_is_not_there() {
    let place = Place::new();
    let controller = Node::controller(&place);
    let host = Node::ccd_host(&place, &controller);
    let until = Instant::now() + WITHIN;
    let shown = loop {
        let shown = script(&place, &["status", &host.rpc], "");
        // What the controller is is read when the daemon has found it.
        if text(&shown.stdout).contains("sp1        IDLE") || Instant::now() > until {
            break shown;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let table = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(1), "one of them does not answer: {table}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("CONTROLLER STATE"), "{table}");
    assert!(
        lines[1].starts_with("sp1        IDLE") && lines[2].starts_with("sp2        NO ANSWER"),
        "{table}"
    );
    let keys = script(&place, &["status", "--keys", &host.json], "");
    assert!(text(&keys.stdout).lines().any(|l| l.trim_start().starts_with("backplane_temp : ")), "{keys:?}");

    let mut screen = Terminal::run(&place, &["status", "--watch", &host.json]);
    // A screen is drawn word by word.
    screen.hears("CONTROLLER");
    screen.hears("sp1");
    screen.hears("ANSWER");
    screen.press("\r");
    screen.hears("fantach");
    screen.press("\u{7f}j\r");
    screen.hears("configuration");
    screen.press("q");
    screen.ends();
    host.stop();
    controller.stop();
}

#[test]
fn dibas_status_shows_the_status_keys() {
    let place = Place::new();
    let player = Node::player(&place);
    let none = script(&place, &["status", "--keys", &player.json], "");
    assert!(text(&none.stderr).contains("BANKA: no status keys, NO_MODE"), "{none:?}");
    assert!(script(&place, &["call", &player.json, "bank.set_mode", "MODE1"], "").status.success());
    let set =
        script(&place, &["call", &player.json, "bank.set_status", "ZZKEY=1", "_HIDDEN=2", "AAKEY=3"], "");
    assert!(set.status.success(), "{set:?}");
    let keys = |options: &[&str]| {
        let done = script(&place, &[&["status", "--keys", &player.json], options].concat(), "");
        assert!(done.status.success(), "{done:?}");
        text(&done.stdout)
    };
    let at =
        |text: &str, key: &str| text.find(&format!("{key:>8} : ")).unwrap_or_else(|| panic!("{key}: {text}"));
    let sorted = keys(&[]);
    assert!(at(&sorted, "AAKEY") < at(&sorted, "ZZKEY") && !sorted.contains("_HIDDEN"), "{sorted}");
    let own = keys(&["-s", "-a"]);
    assert!(at(&own, "ZZKEY") < at(&own, "_HIDDEN") && at(&own, "_HIDDEN") < at(&own, "AAKEY"), "{own}");

    let link = place.path().join("dibas_status");
    std::os::unix::fs::symlink(binary(), &link).expect("a link");
    let mut screen = Terminal::of(&place, &link, &["-a", &player.json]);
    screen.hears("AAKEY");
    screen.press("q");
    screen.ends();
    nothing_is_left(&place, player);
}

// ---------------------------------------------------------------------- screens

/// A tmux server of its own.
struct Tmux<'a> {
    place: &'a Place,
    /// Its socket, its own: a server that was told to end is still there for a moment.
    socket: &'static str,
}

impl<'a> Tmux<'a> {
    fn run(place: &'a Place, socket: &'static str, words: &[&str]) -> Tmux<'a> {
        let tmux = Tmux { place, socket };
        let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
        let command = format!("exec '{}' {}", binary().display(), quoted.join(" "));
        let size = [COLUMNS.to_string(), LINES.to_string()];
        tmux.order(&["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], &command]);
        tmux
    }

    fn order(&self, words: &[&str]) -> String {
        let done = self.command().args(words).output().expect("tmux runs");
        assert!(done.status.success(), "tmux {words:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    fn command(&self) -> Command {
        let mut command = self.place.command(Path::new("tmux"));
        command.args(["-S", self.place.path().join(self.socket).to_str().expect("UTF-8")]);
        command.env("XDG_STATE_HOME", &self.place.out).env("NO_COLOR", "1").env_remove("TMUX");
        command
    }

    fn press(&self, keys: &[&str]) {
        self.order(&[&["send-keys"], keys].concat());
    }

    /// The screen, as soon as all of this is on it.
    fn shows(&self, wanted: &[&str]) -> String {
        let until = Instant::now() + WITHIN;
        loop {
            let screen = self.order(&["capture-pane", "-p"]);
            if wanted.iter().all(|w| screen.contains(w)) {
                return screen;
            }
            assert!(Instant::now() < until, "{wanted:?} is not shown:\n{screen}");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

/// Compares with what is in `docs/screens`, where these words must be as well; or writes it there.
fn documented(name: &str, screen: &str, words: &[&str]) {
    assert!(screen.lines().all(|l| l.chars().count() <= usize::from(COLUMNS)), "{screen}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens").join(name);
    if std::env::var_os("APPLIANCE_WRITE_SCREENS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, format!("{}\n", screen.trim_end())).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for word in words {
        assert!(
            kept.contains(word),
            "{word} is not in {}; write it with APPLIANCE_WRITE_SCREENS=1",
            path.display()
        );
    }
}

#[test]
fn the_screens_in_docs_are_those_of_a_real_terminal() {
    if Command::new("tmux").arg("-V").output().is_err() {
        return println!("SKIPPED: no tmux (apt-get install tmux)");
    }
    let place = Place::new();
    let player = Node::player(&place);
    let proxy = Node::proxy(&place, &player);
    shell_screen(&place, &proxy);
    status_screens(&place, &proxy);
    old_name(&place, &proxy);
    proxy.stop();
    player.stop();
}

fn shell_screen(place: &Place, proxy: &Node) {
    let shell = Tmux::run(place, "tmux-shell", &["shell", &proxy.json]);
    shell.shows(&["dealer>"]);
    shell.press(&["set_mode MODE", "Tab"]);
    let modes = ["MODE1", "MODE2"];
    shell.shows(&modes);
    shell.press(&["1", "Enter"]);
    let answered = ["BANKA  ok: New mode MODE1 set!", "BANKB  FAILED: Lost connection"];
    shell.shows(&answered);
    shell.press(&["help BANKA.set_cov_mode", "Enter"]);
    let helped = ["BANKA.set_cov_mode(n)", "n  int, required: 1 HI"];
    let screen = shell.shows(&helped);
    documented("shell.txt", &screen, &[&modes[..], &answered, &helped].concat());
    shell.press(&["C-d", ""]);
}

fn status_screens(place: &Place, proxy: &Node) {
    let status = Tmux::run(place, "tmux-status", &["status", "--watch", &proxy.json]);
    let table = [
        "BANK ",
        "STATE",
        "LEFT",
        "NETSTAT",
        "DISKSTAT",
        "DROPS",
        "LEASE",
        "LAST ERROR",
        "> BANKA READY",
        "BANKB NO ANSWER",
    ];
    let screen = status.shows(&table);
    documented("status-watch.txt", &screen, &table);
    status.press(&["j"]);
    status.shows(&["> BANKB NO ANSWER", "Connection refused"]);
    status.press(&["k", "Enter"]);
    let detail = ["STATE READY", "MODE MODE1", " BACKEND : VEGAS", "BANKNAM : BANKA", "Esc: back"];
    let screen = status.shows(&detail);
    documented("status-detail.txt", &screen, &detail);
    status.press(&["q"]);
}

/// A link with an old name is the command it was.
fn old_name(place: &Place, proxy: &Node) {
    let link = place.path().join("dealer");
    if !link.exists() {
        std::os::unix::fs::symlink(binary(), &link).expect("a link");
    }
    let mut shell = place
        .command(&link)
        .arg(&proxy.json)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the link starts");
    shell.stdin.take().expect("piped").write_all(b"list_available_players\n").expect("it reads");
    let done = shell.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "BANKA  BANKB\n"));
}
