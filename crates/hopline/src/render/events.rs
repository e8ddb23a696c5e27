//! How events have ended, in one line.

use hopline_processor::Outcomes;

use super::{Style, plain};

/// Each outcome with its count: those that are bad news only where there are any.
pub(crate) fn by_outcome(outcomes: &Outcomes, style: Style) -> String {
    let mut told = vec![format!("{} committed", outcomes.committed)];
    let rejected = outcomes.rejections();
    if rejected > 0 {
        let reasons = outcomes.rejected.iter();
        let reasons = reasons.map(|(reason, count)| format!("{count} {}", plain(reason)));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        told.push(style.bad(&format!("{rejected} rejected ({reasons})")));
    }
    if outcomes.expired > 0 {
        told.push(style.bad(&format!("{} expired", outcomes.expired)));
    }
    if outcomes.duplicate > 0 {
        told.push(format!("{} sent again", outcomes.duplicate));
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let mut outcomes = Outcomes {
            committed: 41,
            ..Outcomes::default()
        };
        assert_eq!(by_outcome(&outcomes, Style::plain()), "41 committed");
        outcomes.rejected.insert("bad_part".into(), 2);
        outcomes.rejected.insert("too_large".into(), 1);
        outcomes.expired = 3;
        outcomes.duplicate = 5;
        assert_eq!(
            by_outcome(&outcomes, Style::plain()),
            "41 committed, 3 rejected (2 bad_part, 1 too_large), 3 expired, 5 sent again"
        );
    }
}
