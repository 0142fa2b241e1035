//! Where the entries of a state may lie, according to the target and according to a flow.

use trade_core::Support;

/// What contradicts between the supports of a flow and those of its target, in a sentence; `None` where
/// they agree. `flow` is `None` for a flow that has no `support` layer, which reaches every number.
pub(crate) fn contradiction(flow: Option<&[Support]>, target: &[Support]) -> Option<String> {
    let wanted = || serde_json::to_string(target).unwrap_or_default();
    let Some(flow) = flow else {
        let bounded = target
            .iter()
            .position(|&support| support != Support::Real)?;
        return Some(format!(
            "entry {bounded} of the state allows {}, but the flow has no layer `support` and would \
             sample outside of it; put {{\"support\": {}}} first among its layers",
            target[bounded],
            wanted()
        ));
    };
    if flow.len() != target.len() {
        return Some(format!(
            "the flow's layer `support` has {} entries for {} of the state; write {}",
            flow.len(),
            target.len(),
            wanted()
        ));
    }
    let (k, (found, expected)) = flow
        .iter()
        .zip(target)
        .enumerate()
        .find(|(_, (found, expected))| found != expected)?;
    let ((low, high), (from, to)) = (found.ends(), expected.ends());
    let consequence = if low > from || high < to {
        "it can never reach some of the values that the target allows"
    } else {
        "it would sample where the target has no density"
    };
    Some(format!(
        "the support of entry {k} is {found} in the flow's layer `support`, but {expected} in the \
         target: {consequence}; write {} there",
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
                message.contains("entry 0") && message.contains(says),
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
