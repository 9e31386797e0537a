//! A simulated Archon controller with the semantics of the hardware.
