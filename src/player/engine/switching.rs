//! switching (being built)
