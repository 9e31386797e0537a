//! proto (being built)
pub mod dibas_conf;
