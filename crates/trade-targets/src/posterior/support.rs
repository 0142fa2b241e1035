//! Where parameters may lie, according to the prior and according to a flow.

use trade_core::Support;

/// What contradicts between the supports of a flow and those of the prior, in a sentence; `None` where
/// they agree. `flow` is `None` for a flow that has no `support` layer, which reaches every number.
pub(super) fn contradiction(flow: Option<&[Support]>, prior: &[Support]) -> Option<String> {
    let wanted = || serde_json::to_string(prior).unwrap_or_default();
    let Some(flow) = flow else {
        let bounded = prior.iter().position(|&support| support != Support::Real)?;
        return Some(format!(
            "the prior of parameter {bounded} allows {}, but the flow has no layer `support` and would \
             sample outside of it; put {{\"support\": {}}} first among its layers",
            prior[bounded],
            wanted()
        ));
    };
    if flow.len() != prior.len() {
        return Some(format!(
            "the flow's layer `support` has {} entries for {} parameters of the prior; write {}",
            flow.len(),
            prior.len(),
            wanted()
        ));
    }
    let (k, (found, expected)) = flow
        .iter()
        .zip(prior)
        .enumerate()
        .find(|(_, (found, expected))| found != expected)?;
    let ((low, high), (from, to)) = (found.ends(), expected.ends());
    let consequence = if low > from || high < to {
        "it can never reach some of the values that the prior allows"
    } else {
        "it would sample where the prior has no density"
    };
    Some(format!(
        "the support of parameter {k} is {found} in the flow's layer `support`, but {expected} in the \
         prior: {consequence}; write {} there",
        wanted()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_reaches_elsewhere_than_the_prior_is_told_what_to_write() {
        let interval = |low, high| Support::Interval { low, high };
        let prior = [interval(0.0, 1.0), Support::Positive, Support::Real];
        assert_eq!(contradiction(Some(&prior), &prior), None);
        assert_eq!(contradiction(None, &[Support::Real; 2]), None);
        let json = r#"[{"interval":{"low":0.0,"high":1.0}},"positive","real"]"#;
        assert_eq!(serde_json::to_string(&prior).unwrap(), json);
        for (first, says) in [
            (interval(-1.0, 2.0), "no density"),
            (interval(0.25, 0.75), "never reach"),
            (interval(0.5, 2.0), "never reach"),
            (Support::Real, "no density"),
        ] {
            let flow = [first, Support::Positive, Support::Real];
            let message = contradiction(Some(&flow), &prior).unwrap();
            assert!(
                message.contains("parameter 0") && message.contains(says),
                "{message}"
            );
            assert!(message.contains(json), "{message}");
        }
        let message = contradiction(None, &prior).unwrap();
        assert!(
            message.contains("no layer `support`") && message.contains(json),
            "{message}"
        );
        let message = contradiction(Some(&prior[..1]), &prior).unwrap();
        assert!(message.contains("1 entries for 3"), "{message}");
    }
}
