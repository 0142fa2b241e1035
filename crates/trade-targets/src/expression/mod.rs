//! Targets that are stated as text: `log q(x|c)` written as a formula in a configuration.
//!
//! A text is parsed once into a graph of elementary operations with checked shapes. The graph is
//! evaluated on tensors for training, and in f64 on the host; both carry the derivative along the
//! controls, so that the condition score is exact and nobody writes it down. The book's page "Targets
//! as text" describes the language.
//!
//! # Example
//! ```
//! use trade_targets::expression::ExpressionConfig;
//! let config: ExpressionConfig = serde_json::from_str(
//!     r#"{
//!         "variables": { "x": 2 },
//!         "controls": ["T"],
//!         "constants": { "s": 0.5 },
//!         "log_density": "-(x[0]^2/2 + (x[1] - x[0]^2)^2/(2*s^2))/T"
//!     }"#,
//! )?;
//! let target = config.init()?;
//! assert_eq!(target.log_density_at(&[1.0, 1.0], &[2.0]), -0.25);
//! assert_eq!(target.condition_score_at(&[1.0, 1.0], &[2.0]), [0.125]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arithmetic;
mod build;
mod call;
mod config;
mod data;
mod density;
mod fault;
mod graph;
mod host;
mod parse;
mod posterior;
mod power;
mod tails;
mod target;
mod tensor;
mod token;

#[cfg(test)]
mod tests;

pub use config::{Constant, ExpressionConfig, Ordered, Supports};
pub use data::split_key;
pub use posterior::{Parameter, Posterior, PosteriorConfig};
pub use target::Expression;
