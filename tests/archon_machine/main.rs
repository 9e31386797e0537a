//! The archon role whole, on a virtual clock: the role, its controllers and links, simulated controllers
//! with the hardware's semantics, and real files. Only sockets and waiting are left out.

mod exposures;
mod faults;
mod random;
mod world;
