//! coordinates (being built)
