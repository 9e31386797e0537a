//! Upload of a configuration: compared first, written, read back, applied; power and window after it.

use super::Controller;
use super::messages::{Fault, Level, Order};
use super::procedure::{Check, Mark, Procedure, Step};
use crate::archon::safety::{Class, Consent, Grant, Memory, Purpose, check_acf, check_heaters, understand};
use crate::config::acf::{Acf, Difference, Family};
use crate::proto::archon::{CONFIG_LINES, Command, LINE_MAX};
use std::sync::Arc;
use std::time::Duration;

/// POLLOFF never lasts longer than an upload may: STATUS is frozen meanwhile.
const LIMIT: Duration = Duration::from_secs(300);
/// Keys named in a refusal.
const NAMED: usize = 8;

impl Controller {
    pub(super) fn load(&self, order: &Order) -> Result<Procedure, Fault> {
        let Order::Load { acf, path, apply_all, apply, power, overrides, init, consent } = order else {
            return Err(self.refused("not a load"));
        };
        let acf = acf.with_overrides(overrides).map_err(|e| self.refused(format!("load: {e}")))?;
        let acf = Arc::new(acf);
        self.check_file(&acf)?;
        let there = self.in_force().ok_or_else(|| self.refused("The configuration could not be read."))?;
        let changes = there.diff(&acf);
        self.check_consent(&there, &changes, consent)?;
        let applies = self.applies(apply)?;

        let mut steps = self.upload_steps(&acf, path, &changes);
        if *apply_all {
            steps.push(Step::Mark(Mark::PowerChanging));
            steps.push(Step::Send(Command::ApplyAll));
        }
        steps.extend(applies.iter().cloned().map(Step::Send));
        if *init {
            steps.extend(init_steps(&acf));
        }
        if *power && *apply_all {
            steps.push(Step::Say(Level::Debug, "Powering on".into()));
            steps.push(Self::fresh_status());
            steps.extend(self.power_on(Step::Attempt(Command::PowerOn)));
            steps.push(Step::Cleanup(vec![Command::ReleaseTiming, Command::PollOn]));
        }
        if *apply_all || !applies.is_empty() {
            steps.push(Step::Mark(Mark::ThenReset));
        }
        let mut ordered = vec![Class::LoadTiming];
        ordered.retain(|_| applies.contains(&Command::LoadTiming));
        if *apply_all {
            ordered.push(Class::ApplyAll);
        }
        if *power && *apply_all {
            ordered.extend([Class::PowerOn, Class::PowerOff]);
        }
        let grant = Grant::with(Purpose::Load, &ordered, consent);
        Ok(Procedure::new(Purpose::Load, steps).granted(grant).cleanup(&[Command::PollOn]).within(LIMIT))
    }

    /// What a new configuration is compared with: half of an upload is not what is in force.
    fn in_force(&self) -> Option<Arc<Acf>> {
        match &self.facts.memory {
            Memory::HalfWritten(_) => self.before_upload.clone().or_else(|| self.read_back.clone()),
            Memory::Known(_) | Memory::Unknown => self.read_back.clone(),
        }
    }

    fn upload_steps(&self, acf: &Arc<Acf>, path: &str, changes: &[Difference]) -> Vec<Step> {
        let write = |(n, text): (usize, String)| Command::WriteConfig { line: n as u16, text };
        let commands: std::collections::VecDeque<_> =
            acf.wire_lines().into_iter().enumerate().map(write).collect();
        let total = commands.len();
        let depth = self.config.upload_depth.max(1);
        let mut steps = vec![
            Step::Send(Command::PollOff),
            Step::Send(Command::ClearConfig),
            Step::Batch { commands, depth, total, phase: "upload" },
        ];
        if self.config.verify_config {
            steps.push(Step::Mark(Mark::ReadAnew));
            steps.push(Step::Check(Check::MemoryIs(acf.clone())));
        }
        steps.push(Step::Send(Command::PollOn));
        steps.push(Step::Cleanup(vec![Command::ReleaseTiming, Command::PollOn]));
        steps.push(Step::Mark(Mark::Uploaded {
            acf: acf.clone(),
            path: path.to_owned(),
            verified: self.config.verify_config,
            changed: changes.iter().map(|d| d.key.to_ascii_uppercase()).collect(),
        }));
        steps
    }

    /// What must be so whatever the operator agrees to.
    fn check_file(&self, acf: &Acf) -> Result<(), Fault> {
        if acf.lines.is_empty() {
            return Err(self.refused("The ACF has no configuration lines."));
        }
        if acf.lines.len() > usize::from(CONFIG_LINES) {
            return Err(self.refused(format!("The ACF has more than {CONFIG_LINES} lines.")));
        }
        if let Some(long) = acf.wire_lines().iter().find(|l| l.chars().count() > LINE_MAX) {
            let start: String = long.chars().take(40).collect();
            return Err(self.refused(format!("'{start}...' has more than {LINE_MAX} characters.")));
        }
        let limits = self.facts.limits.as_deref();
        if let Some(limits) = limits {
            check_acf(acf, limits).map_err(|(why, remedy)| self.refused(format!("load: {why}; {remedy}")))?;
        }
        check_heaters(acf, limits, None)
            .map_err(|(why, remedy)| self.refused(format!("load: {why}; {remedy}")))
    }

    /// Changed heater, sensor, bias and clock keys are what an operator has to agree to. A controller without a
    /// configuration has nothing in force that would be changed.
    fn check_consent(&self, there: &Acf, changes: &[Difference], consent: &Consent) -> Result<(), Fault> {
        if there.lines.is_empty() {
            return Ok(());
        }
        let groups = [
            (consent.thermal, "thermal", [Family::Heater, Family::Sensor]),
            (consent.bias, "bias", [Family::Bias, Family::Clock]),
        ];
        for (agreed, word, families) in groups {
            let touched: Vec<&Difference> = changes.iter().filter(|d| families.contains(&d.family)).collect();
            if agreed || touched.is_empty() {
                continue;
            }
            let show = |d: &&Difference| {
                let value = |v: &Option<String>| v.clone().unwrap_or_else(|| "(none)".into());
                format!("{}: {} -> {}", d.key, value(&d.old), value(&d.new))
            };
            let mut list = touched.iter().take(NAMED).map(show).collect::<Vec<_>>().join(", ");
            if touched.len() > NAMED {
                list.push_str(&format!(" and {} more", touched.len() - NAMED));
            }
            return Err(
                self.refused(format!("load: it changes {word} keys ({list}); look at them and say {word}"))
            );
        }
        Ok(())
    }

    fn applies(&self, list: &[String]) -> Result<Vec<Command>, Fault> {
        let parse = |text: &String| {
            match understand(text) {
            command @ (Command::LoadTiming
            | Command::LoadParams
            | Command::ApplyModule { .. }
            | Command::ApplyDio { .. }
            | Command::ApplyCds
            | Command::ApplySystem) => Ok(command),
            _ => Err(self.refused(format!(
                "'{text}' cannot be applied; LOADTIMING, LOADPARAMS, APPLYCDS, APPLYSYSTEM, APPLYMODxx and APPLYDIOxx \
                 (xx = slot - 1, hex) can"
            ))),
        }
        };
        list.iter().map(parse).collect()
    }

    /// Window of the new parameters and reset, once they are known.
    pub(super) fn reset_after_load(&self) -> Vec<Step> {
        let mut steps = self.default_window_steps();
        steps.extend(self.reset_steps(true, false));
        steps.extend([
            Step::Send(Command::ReleaseTiming),
            Step::Mark(Mark::Idle { timing: false }),
            Step::Send(Command::Status),
        ]);
        steps
    }

    /// The file and the controller have the same lines.
    pub(super) fn memory_is(&self, acf: &Acf) -> Result<(), Fault> {
        let failed = |text: String| Err(Fault::Failed { controller: self.name().to_owned(), text });
        let Some(there) = &self.read_back else {
            return failed("the configuration could not be read back".into());
        };
        let (want, is) = (acf.wire_lines(), there.wire_lines());
        let differ: Vec<usize> =
            (0..want.len().max(is.len())).filter(|n| want.get(*n) != is.get(*n)).collect();
        let Some(first) = differ.first() else { return Ok(()) };
        let text = |lines: &[String]| lines.get(*first).cloned().unwrap_or_else(|| "(none)".into());
        failed(format!(
            "{} lines read back other than written, first line {first}: '{}' instead of '{}'",
            differ.len(),
            text(&is),
            text(&want)
        ))
    }
}

fn init_steps(acf: &Acf) -> Vec<Step> {
    let parameters = acf.parameters();
    let stop = ["Exposures", "ReadOut", "DoFlush"].iter().filter_map(|name| {
        let found = parameters.iter().find(|p| p.name.eq_ignore_ascii_case(name))?;
        Some(Step::Send(Command::FastLoadParam { name: found.name.clone(), value: 0 }))
    });
    let mut steps = vec![Step::Say(Level::Debug, "Setting initial parameters".into())];
    steps.extend(stop);
    steps.push(Step::Say(Level::Debug, "Unlocking buffers".into()));
    steps.push(Step::Send(Command::Lock(0)));
    steps
}
