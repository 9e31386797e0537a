//! player (being built)
