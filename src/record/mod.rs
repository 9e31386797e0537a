//! record (being built)
