//! hbw (being built)

/// VEGAS high bandwidth.
#[derive(Clone, Debug)]
pub struct VegasHbw {}
