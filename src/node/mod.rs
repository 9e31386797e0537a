//! node (being built)
