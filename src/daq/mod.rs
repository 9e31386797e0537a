//! daq (being built)
