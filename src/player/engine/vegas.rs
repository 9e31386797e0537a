//! vegas (being built)
