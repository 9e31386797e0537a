//! A whole spectrometer on one laptop: eight simulated players side by side, without root, each with a mode, a scan and a
//! file of its own.

mod leftovers;

use appliance::cli::client::Client;
use appliance::cli::target::Target;
use appliance::config::dibas::Dibas;
use appliance::daq::sdfits::read::Recording;
use appliance::value::Value;
use appliance::{daq, player};
use leftovers::Place;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, chown};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const BANKS: [&str; 8] = ["BANKA", "BANKB", "BANKC", "BANKD", "BANKE", "BANKF", "BANKG", "BANKH"];
/// All of it, from the first start to the last end.
const ALL_WITHIN: Duration = Duration::from_secs(60);
/// One step of a player, whatever else the machine does.
const STEP_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SCAN_LENGTH_S: f64 = 2.0;
const EXPOSURE_S: f64 = 0.5;
/// Eight times a small part of the data rate.
const RATE_DIVISOR: f64 = 64.0;

#[test]
fn eight_banks_observe_side_by_side_without_root() {
    let place = Place::new();
    let stage = Stage::set(&place);
    let began = Instant::now();
    let logs: Vec<PathBuf> = std::thread::scope(|scope| {
        let banks: Vec<_> = BANKS.iter().map(|bank| scope.spawn(|| observe(&place, &stage, bank))).collect();
        banks.into_iter().map(|bank| bank.join().expect("this bank failed; why is above")).collect()
    });
    let took = began.elapsed();
    println!("eight banks: {:.1} s, as {}", took.as_secs_f64(), stage.user_text());
    assert!(took < ALL_WITHIN, "{took:?}");
    let left = place.left(&logs);
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// One bank from its start to its end; gives its log.
fn observe(place: &Place, stage: &Stage, bank: &str) -> PathBuf {
    let player = Player::start(place, stage, bank);
    player.is_unprivileged();
    let mut client = Client::connect(&player.target(), STEP_WITHIN).expect("it answers");
    let mut call = |method: &str, args: Vec<Value>, kwargs: &[(&str, Value)]| {
        let kwargs = kwargs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let answer = client.call("bank", method, args, kwargs);
        answer.unwrap_or_else(|e| panic!("{bank}: {method}: {}\nits log:\n{}", e.message, player.log_text()))
    };
    player
        .wait(|| call("player_state", vec![], &[]).get("roach").and_then(Value::as_str) == Some("connected"));
    let succeeded =
        |answer: &Value| matches!(answer, Value::List(l) if l.first() == Some(&Value::Bool(true)));
    let answer = call("set_mode", vec!["MODE1".into()], &[]);
    assert!(succeeded(&answer), "{bank}: set_mode: {answer}");
    call("set_param", vec![], &[("scan_length", SCAN_LENGTH_S.into()), ("exposure", EXPOSURE_S.into())]);
    call("prepare", vec![], &[]);
    let answer = call("start", vec![], &[]);
    assert!(succeeded(&answer), "{bank}: start: {answer}");
    player
        .wait(|| call("player_state", vec![], &[]).get("state").and_then(Value::as_str) != Some("SCANNING"));
    let state = call("player_state", vec![], &[]);
    let ended = state.get("last_scan").and_then(|scan| scan.get("ended")).map(Value::to_string);
    assert_eq!(ended.as_deref(), Some("complete"), "{bank}: {state}\nits log:\n{}", player.log_text());
    every_key_is_documented(stage, &call("get_status", vec![], &[]));
    player.wait(|| player.file().is_some());
    let file = player.file().expect("seen just now");
    let log = player.log.clone();
    player.stop();
    the_scan_is_whole(bank, &file);
    log
}

fn the_scan_is_whole(bank: &str, file: &Path) {
    let recording = Recording::open(file).expect("one of ours");
    let number = |keyword| recording.number(keyword).expect(keyword);
    let total: f64 = recording.numbers("EXPOSURE").expect("a column").iter().sum();
    let spectrum_s = number("HWEXPOSR") * RATE_DIVISOR;
    assert_eq!(recording.rows(), (SCAN_LENGTH_S / number("REQEXPO")).ceil() as usize, "{bank}");
    assert!((total - SCAN_LENGTH_S).abs() <= spectrum_s, "{bank}: {total} s, one spectrum is {spectrum_s} s");
    assert_eq!(recording.text("BANKNAM").as_deref(), Some(bank), "its own file");
    let lost: f64 = recording.numbers("NLOST").expect("a column").iter().sum();
    assert_eq!(lost, 0.0, "{bank}: packets of one are no business of another");
}

/// KEYS.md says what every key is that is there after a scan; the mode's own (`shmkeys`) are the site's business.
fn every_key_is_documented(stage: &Stage, status: &Value) {
    let Value::Map(pairs) = status else { panic!("get_status gives an object: {status}") };
    let dibas = Dibas::load(&fs::read_to_string(&stage.dibas_conf).expect("written"), "site").expect("sound");
    let site_keys = &dibas.mode("MODE1").expect("a mode").shm_keys;
    let groups = player::keys::GROUPS.iter().chain([&daq::keys::GROUP]);
    let documented: Vec<_> = groups.flat_map(|group| group.keys).collect();
    let unknown: Vec<_> = (pairs.iter().map(|(key, _)| key))
        .filter(|key| !documented.iter().any(|entry| entry.describes(key)))
        .filter(|key| !site_keys.iter().any(|(site_key, _)| site_key.eq_ignore_ascii_case(key)))
        .collect();
    assert!(unknown.is_empty(), "in status memory, but in no table of keys: {unknown:?}");
}

/// What all eight share: the program, the site's configuration, and a user that is not root.
struct Stage {
    program: PathBuf,
    dibas_conf: PathBuf,
    user: Option<User>,
}

impl Stage {
    fn set(place: &Place) -> Stage {
        let stage = Stage {
            // The build directory may be for its owner only.
            program: place.path().join("appliance"),
            dibas_conf: place.path().join("dibas.conf"),
            user: another_user(),
        };
        fs::copy(env!("CARGO_BIN_EXE_appliance"), &stage.program).expect("copied");
        fs::write(&stage.dibas_conf, site_configuration()).expect("written");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        stage.hand_over(&place.tmp);
        stage.hand_over(&place.out);
        stage
    }

    fn hand_over(&self, path: &Path) {
        if let Some(user) = &self.user {
            chown(path, Some(user.uid), Some(user.gid)).expect("root may");
        }
    }

    fn user_text(&self) -> String {
        self.user.as_ref().map_or_else(|| format!("uid {}", Uid::current()), |user| user.name.clone())
    }
}

/// Root runs the players as `nobody`; anybody else as what they are.
fn another_user() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    Some(
        nobody(&fs::read_to_string("/etc/passwd").expect("a user database"))
            .expect("every system has nobody"),
    )
}

/// Who the players run as.
struct User {
    name: String,
    uid: Uid,
    gid: Gid,
}

/// `nobody:x:65534:65534:...`. Read by ourselves: in a static program the system's lookup may load a module that
/// does not fit, and crash.
fn nobody(passwd: &str) -> Option<User> {
    let fields: Vec<&str> = passwd.lines().find(|l| l.starts_with("nobody:"))?.split(':').collect();
    let number = |i: usize| fields.get(i)?.parse().ok();
    Some(User { name: "nobody".into(), uid: Uid::from_raw(number(2)?), gid: Gid::from_raw(number(3)?) })
}

/// The real eight banks if a site's file is there, else ours eight times.
fn site_configuration() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("APPLIANCE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let site = shared.join("data/dibas/dibas.conf.gb");
    fs::read_to_string(&site).unwrap_or_else(|_| {
        println!("no {} (looked for ../shared/data): eight banks made of our example", site.display());
        example_with_eight_banks(include_str!("../config/dibas.example.conf"))
    })
}

/// `[BANKA]` of the example again for every other bank.
fn example_with_eight_banks(example: &str) -> String {
    let (before, rest) = example.split_once("[BANKA]\n").expect("a bank");
    let (bank, after) = rest.split_at(rest.find("\n[").expect("modes follow"));
    let banks: String = BANKS.iter().map(|name| format!("[{name}]\n{bank}\n")).collect();
    before.replace("players = BANKA", &format!("players = {}", BANKS.join(", "))) + &banks + after
}

#[test]
fn the_example_makes_eight_sound_banks() {
    let text = example_with_eight_banks(include_str!("../config/dibas.example.conf"));
    let dibas = Dibas::load(&text, "generated").expect("sound");
    assert_eq!(dibas.banks.iter().map(|bank| bank.name.as_str()).collect::<Vec<_>>(), BANKS);
    assert!(dibas.banks.iter().all(|bank| bank.usable.is_ok()));
}

/// A player process; killed if the test fails before [`Player::stop`].
struct Player {
    process: Child,
    lines: Receiver<String>,
    out: PathBuf,
    log: PathBuf,
}

impl Player {
    fn start(place: &Place, stage: &Stage, bank: &str) -> Player {
        let out = place.out.join(bank);
        fs::create_dir(&out).expect("fresh");
        stage.hand_over(&out);
        let log = place.out.join(format!("{bank}.log"));
        let set = |key: &str, value: &dyn std::fmt::Display| ["--set".to_owned(), format!("{key}={value}")];
        let mut command = place.command(&stage.program);
        command
            .args(["--role", "player", "--announce"])
            .args(set("player.simulate", &true))
            .args(set("player.bank", &bank))
            .args(set("player.dibas_conf", &stage.dibas_conf.display()))
            .args(set("player.rate_divisor", &RATE_DIVISOR))
            .args(set("player.data_root", &out.display()))
            .args(set("record.dir", &out.join("record").display()))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"));
        if let Some(user) = &stage.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut process = command.spawn().expect("the binary starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        // Ends with the process.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Player { process, lines, out, log }
    }

    /// The JSON address of the `ready` line.
    fn target(&self) -> Target {
        let line = self.lines.recv_timeout(STEP_WITHIN);
        let line =
            line.unwrap_or_else(|e| panic!("the player is not ready: {e}; its log:\n{}", self.log_text()));
        let word = line.split_whitespace().find_map(|word| word.strip_prefix("json="));
        word.unwrap_or_else(|| panic!("no JSON address in '{line}'")).parse().expect("an address")
    }

    /// No user id of the process is root's, and it has no capability.
    fn is_unprivileged(&self) {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&path).expect("it runs");
        let of = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel")
        };
        assert!(of("Uid:").split_whitespace().all(|uid| uid != "0"), "{path}: Uid {}", of("Uid:"));
        assert_eq!(u64::from_str_radix(of("CapEff:").trim(), 16), Ok(0), "{path}: capabilities");
    }

    /// The finished file, if there is one.
    fn file(&self) -> Option<PathBuf> {
        let entries =
            fs::read_dir(&self.out).expect("there").filter_map(|entry| entry.ok().map(|e| e.path()));
        entries.into_iter().find(|path| path.extension().is_some_and(|e| e == "fits"))
    }

    fn wait(&self, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + STEP_WITHIN;
        while !holds() {
            assert!(Instant::now() < until, "waited in vain; its log:\n{}", self.log_text());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end and sees it go; its standard output closes when it does.
    fn stop(mut self) {
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM).expect("it runs");
        loop {
            match self.lines.recv_timeout(STEP_WITHIN) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; its log:\n{}", self.log_text()),
            }
        }
        let status = self.process.wait().expect("reaped");
        assert!(status.success(), "it ended with {status}; its log:\n{}", self.log_text());
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // Nothing to do if it has been reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
