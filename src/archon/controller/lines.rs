//! Readout window and single lines of configuration memory.

use super::Controller;
use super::messages::Fault;
use super::procedure::{Check, Procedure, Step};
use crate::archon::safety::{Consent, Grant, Purpose, heater_key};
use crate::archon::window::{PARAMETERS, Window};
use crate::proto::archon::Command;

impl Controller {
    pub(super) fn set_window(&self, window: &Window) -> Result<Procedure, Fault> {
        if self.facts.acf().is_none() {
            return Err(self.refused("The controller ACF configuration is unknown."));
        }
        window.check().map_err(|why| self.refused(why))?;
        Ok(Procedure::new(Purpose::Window, self.window_steps(window)))
    }

    /// What of a window differs from what is known to be in force; nothing if nothing does.
    pub(super) fn window_steps(&self, window: &Window) -> Vec<Step> {
        let mut steps = Vec::new();
        for (key, name) in PARAMETERS {
            let value = window.get(key);
            let in_force = self.running.get(&name.to_ascii_uppercase()).copied();
            if in_force == Some(value) {
                continue;
            }
            let command = u32::try_from(value).ok().and_then(|v| self.load_parameter(name, v));
            steps.extend(command.map(Step::Send));
        }
        let acf = self.facts.acf();
        let counts = [("LINECOUNT", window.line_count()), ("PIXELCOUNT", window.pixel_count())];
        let mut apply = self.counts_in_force != window.line_count().zip(window.pixel_count());
        let known = counts.iter().filter(|(_, value)| value.is_some()).count();
        if known == 0 {
            apply = false;
        }
        for (key, value) in counts {
            let (Some(acf), Some(value)) = (acf, value) else { continue };
            let (Some(line), Some(there)) = (acf.index(key), acf.get(key)) else { continue };
            if there.trim() != value.to_string() {
                steps.push(Step::Send(Command::WriteConfig { line, text: format!("{key}={value}") }));
                apply = true;
            }
        }
        if apply {
            steps.push(Step::Send(Command::ApplyCds));
        }
        steps
    }

    /// The window of the ACF's own parameters.
    pub(super) fn default_window_steps(&self) -> Vec<Step> {
        let window = self.view.default_window.filter(|w| w.check().is_ok());
        window.map(|w| self.window_steps(&w)).unwrap_or_default()
    }

    pub(super) fn write_line(
        &self,
        key: &str,
        value: &str,
        apply: bool,
        consent: &Consent,
    ) -> Result<Procedure, Fault> {
        let acf =
            self.facts.acf().ok_or_else(|| self.refused("The controller ACF configuration is unknown."))?;
        let key = key.trim().replace('\\', "/");
        let line = acf
            .index(&key)
            .ok_or_else(|| self.refused(format!("Invalid keyword {}", key.to_ascii_uppercase())))?;
        let spelled = acf.lines.get(usize::from(line)).map_or(key.clone(), |l| l.key.clone());
        let text = format!("{spelled}={value}");
        let mut steps = vec![
            Step::Send(Command::WriteConfig { line, text: text.clone() }),
            Step::Send(Command::ReadConfig { line }),
            Step::Check(Check::LineIs { line, text }),
        ];
        if apply {
            let slot =
                module_of(&spelled).ok_or_else(|| self.refused("Apply can only be used with modules."))?;
            steps.push(Step::Send(Command::ApplyModule { slot }));
        }
        if heater_key(&spelled).is_some() {
            steps.push(Step::Send(Command::Status));
        }
        let grant = Grant::with(Purpose::WriteLine, &[], consent);
        Ok(Procedure::new(Purpose::WriteLine, steps).granted(grant))
    }

    /// The line, as read back, is what was written.
    pub(super) fn line_is(&mut self, line: u16, text: &str) -> Result<(), Fault> {
        match &self.line_read {
            Some((n, there)) if *n == line && there == text => {
                if let Some(lines) = &mut self.unverified {
                    lines.remove(&line);
                }
                Ok(())
            }
            Some((n, there)) if *n == line => Err(Fault::Failed {
                controller: self.name().to_owned(),
                text: format!("line {line} reads back '{there}', written was '{text}'; it was not applied"),
            }),
            _ => Err(Fault::Failed {
                controller: self.name().to_owned(),
                text: format!("line {line} was not read back; it was not applied"),
            }),
        }
    }
}

fn module_of(key: &str) -> Option<u8> {
    let (module, _) = key.split_once('/')?;
    let prefix = module.get(..3).filter(|p| p.eq_ignore_ascii_case("MOD"))?;
    module.get(prefix.len()..)?.parse().ok().filter(|slot| (1..=16).contains(slot))
}
