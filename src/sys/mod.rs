//! sys (being built)
