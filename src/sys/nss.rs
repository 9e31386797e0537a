//! Pinning of glibc's name services.
//!
//! A static binary that lets glibc load name-service modules runs code of *another* glibc; with
//! the common `passwd: files systemd` that ends in a segmentation fault. Pinned to the built-in
//! `files` and `dns` nothing is ever loaded. Names that only mDNS or resolved know do not resolve.

use std::ffi::CStr;

/// Databases and the built-in services each is pinned to.
const PINNED: &[(&CStr, &CStr)] = &[
    (c"hosts", c"files dns"),
    (c"services", c"files"),
    (c"protocols", c"files"),
    (c"networks", c"files"),
    (c"passwd", c"files"),
    (c"group", c"files"),
    (c"initgroups", c"files"),
];

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn __nss_configure_lookup(database: *const libc::c_char, services: *const libc::c_char) -> libc::c_int;
}

/// Pins all databases. Call it first thing in `main`, before any thread; it tells which database
/// glibc refused (none is known to be).
#[cfg(target_env = "gnu")]
pub fn pin() -> Result<(), &'static CStr> {
    for (database, services) in PINNED {
        // SAFETY: both arguments are NUL-terminated strings that live for ever; glibc copies them.
        if unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) } != 0 {
            return Err(database);
        }
    }
    Ok(())
}

/// Other C libraries have no modules to load.
#[cfg(not(target_env = "gnu"))]
pub fn pin() -> Result<(), &'static CStr> {
    let _ = PINNED;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_database_can_be_pinned() {
        assert_eq!(super::pin(), Ok(()));
    }
}
