//! What an order needs before it may leave: one table, asked before every command, raw ones and those of
//! procedures included.

/// Why an order was not carried out, and what would make it possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{order}: {why}; {remedy}")]
pub struct Refusal {
    /// The order (`POWERON`).
    pub order: String,
    /// The need that is not met.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

/// What an operator explicitly agrees to with an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Power on although the CCD is outside its temperature range: the reason.
    pub warm: Option<String>,
    /// Power on, or write a bias, without a limits file.
    pub unchecked: bool,
    /// Changed heater or sensor keys of an ACF.
    pub thermal: bool,
    /// Changed bias or clock keys of an ACF.
    pub bias: bool,
}
