//! shm (being built)
