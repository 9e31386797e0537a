//! common (being built)
