//! Samples that a target draws of itself.

/// Samples with the context of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The states, row-major `[n, dim]`.
    pub x: Vec<f64>,
    /// The context of each, row-major `[n, contexts]`; empty where the target has none.
    pub context: Vec<f64>,
    /// The width of a context.
    pub contexts: usize,
}
