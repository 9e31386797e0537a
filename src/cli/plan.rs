//! `appliance plan`: what `prepare` (or a whole `set_mode`) would do, without doing it; and what of it differs from
//! the live values of a player that runs.

mod against;

use super::bank_choice;
use super::client::{Client, TIMEOUT};
use super::target::Target;
use crate::node::player::work::{read_config, read_par_file};
use crate::plan::Plan;
use crate::player::applied::{Applied, Difference};
use crate::player::compile;
use crate::player::engine::{self, Engine};
use crate::proto::json;
use crate::sys::resolve;
use crate::value::Value;
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `appliance plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The site's configuration file
    #[arg(long, value_name = "FILE")]
    dibas_conf: PathBuf,
    /// Bank section
    #[arg(long, value_name = "BANK")]
    bank: String,
    /// Mode section
    #[arg(long, value_name = "MODE")]
    mode: String,
    /// A parameter, as in set_param (repeatable); values are JSON, anything else is text
    #[arg(long = "set", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Synthesizer frequency, MHz, in place of the mode's
    #[arg(long, value_name = "MHZ")]
    bandwidth: Option<f64>,
    /// Which procedure
    #[arg(long = "for", value_enum, default_value = "prepare")]
    procedure: Procedure,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Address of a host name of the configuration (repeatable); others come from /etc/hosts and DNS
    #[arg(long, value_name = "NAME=IP")]
    resolve: Vec<String>,
    /// The reference's arithmetic
    #[arg(long)]
    reference_rounding: bool,
    /// Compare with the live registers and status keys of a player: tcp://host:port, rpc://host:port or unix:/path.
    /// Exit status: 0 equal, 1 something differs, 2 it cannot be told
    #[arg(long, value_name = "TARGET")]
    against: Option<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Procedure {
    /// Filter bits, status keys, registers
    Prepare,
    /// Everything from stopping the programs to starting them
    SetMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Prints the plan. Exit status 1: it cannot be made, with the reason.
pub fn run(args: PlanArgs) -> ExitCode {
    if let Some(target) = &args.against {
        return run_against(&args, target);
    }
    match plan(&args).and_then(|p| show(&p, args.format)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("appliance plan: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run_against(args: &PlanArgs, target: &Target) -> ExitCode {
    match differences(args, target).and_then(|all| Ok((all.is_empty(), show_differences(&all, args.format)?)))
    {
        Ok((equal, text)) => {
            print!("{text}");
            ExitCode::from(u8::from(!equal))
        }
        Err(text) => {
            eprintln!("appliance plan: {text}");
            ExitCode::from(2)
        }
    }
}

fn differences(args: &PlanArgs, target: &Target) -> Result<Vec<Difference>, String> {
    let wanted = Applied::by(&plan(args)?);
    let mut client = Client::connect(target, TIMEOUT).map_err(|e| e.message)?;
    let mut ask = |interface: &str, method: &str, values| client.call(interface, method, values, vec![]);
    let found = against::compare(&wanted, &args.bank, &args.mode, &mut ask)
        .map_err(|why| format!("{target}: {why}"))?;
    for note in &found.notes {
        eprintln!("appliance plan: {note}");
    }
    Ok(found.differences)
}

fn show_differences(all: &[Difference], format: Format) -> Result<String, String> {
    match format {
        Format::Table => Ok(all.iter().map(|d| format!("{d}\n")).collect()),
        Format::Json => {
            let list = Value::List(all.iter().map(Difference::to_value).collect());
            json::to_text(&list).map(|text| text + "\n").map_err(|e| e.to_string())
        }
    }
}

fn show(plan: &Plan, format: Format) -> Result<String, String> {
    match format {
        Format::Table => Ok(plan.to_string()),
        Format::Json => json::to_text(&plan.to_value()).map(|t| t + "\n").map_err(|e| e.to_string()),
    }
}

fn plan(args: &PlanArgs) -> Result<Plan, String> {
    let dibas = read_config(&args.dibas_conf)?;
    let bank = bank_choice::choose(&dibas, &args.bank, "", false)?;
    let mode = dibas.mode(&args.mode).ok_or_else(|| format!("there is no mode {}", args.mode))?;
    mode.usable.clone().map_err(|why| format!("mode {} is not usable: {why}", mode.name))?;
    let hosts = Hosts::read(&args.resolve)?;
    let resolve = |name: &str| hosts.address(name);
    let site = engine::Site {
        dibas: &dibas,
        resolve: &resolve,
        dibas_dir: &std::env::var("DIBAS_DIR").unwrap_or_default(),
        data_root: &std::env::var("DIBAS_DATA").unwrap_or_else(|_| "/tmp".into()),
        reference_rounding: args.reference_rounding,
    };
    let mut engine = Engine::new(bank, mode, args.bandwidth, &site).map_err(|e| e.message)?;
    let pairs = args.parameters.iter().map(|p| parameter(p)).collect::<Result<Vec<_>, _>>()?;
    match engine.set_params(&pairs) {
        Ok(Value::List(refusal)) => return Err(refusal.last().map(Value::to_string).unwrap_or_default()),
        Ok(_) => {}
        Err(e) => return Err(e.message),
    }
    if let Some(path) = engine.par_file_wanted() {
        engine.par_file_read(&path, read_par_file(&path).as_deref().map_err(Clone::clone));
    }
    let procedure_site = compile::Site {
        dibas: &dibas,
        bank,
        resolve: &resolve,
        simulate: false,
        fits_writer: true,
        clear_status: false,
        await_daq: true,
    };
    let prepared = engine.prepare().map_err(|e| e.message)?;
    for warning in &prepared.warnings {
        eprintln!("appliance plan: {warning}");
    }
    match args.procedure {
        Procedure::Prepare => Ok(compile::prepare(mode, engine.fpga(), &prepared)),
        Procedure::SetMode => {
            compile::set_mode(&procedure_site, mode, engine.fpga(), &prepared).map_err(|e| e.message)
        }
    }
}

fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("--set {text}: write name=value"))?;
    let value = json::read(value.as_bytes()).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// Addresses given on the command line before those of the system.
struct Hosts(HashMap<String, Ipv4Addr>);

impl Hosts {
    fn read(given: &[String]) -> Result<Hosts, String> {
        let mut map = HashMap::new();
        for item in given {
            let pair =
                item.split_once('=').and_then(|(n, ip)| Some((n.to_ascii_lowercase(), ip.parse().ok()?)));
            let (name, ip) = pair.ok_or_else(|| format!("--resolve {item}: write NAME=IP"))?;
            map.insert(name, ip);
        }
        Ok(Hosts(map))
    }

    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        self.0.get(&name.to_ascii_lowercase()).copied().or_else(|| resolve::ipv4_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        plan: PlanArgs,
    }

    fn args(more: &[&str]) -> PlanArgs {
        let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/config/dibas.loopback.conf");
        let fixed = ["plan", "--dibas-conf", conf, "--bank", "BANKA", "--mode", "MODE1"];
        Line::try_parse_from(fixed.iter().chain(more)).map(|line| line.plan).expect("a command line")
    }

    #[test]
    fn a_plan_is_printed_as_a_table_and_as_json() {
        let table = args(&["--set", "observer=Grace"]);
        let text = plan(&table).and_then(|p| show(&p, table.format)).expect("a plan");
        assert!(text.starts_with("prepare(MODE1)\n") && text.contains("OBSERVER  = Grace"), "{text}");
        let same = args(&["--set", "observer=Grace", "--format", "json"]);
        let text = plan(&same).and_then(|p| show(&p, same.format)).expect("a plan");
        let value = json::read(text.trim_end().as_bytes()).expect("JSON");
        assert_eq!(value.get("title"), Some(&"prepare(MODE1)".into()));
        let refused = args(&["--set", "filter_bw=7"]);
        assert!(plan(&refused).expect_err("no such filter").contains("Filter bandwidth must be one of"));
    }

    #[test]
    fn the_whole_mode_can_be_printed() {
        let all = args(&["--for", "set-mode"]);
        let text = plan(&all).and_then(|p| show(&p, all.format)).expect("a plan");
        for phase in ["stop_programs", "program", "net_config", "registers", "start_programs"] {
            assert!(text.contains(&format!("\n  {phase}")), "{phase} in {text}");
        }
    }

    #[test]
    fn differences_are_lines_or_a_list() {
        let one =
            Difference { what: "register", name: "acc_len".into(), known: None, wanted: "0x000002ff".into() };
        let table = show_differences(std::slice::from_ref(&one), Format::Table);
        assert_eq!(table.as_deref(), Ok("register acc_len: not known -> 0x000002ff\n"));
        assert_eq!(show_differences(&[], Format::Table).as_deref(), Ok(""));
        let list = show_differences(&[one], Format::Json).expect("JSON");
        let value = json::read(list.trim_end().as_bytes()).expect("JSON");
        let Value::List(all) = value else { panic!("{value}") };
        assert_eq!(all[0].get("now"), Some(&Value::Null));
    }
}
