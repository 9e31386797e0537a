//! What a site's programs find when they start: data buffers, processors, environment, working directory.

use crate::reactor::Program;
use crate::shm::databuf::{Layout, Layouts};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who makes the data buffers.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Buffers {
    /// The programs of this player have none (our own, and simulated ones), or none that we know.
    #[default]
    None,
    /// Somebody else: they are looked at only.
    Left(Layouts),
    /// The player, before a program starts that wants others than there are.
    Made(Layouts),
}

impl Buffers {
    /// What a program wants, whoever makes it.
    pub fn wanted(&self, program: &str) -> Option<&Layout> {
        self.layouts().and_then(|layouts| layouts.of(program))
    }

    /// What is to be made for a program.
    pub fn made_for(&self, program: &str) -> Option<&Layout> {
        match self {
            Buffers::Made(layouts) => layouts.of(program),
            Buffers::None | Buffers::Left(_) => None,
        }
    }

    /// Keys of all buffers that are known.
    pub fn keys(&self) -> Vec<u32> {
        self.layouts().map(Layouts::keys).unwrap_or_default()
    }

    fn layouts(&self) -> Option<&Layouts> {
        match self {
            Buffers::None => None,
            Buffers::Left(layouts) | Buffers::Made(layouts) => Some(layouts),
        }
    }
}

/// What one program is given beside its command line.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Start {
    /// Options after those of the mode.
    pub flags: Vec<String>,
    /// Variables added to, or replacing, the inherited environment.
    pub env: Vec<(String, String)>,
    /// Processors it may run on; empty: any.
    pub cpus: Vec<u32>,
    /// Working directory; `None`: the player's.
    pub dir: Option<PathBuf>,
}

/// The surroundings of the programs of one player.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Surroundings {
    /// Their data buffers.
    pub buffers: Buffers,
    /// By file name of the program.
    pub starts: BTreeMap<String, Start>,
}

impl Surroundings {
    /// The program as it is to be started.
    pub fn around(&self, mut program: Program) -> Program {
        let name = program.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(start) = self.starts.get(&name) else { return program };
        program.args.extend(start.flags.iter().cloned());
        program.env.extend(start.env.iter().cloned());
        program.cpus.clone_from(&start.cpus);
        program.dir.clone_from(&start.dir);
        program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_file_name() {
        let start = Start {
            flags: vec!["-v".into()],
            env: vec![("A".into(), "1".into())],
            cpus: vec![2, 3],
            dir: Some("/data".into()),
        };
        let starts = [("vegas_hpc_server".to_owned(), start)].into();
        let surroundings = Surroundings { starts, ..Surroundings::default() };
        let plain = |path: &str| Program { path: path.into(), args: vec!["-I".into()], ..Program::default() };
        let changed = surroundings.around(plain("/site/exec/vegas_hpc_server"));
        assert_eq!((changed.args, changed.cpus), (vec!["-I".to_owned(), "-v".to_owned()], vec![2, 3]));
        assert_eq!(changed.dir, Some("/data".into()));
        let other = plain("/site/exec/guppi_daq_server");
        assert_eq!(surroundings.around(other.clone()), other);
    }

    #[test]
    fn buffers_that_are_left_are_known_but_not_made() {
        let layouts = Layouts::with_standard(Vec::new());
        let (left, made) = (Buffers::Left(layouts.clone()), Buffers::Made(layouts));
        assert!(left.wanted("vegas_x").is_some() && left.made_for("vegas_x").is_none());
        assert!(made.wanted("vegas_x").is_some() && made.made_for("vegas_x").is_some());
        assert_eq!((made.made_for("hashpipe"), Buffers::None.keys()), (None, Vec::new()));
    }
}
