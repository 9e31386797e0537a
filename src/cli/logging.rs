//! The log: time and level on a terminal, `<N>` priorities when the journal reads us.
//!
//! `APPLIANCE_LOG` (or `RUST_LOG`) sets the filter, e.g. `debug` or `appliance::session=trace,info`.

use env_logger::{Builder, Env, fmt::TimestampPrecision};
use std::io::Write;

/// Installs the logger; a second call does nothing.
pub fn init() {
    let filter = if std::env::var_os("APPLIANCE_LOG").is_some() { "APPLIANCE_LOG" } else { "RUST_LOG" };
    let mut builder = Builder::from_env(Env::new().filter_or(filter, "info"));
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.format(|out, record| writeln!(out, "<{}>{}", priority(record.level()), record.args()));
    } else {
        builder.format_timestamp(Some(TimestampPrecision::Millis)).format_target(false);
    }
    // Tests and `demo` may have installed one before.
    let _ = builder.try_init();
}

fn priority(level: log::Level) -> u8 {
    match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    }
}
