//! Setting a mode, preparing it, and the phases run by hand: everything that can be refused is refused
//! before the first hardware step.

use super::calls::{Answer, CallResult, no_backend, now_is};
use super::dry::parameters_of;
use super::jobs::Kind;
use super::messages::Ticket;
use super::{ActiveMode, Player};
use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::Mode;
use crate::plan::Plan;
use crate::player::compile::{self, Site};
use crate::player::engine::{self, Engine};
use crate::player::methods::PlayerCall;
use crate::player::saved::Changes;
use crate::player::state::{Host, Link, State};
use crate::player::verdict::Ending;
use crate::units::Now;
use crate::value::Value;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long a mode change waits for host names that are still being looked up.
const HOSTS_WITHIN: Duration = Duration::from_secs(5);

impl Player {
    pub(super) fn set_mode(
        &mut self,
        ticket: Ticket,
        mode: Value,
        bandwidth: Value,
        force: bool,
        now: Now,
    ) -> CallResult {
        if !mode.truthy() {
            return now_is(Value::verdict(false, "Mode is 'None', doing nothing."));
        }
        let name = mode.as_str().map_or_else(|| mode.to_string(), str::to_owned);
        let Some(section) = self.dibas.mode(&name).cloned() else {
            return now_is(Value::verdict(false, format!("Mode {name} is not supported.")));
        };
        if let Err(why) = &section.usable {
            return now_is(Value::verdict(false, format!("Mode {name} is not usable: {why}")));
        }
        let (frequency, force) = frequency_wanted(&bandwidth, force)?;
        if !force && !self.needs_reload(&section, frequency) {
            let text = format!("Mode {name} is already set! Use 'force=True' to force.");
            return now_is(Value::verdict(false, text));
        }
        self.refuse_while_scanning("set_mode", force)?;
        if self.hosts_awaited {
            let call = PlayerCall::SetMode { mode, bandwidth, force };
            self.waiting_for_hosts = Some((ticket, call, now.mono + HOSTS_WITHIN));
            return Ok(Answer::Later);
        }
        if section.drives_board(&self.bank) {
            self.require_link(false)?;
        }
        let frequency = frequency.or_else(|| self.frequencies.get(&name).copied());
        let (active, plan) = self.compile_set_mode(section, frequency)?;
        if let Some(f) = frequency {
            self.frequencies.insert(name.clone(), f);
        }
        if matches!(self.state, State::Scanning(_)) {
            self.end_scan_as(Ending::Cut(format!("ended by set_mode({name})")), now);
        }
        self.mode = None;
        self.changes = Changes::default();
        self.stale = false;
        self.unlocked = None;
        self.next_watchdog = None;
        self.run(Kind::SetMode(Box::new(active)), plan, Some(ticket), State::SettingMode(name), now);
        Ok(Answer::Later)
    }

    pub(super) fn needs_reload(&self, section: &Mode, frequency: Option<f64>) -> bool {
        let Some(active) = &self.mode else { return true };
        let stored = self.frequencies.get(&section.name).copied().unwrap_or(section.frequency);
        let changed = frequency.is_some_and(|f| f != stored);
        active.mode.name != section.name || changed || self.stale || self.config.set_mode_always_reloads
    }

    /// Everything that can be refused is refused here, before the first hardware step.
    pub(super) fn compile_set_mode(
        &self,
        mode: Mode,
        frequency: Option<f64>,
    ) -> Result<(ActiveMode, Plan), CallError> {
        let resolve = |host: &str| self.address_of(host);
        let site = engine::Site {
            dibas: &self.dibas,
            resolve: &resolve,
            dibas_dir: &self.config.dibas_dir,
            data_root: &self.config.data_root,
            reference_rounding: self.config.reference_rounding,
        };
        let engine = Engine::new(&self.bank, &mode, frequency, &site)?;
        let prepared = engine.initial();
        for warning in &prepared.warnings {
            log::warn!("{}: {warning}", mode.name);
        }
        let family = |program: &str| program.split('_').next().unwrap_or("").to_owned();
        let changes = self.last_program.as_ref().is_some_and(|old| family(old) != family(&mode.hpc_program));
        let plan_site = Site {
            clear_status: changes && self.config.clear_status_on_mode_change,
            await_daq: true,
            ..self.plan_site(&resolve)
        };
        let mut plan = compile::set_mode(&plan_site, &mode, engine.fpga(), prepared)?;
        if let Some(layout) = self.config.surroundings.buffers.made_for(&mode.hpc_program) {
            compile::with_data_buffers(&mut plan, &mode.hpc_program, layout);
        }
        let defaults = parameters_of(&engine);
        Ok((ActiveMode { mode, engine, dibas_hash: self.dibas.hash.clone(), defaults }, plan))
    }

    pub(super) fn plan_site<'a>(&'a self, resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>) -> Site<'a> {
        let own = !self.config.daq.is_site();
        Site {
            dibas: &self.dibas,
            bank: &self.bank,
            resolve,
            simulate: self.config.simulate,
            fits_writer: !own,
            clear_status: false,
            // A site's program may report itself a second later, which would cost the arm time.
            await_daq: own,
        }
    }

    pub(super) fn address_of(&self, host: &str) -> Option<Ipv4Addr> {
        host.parse().ok().or_else(|| self.hosts.get(&host.to_ascii_lowercase()).copied().flatten())
    }

    /// Addresses that configuration gives.
    pub fn learn_hosts(&mut self, hosts: Vec<Host>) {
        for (name, address) in hosts {
            self.hosts.insert(name.to_ascii_lowercase(), address);
        }
    }

    pub(super) fn hosts_known(&mut self, hosts: Vec<Host>, now: Now) {
        self.learn_hosts(hosts);
        self.hosts_awaited = false;
        if let Some((ticket, call, _)) = self.waiting_for_hosts.take() {
            self.call(ticket, call, now);
        }
    }

    /// Refuses what needs the board while the board is away, before anything is touched. A mode that leaves the
    /// bank's board alone needs none.
    pub(super) fn require_link(&self, needs_design: bool) -> Result<(), CallError> {
        let refused = |text| Err(CallError::new(ErrorClass::RuntimeError, Family::Refused, text));
        if needs_design && !self.mode_drives_board() {
            return Ok(());
        }
        match &self.link {
            Link::Down(why) => refused(format!(
                "No connection to the ROACH of {}: {why}. It is tried again by itself; check power, network and katcp_ip (or player.fpga)",
                self.bank.name
            )),
            Link::Absent | Link::Up if needs_design && self.stale => refused(
                "The FPGA no longer runs the design of the mode (the board was restarted or re-programmed): call set_mode again"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    /// The mode that is set drives this bank's board.
    pub(super) fn mode_drives_board(&self) -> bool {
        self.mode.as_ref().is_some_and(|active| active.engine.fpga().drives_board)
    }

    pub(super) fn refuse_while_scanning(&self, what: &str, force: bool) -> Result<(), CallError> {
        match &self.state {
            State::Starting(_) | State::Scanning(_) if !force => Err(CallError::exception(format!(
                "{what} is refused while a scan is {}: call stop() first",
                if matches!(self.state, State::Starting(_)) { "starting" } else { "running" }
            ))),
            _ => Ok(()),
        }
    }

    // ------------------------------------------------------------------ prepare, phases, monitor

    pub(super) fn begin_prepare(&mut self, ticket: Option<Ticket>, now: Now) -> CallResult {
        let without = "Cannot prepare until a mode is selected";
        if self.mode.is_none() {
            return Err(CallError::exception(without));
        }
        if matches!(self.state, State::Starting(_) | State::Scanning(_)) {
            self.refuse_while_scanning("prepare", false)?;
            return now_is(Value::Null);
        }
        self.read_par_file(ticket, now).unwrap_or_else(|| self.prepare_now(ticket, now))
    }

    /// Everything the engine needs is there.
    pub(super) fn prepare_now(&mut self, ticket: Option<Ticket>, now: Now) -> CallResult {
        let Some(active) = &self.mode else { return now_is(Value::Null) };
        let prepared = active.engine.prepare()?;
        self.require_link(true)?;
        let plan = compile::prepare(&active.mode, active.engine.fpga(), &prepared);
        let state = if self.state == State::Monitoring { State::Monitoring } else { State::Preparing };
        self.run(Kind::Prepare, plan, ticket, state, now);
        Ok(Answer::Later)
    }

    pub(super) fn manual(&mut self, ticket: Ticket, phase: &'static str, now: Now) -> CallResult {
        let Some(active) = &self.mode else { return now_is(Value::Null) };
        self.refuse_while_scanning(phase, false)?;
        self.require_link(true)?;
        let resolve = |host: &str| self.address_of(host);
        let plan = match phase {
            "reset" => compile::manual(active.engine.fpga(), phase, &active.mode.reset_phase),
            "arm" => compile::arm_by_hand(&self.plan_site(&resolve), &active.mode, active.engine.fpga()),
            _ => compile::manual(active.engine.fpga(), phase, &active.mode.postarm_phase),
        };
        let state = if self.state == State::Monitoring { State::Monitoring } else { State::Operating(phase) };
        self.run(Kind::Manual, plan, Some(ticket), state, now);
        Ok(Answer::Later)
    }

    pub(super) fn monitor(&mut self, ticket: Ticket, now: Now) -> CallResult {
        if self.mode.is_none() {
            return no_backend();
        }
        self.refuse_while_scanning("monitor", false)?;
        let resolve = |host: &str| self.address_of(host);
        let plan = compile::monitor(&self.plan_site(&resolve));
        self.run(Kind::Monitor, plan, Some(ticket), State::Operating("monitor"), now);
        Ok(Answer::Later)
    }
}

/// What `bandwidth` means: a frequency, nothing, or (a slip of a shipped example) `force`.
pub(super) fn frequency_wanted(bandwidth: &Value, force: bool) -> Result<(Option<f64>, bool), CallError> {
    let invalid = |class, text: String| Err(CallError::new(class, Family::Invalid, text));
    match bandwidth {
        Value::Null | Value::Bool(false) => Ok((None, force)),
        Value::Bool(true) => {
            log::warn!("set_mode(.., bandwidth=True) is taken as force=True");
            Ok((None, true))
        }
        other => match other.as_f64() {
            Some(f) if f.is_finite() && f != 0.0 => Ok((Some(f), force)),
            Some(f) => {
                invalid(ErrorClass::ValueError, format!("bandwidth must be a frequency in MHz, not {f}"))
            }
            None => invalid(
                ErrorClass::TypeError,
                format!("set_mode() argument 'bandwidth' must be a number of MHz, not {}", other.kind()),
            ),
        },
    }
}
