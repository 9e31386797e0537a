//! What a site's programs find when they start, looked at from outside: data buffers, processors, environment.

use super::programs::script;
use super::rig::Rig;
use appliance::shm::databuf::{Family, Kind, Layout, differences};
use appliance::sys::sysv_sem::SysvSem;
use appliance::sys::sysv_shm::SysvShm;
use appliance::value::Value;
use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

/// Keys of this process; their memory is removed at the end.
struct Keys(u32);

impl Keys {
    fn new(n: u32) -> Keys {
        Keys(0x5E00_0000 | (std::process::id() & 0xffff) << 8 | n << 4)
    }

    fn layout(&self, blocks: u32) -> Layout {
        let sizes = [(blocks, 16 << 10, Kind::Gpu), (2, 8 << 10, Kind::Disk)];
        Layout::new("vegas_", Family::Vegas, self.0, &sizes)
    }

    /// The same as the player is told.
    fn setting(&self, blocks: u32) -> PathBuf {
        let sizes = format!("{{blocks={blocks},block_kib=16}},{{blocks=2,block_kib=8,kind='disk'}}");
        format!("[{{program='vegas_',family='vegas',key={},buffers=[{sizes}]}}]", self.0).into()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for key in [self.0, self.0 + 1] {
            if let Ok(shm) = SysvShm::attach(key) {
                let _ = shm.remove();
            }
            if let Ok(Some(set)) = SysvSem::find(key) {
                let _ = set.remove();
            }
        }
    }
}

fn site(rig: &Rig) -> PathBuf {
    let site = rig.dir.path().join("site");
    let exec = site.join("exec/x86_64-linux");
    std::fs::create_dir_all(&exec).expect("created");
    let told = rig.dir.path().join("told").display().to_string();
    script(&exec, "vegas_hpc_server", &format!("echo \"$PWD $*\" > {told}; exec cat"));
    script(&exec, "vegasFitsWriter", "exec cat");
    site
}

fn differs(layout: &Layout) -> Vec<String> {
    differences(layout).expect("looked at")
}

#[test]
fn buffers_are_made_before_a_sites_program_starts_and_never_under_another_one() {
    let mut rig = Rig::start().stopped();
    let (keys, site) = (Keys::new(1), site(&rig));
    let settings = |layout: PathBuf| -> Vec<(&'static str, PathBuf)> {
        vec![
            ("player.daq", "site".into()),
            ("player.dibas_dir", site.clone()),
            ("player.data_buffers", "auto".into()),
            ("player.data_buffer_layouts", layout),
        ]
    };
    let restart = |rig: &mut Rig, layout: PathBuf| {
        let settings = settings(layout);
        let settings: Vec<(&str, &Path)> = settings.iter().map(|(k, v)| (*k, v.as_path())).collect();
        rig.restart_player_with(&settings);
    };
    restart(&mut rig, keys.setting(4));
    assert_eq!(differs(&keys.layout(4)).len(), 2, "not before a mode is set");
    rig.done("set_mode", vec!["MODE1".into()]);
    assert_eq!(differs(&keys.layout(4)), [""; 0]);
    rig.done("check_shared_memory", vec![]);

    // Another program than the player's own uses them, and the layout is to be another one.
    let program = SysvShm::attach(keys.0).expect("there");
    let mut rig = rig.stopped();
    restart(&mut rig, keys.setting(6));
    // The mode has outlived the player.
    let why = rig.refused("set_mode", vec!["MODE1".into(), Value::Null, true.into()]);
    let pid = format!("pid {} (", std::process::id());
    assert!(why.contains("failed at data_buffers") && why.contains(&pid), "{why}");
    assert_eq!((rig.state().name(), differs(&keys.layout(4))), ("NO_MODE".into(), Vec::new()));
    drop(program);
    rig.done("set_mode", vec!["MODE1".into()]);
    assert_eq!(differs(&keys.layout(6)), [""; 0]);

    // Somebody takes one away; it comes back without a mode change.
    SysvShm::attach(keys.0).expect("there").remove().expect("ours");
    let why = rig.refused("check_shared_memory", vec![]);
    assert!(why.contains("data buffer 1") && why.contains("is not there"), "{why}");
    rig.done("reformat_data_buffers", vec!["MODE1".into()]);
    rig.done("check_shared_memory", vec![]);
}

#[test]
fn a_sites_program_is_started_as_the_configuration_says() {
    let mut rig = Rig::start().stopped();
    let site = site(&rig);
    let ours = sched_getaffinity(Pid::from_raw(0)).expect("Linux");
    let mut cpus = (0..1024).filter(|cpu| ours.is_set(*cpu).unwrap_or(false));
    let last = cpus.next_back().expect("we run on some");
    let dir = rig.data().canonicalize().expect("there");
    let given =
        format!("{{cpus=[{last}],flags=['--more','two words'],env={{GAIN='7'}},dir='{}'}}", dir.display());
    rig.restart_player_with(&[
        ("player.daq", Path::new("site")),
        ("player.dibas_dir", &site),
        ("player.program.vegas_hpc_server", Path::new(&given)),
    ]);
    rig.done("set_mode", vec!["MODE1".into()]);
    let pid = rig.daq_pid().expect("it runs");
    let proc = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("ours");
    let allowed = |pid: u32| {
        let status = proc(pid, "status");
        let line = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).map(str::trim);
        line.expect("Linux").to_owned()
    };
    assert_eq!(allowed(pid), last.to_string());
    assert_eq!(allowed(rig.player.pid()), allowed(std::process::id()), "the player itself runs anywhere");
    assert!(proc(pid, "environ").split('\0').any(|variable| variable == "GAIN=7"));
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("ours");
    assert_eq!(cwd, dir);
    let told = std::fs::read_to_string(rig.dir.path().join("told")).expect("written");
    assert!(
        told.starts_with(&format!("{} ", dir.display())) && told.ends_with("--more two words\n"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_given_to_a_program_is_the_error() {
    let mut rig = Rig::start().stopped();
    let site = site(&rig);
    for (given, said) in [
        ("{cpus=[1023]}", "processor 1023 is not there"),
        ("{dir='/nonexistent'}", "working directory /nonexistent"),
    ] {
        rig.restart_player_with(&[
            ("player.daq", Path::new("site")),
            ("player.dibas_dir", &site),
            ("player.program.vegas_hpc_server", Path::new(given)),
        ]);
        let why = rig.refused("set_mode", vec!["MODE1".into()]);
        assert!(why.contains(said), "{given}: {why}");
        assert_eq!(rig.state().name(), "NO_MODE");
        rig = rig.stopped();
    }
}
