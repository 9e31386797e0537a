//! What an operator writes: the site's `dibas.conf`, ACF files and `archon.yml`, and our own `appliance.toml`.
//!
//! Pure: text in, typed values and findings out. Reading files is the caller's business.

pub mod acf;
pub mod archon;
pub mod cidr;
pub mod dibas;
pub mod docs;
pub mod finding;
pub mod settings;
pub mod suggest;
