//! The composition root: sessions, role and call table put together.
pub mod calls;
