//! The table in short: no good row is late or ahead, and every window with good rows closes.

use crate::drive::Rule as _;
use crate::scenarios::{Size, scenarios};
use crate::table::Outcome;

/// Every line of docs/time.md, with fewer rows.
#[test]
fn no_good_row_is_late_or_ahead_and_every_window_closes() {
    let mut wrong = Vec::new();
    let mut lines = 0;
    for scenario in scenarios(Size::Short) {
        for reading in &scenario.readings {
            let (mut windows, mut panes) = (Outcome::default(), Outcome::default());
            for logs in &scenario.models {
                let rule = scenario.new_rule(&logs(), *reading);
                windows.add(rule.accounts().drift, &scenario);
                panes.add(rule.accounts().operations, &scenario);
            }
            for (of, outcome) in [("windows", windows), ("panes", panes)] {
                lines += 1;
                let Outcome { good, late, ahead, windows, never_closed } = outcome;
                assert!(good >= 20 && windows > 0, "{}: {good} rows", scenario.name);
                if late + ahead > 0 || never_closed > 0 {
                    wrong.push(format!("{}, {reading:?}, {of}: {outcome:?}", scenario.name));
                }
            }
        }
    }
    assert!(lines > 200, "{lines} lines");
    assert!(wrong.is_empty(), "{} of {lines} lines:\n{}", wrong.len(), wrong.join("\n"));
}
