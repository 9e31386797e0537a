//! A controller against a small box on a virtual clock.

mod bench;
mod configuration;
mod exposure;
mod judge;
mod peer;
mod safety;
mod watching;
