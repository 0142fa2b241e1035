//! Samples of the flow over those of the target: histograms of coordinates and clouds of pairs.

mod clouds;
mod corner;

use trade_core::{Family, random::Stream};

use super::Plots;
use crate::{error::Result, run::Run, verdict::stretches::named};
use clouds::Source;

/// The most coordinates in a corner plot.
const MOST: usize = 6;

/// Corner plots at the first base condition and at both ends of the range.
pub(super) fn draw(run: &Run, seed: u64, plots: &mut Plots) -> Result<()> {
    let dim = run.target.dim();
    if dim > MOST {
        plots.note(format!(
            "`marginals` show the first {MOST} of {dim} coordinates"
        ));
    }
    let controls = run.target.controls();
    let names: Vec<String> = run.target.names().into_iter().take(MOST).collect();
    let ranges = run.ranges();
    let base = run.config.bases(&controls)?.swap_remove(0);
    let low: Vec<f64> = ranges.iter().map(|(low, _)| *low).collect();
    let high: Vec<f64> = ranges.iter().map(|(_, high)| *high).collect();
    let source = Source::read(run)?;
    let places = [
        ("marginals", &base, "the base condition"),
        ("marginals-low", &low, "the lower end of the range"),
        ("marginals-high", &high, "the upper end of the range"),
    ];
    for (i, (stem, c, place)) in places.into_iter().enumerate() {
        // An end at which the data lie is shown already.
        if i > 0 && *c == base {
            continue;
        }
        let stream = &mut Stream::new(seed, 20_000 + i as u64);
        let clouds = source.clouds(run, c, i == 0, stream)?;
        if clouds.iter().all(|cloud| cloud.is_reference) {
            plots.note(format!(
                "`{stem}` is not drawn, for no sample of the flow is finite"
            ));
            continue;
        }
        if !clouds.iter().any(|cloud| cloud.is_reference) {
            plots.note(format!(
                "`{stem}` shows the flow alone, for no samples of the target are known at {place}"
            ));
        }
        let title = format!("Samples at {}, {place}", named(&controls, c));
        plots.add(stem, corner::figure(&title, &clouds, &names));
    }
    Ok(())
}
