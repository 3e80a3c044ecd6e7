//! The budget against an independent implementation: `tests/data/budget.json`, written by
//! `tests/oracle_budget.py`, which works from the values of the same rows.

use serde_json::Value;

use super::*;

const LIVE: usize = 14;

fn rows(random: &mut Lehmer, kind: u64, shift: u64) -> Day {
    let count = 30 + random.next(60);
    (0..count)
        .map(|_| {
            let mut delay = random.next(12);
            if kind == 1 && random.next(3) > 0 {
                delay = 0;
            }
            let delay = Some((delay + shift) as f64).filter(|_| random.next(40) > 0);
            let mut carrier = format!("c{}", random.next(7) * random.next(3));
            if random.next(60) == 0 {
                carrier = format!("r{}", random.next(400));
            }
            let score = f64::from(u8::from(random.next(9) == 0));
            Row { delay, carrier: Some(carrier), score: Some(score), ..Row::default() }
        })
        .collect()
}

fn days(seed: u64) -> (Vec<Day>, Vec<Day>) {
    let mut random = Lehmer::new(seed);
    let kind = seed % 3;
    let own = 36 + random.next(30) as usize;
    let mut wander = 0;
    let mut days = Vec::new();
    for day in 0..own + LIVE {
        if kind == 2 && random.next(3) == 0 {
            wander = random.next(3);
        }
        let changes = day >= own + 5 && seed.is_multiple_of(2);
        let change = if changes { 1 + random.next(3) } else { 0 };
        days.push(rows(&mut random, kind, wander + change));
    }
    let live = days.split_off(own);
    (days, live)
}

#[test]
fn ranks_maxima_and_since_are_those_of_python() {
    let all: Value = serde_json::from_str(include_str!("../../../tests/data/budget.json")).unwrap();
    let at_most = all["at_most"].as_f64().unwrap();
    let close = |found: f64, expected: &Value, what: &str| {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found} {expected}");
    };
    let mut windows = 0;
    let mut ties = 0;
    for case in all["cases"].as_array().unwrap() {
        let seed = case["seed"].as_u64().unwrap();
        let (own, live) = days(seed);
        let mut monitored = Monitored::new(&own, |model| model.false_alarms.at_most = at_most);
        let budget = &monitored.budget;
        assert_eq!(case["own"], budget.own_windows() as u64, "case {seed}");
        assert_eq!(case["lag"], budget.lag(), "case {seed}");
        for (place, maximum) in Maximum::ALL.into_iter().enumerate() {
            assert_eq!(case["ranks"][place], budget.rank(maximum) as u64, "case {seed}");
            let expected = &case["thresholds"][place];
            match budget.threshold(maximum) {
                Some(found) => close(found, expected, &format!("case {seed} {maximum:?}")),
                None => assert!(expected.is_null(), "case {seed} {maximum:?}"),
            }
        }
        windows += own.len() + live.len();
        for (rows, expected) in live.into_iter().zip(case["windows"].as_array().unwrap()) {
            let standing = monitored.next(rows);
            for extreme in &standing.extremes {
                let place = extreme.maximum.place();
                let of = format!("case {seed} {:?}", extreme.maximum);
                close(extreme.value, &expected[place][0], &of);
                assert_eq!(expected[place][1], extreme.pages(), "{of}");
                let since = monitored.windows_back(&standing, extreme.maximum);
                // Where two borders or two starts are equal to the last bit, either is right.
                let same = expected[place][2].as_u64() == since;
                ties += u32::from(!same);
            }
        }
    }
    assert!(windows > 3000, "{windows}");
    assert!(ties < 10, "{ties} starts differ");
}
