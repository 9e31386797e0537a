//! What the settings say of the programs' surroundings, as the player wants it.

use crate::config::settings::{
    BufferFamily, BufferKind, BufferLayout, Daq, DataBuffers, Player, ProgramStart,
};
use crate::player::surroundings::{Buffers, Start, Surroundings};
use crate::shm::databuf::layout::{GUPPI_KEY, VEGAS_KEY};
use crate::shm::databuf::{Family, Kind, Layout, Layouts};

/// Buffers and starts of the programs of a player.
pub(in crate::cli) fn surroundings(player: &Player) -> Surroundings {
    let starts = player.program.iter().map(|(name, given)| (name.clone(), start(given))).collect();
    Surroundings { buffers: buffers(player), starts }
}

/// Our own programs have none, and a simulation touches none.
fn buffers(player: &Player) -> Buffers {
    let layouts = || Layouts::with_standard(player.data_buffer_layouts.iter().map(layout).collect());
    match player.data_buffers {
        _ if player.simulate || player.daq != Daq::Site => Buffers::None,
        DataBuffers::Auto => Buffers::Made(layouts()),
        DataBuffers::Leave => Buffers::Left(layouts()),
    }
}

fn layout(given: &BufferLayout) -> Layout {
    let (family, key) = match given.family {
        BufferFamily::Vegas => (Family::Vegas, VEGAS_KEY),
        BufferFamily::Guppi => (Family::Guppi, GUPPI_KEY),
    };
    let kind = |kind| match kind {
        BufferKind::Gpu => Kind::Gpu,
        BufferKind::Cpu => Kind::Cpu,
        BufferKind::Disk => Kind::Disk,
    };
    let sizes: Vec<_> =
        given.buffers.iter().map(|size| (size.blocks, size.block_kib << 10, kind(size.kind))).collect();
    let mut layout = Layout::new(&given.program, family, given.key.unwrap_or(key), &sizes);
    layout.fifos.clone_from(&given.fifos);
    layout
}

fn start(given: &ProgramStart) -> Start {
    Start {
        flags: given.flags.clone(),
        env: given.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        cpus: given.cpus.clone(),
        dir: Some(given.dir.clone()).filter(|dir| !dir.as_os_str().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings;
    use crate::shm::databuf::Buffer;

    fn player(items: &[&str]) -> Player {
        let items: Vec<String> = items.iter().map(|s| (*s).to_owned()).collect();
        settings::load("", "appliance.toml", &items).expect("good").player
    }

    #[test]
    fn only_a_sites_own_programs_have_buffers() {
        let made = surroundings(&player(&[])).buffers;
        assert!(matches!(&made, Buffers::Made(layouts) if layouts.of("vegas_hpc_server").is_some()));
        for items in [&["player.simulate=true"], &["player.daq=builtin"], &["player.daq=simulated"]] {
            assert_eq!(surroundings(&player(items)).buffers, Buffers::None, "{items:?}");
        }
        let left = surroundings(&player(&["player.data_buffers=leave"])).buffers;
        assert!(matches!(left, Buffers::Left(_)));
    }

    #[test]
    fn a_site_may_have_its_own_layouts_and_starts() {
        let own = player(&[
            "player.data_buffer_layouts=[{program='mine_', family='vegas', key=0x5a000001, buffers=[{blocks=2, block_kib=8, kind='disk'}], fifos=['/run/mine']}]",
            "player.program.mine_daq.cpus=[0, 2]",
            "player.program.mine_daq.dir=/data",
            "player.program.mine_daq.env={OMP='1'}",
            "player.program.mine_daq.flags=['-v']",
        ]);
        let made = surroundings(&own);
        let layout = made.buffers.made_for("mine_daq").expect("known");
        let wanted = Buffer { key: 0x5a00_0001, blocks: 2, block_size: 8192, kind: Kind::Disk };
        assert_eq!((layout.family, &layout.buffers[..]), (Family::Vegas, &[wanted][..]));
        let start = Start {
            flags: vec!["-v".into()],
            env: vec![("OMP".into(), "1".into())],
            cpus: vec![0, 2],
            dir: Some("/data".into()),
        };
        assert_eq!(made.starts, [("mine_daq".to_owned(), start)].into());
    }
}
