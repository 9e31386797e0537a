//! The register API through its ways: a KATCP server and mapped memory must leave the same board behind, for
//! the player's own plans ([`plans`]), and for `appliance fpga` as a script sees it ([`command`]).

mod command;
mod plans;
