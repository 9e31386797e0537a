//! proto (being built)
