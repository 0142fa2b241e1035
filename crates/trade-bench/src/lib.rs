//! The evidence: the experiments of the TRADE paper as configurations, tables and figures.
//!
//! An [`experiment`] is a list of methods, each a run configuration; [`reproduce`] trains and
//! evaluates them with the tool `trade` and writes a [`report`].

pub mod battery;
pub mod experiment;
pub mod quality;
pub mod report;
pub mod reproduce;
pub mod speed;
