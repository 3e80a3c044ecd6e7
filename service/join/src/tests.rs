//! Packed rows come back as they were, pages are found, and damage is an error.

use crate::bytes::{Damaged, Reader};
use crate::id::{IdHash, IdHasher};
use crate::label::{Label, Order, Placed, Said};
use crate::page::{PAGE_BYTES, PageKey, PageKind};
use crate::prediction::{Candidate, Prediction, Value};
use crate::run::{Builder, Row, rows_of};

fn predictions() -> Vec<Prediction> {
    let plain = Prediction {
        id: IdHash(7 << 64 | 9),
        ts_us: 5_003_000,
        window: Some(17),
        version: 3,
        value: Value::Number(0.25),
        weight: 1.0,
        bins: Box::default(),
        candidates: Box::default(),
    };
    vec![
        plain.clone(),
        Prediction { value: Value::Code(513), window: None, ..plain.clone() },
        Prediction { weight: 20.0, value: Value::Number(f64::NAN), ..plain.clone() },
        Prediction {
            bins: (0..8).collect(),
            candidates: (0..8).map(|slot| Candidate { slot, score: 0.5 }).collect(),
            ..plain
        },
    ]
}

fn labels() -> Vec<Placed> {
    let order = Order { ts_us: -5, partition: 70_000, offset: u64::MAX };
    let said = [Said::Retracted, Said::Value(Value::Code(2)), Said::Value(Value::Number(-0.0))];
    let captures = [None, Some(5)];
    let labels = said.into_iter().flat_map(|said| captures.map(|it| (said, it)));
    let label = |(said, capture_ts_us)| Label { id: IdHash(u128::MAX), order, said, capture_ts_us };
    labels.map(label).map(|label| Placed { label, is_home: true }).collect()
}

/// Every row is as long as it says, comes back, and cut anywhere is an error.
fn check<R: Row + PartialEq + std::fmt::Debug>(rows: &[R]) {
    for row in rows {
        let mut bytes = Vec::new();
        row.write(5_000_000, &mut bytes);
        assert_eq!(R::length(&bytes), Ok(bytes.len()));
        let read = R::read(&mut Reader::new(&bytes, R::WHAT), 5_000_000);
        assert_eq!(read.as_ref(), Ok(row));
        for length in 1..bytes.len() {
            let (cut, mut rows) = (&bytes[..length], Vec::<R>::new());
            let read = rows_of(cut, 0, 0..=u128::MAX, &mut rows);
            assert_eq!(read, Err(Damaged::Short { what: R::WHAT }), "{length} of {row:?}");
        }
    }
}

#[test]
fn packed_rows_come_back() {
    check(&predictions());
    check(&labels());
    let [plain, .., full] = &predictions()[..] else { panic!("there are several") };
    for (row, bytes) in [(plain, 34), (full, 34 + 9 + 73)] {
        let mut into = Vec::new();
        row.write(0, &mut into);
        assert_eq!(into.len(), bytes);
    }
}

/// Rows of one prefix may fill more than a page: all of its pages are looked at.
#[test]
fn rows_are_found_in_all_pages_that_may_have_them() {
    let kind = PageKind::Predictions;
    let key = PageKey { room: 1, kind, bucket: -1, run: 1, page: 0 };
    let row = |prefix: u128, low: u128| Prediction {
        id: IdHash(prefix << 64 | low),
        ..predictions().swap_remove(0)
    };
    let mut builder = Builder::new(key, false, 0, 1000);
    let mut rows: Vec<Prediction> = (0..300).map(|low| row(5, low)).collect();
    rows.extend((6..900).map(|prefix| row(prefix, 0)));
    rows.iter().for_each(|row| builder.push(row));
    let (run, pages) = builder.finish();
    let of_rows: Vec<_> = pages.iter().filter(|page| page.key.kind == kind).collect();
    assert!(of_rows.iter().all(|page| page.bytes.len() <= PAGE_BYTES));
    for row in &rows {
        assert!(run.may_have(row.id));
        let mut found: Vec<Prediction> = Vec::new();
        for page in run.pages_of(row.id.prefix()) {
            let page = of_rows[page as usize];
            rows_of(&page.bytes, 0, row.id.0..=row.id.0, &mut found).unwrap();
        }
        assert_eq!(found.len(), 1, "{row:?}");
    }
    let strangers =
        (0..10_000_u64).map(|number| IdHasher::new([1; 16]).hash("m", &number.to_le_bytes()));
    let taken_for_known = strangers.filter(|id| run.may_have(id.unwrap())).count();
    assert!(taken_for_known < 150, "{taken_for_known} of 10 000");
}

#[test]
fn keys_are_ordered_as_their_bytes() {
    let mut keys = Vec::new();
    for kind in [PageKind::State, PageKind::Journal, PageKind::Labels] {
        for bucket in [i64::MIN, -1, 0, 1, i64::MAX] {
            for (run, page) in [(0, 0), (0, 256), (1, 0)] {
                keys.push(PageKey { room: 3, kind, bucket, run, page });
            }
        }
    }
    assert!(keys.is_sorted() && keys.iter().map(|key| key.to_bytes()).is_sorted());
    for key in keys {
        assert_eq!(PageKey::from_bytes(&key.to_bytes()), Some(key));
    }
}

/// The published vector of SipHash-2-4-128 for the key 00 … 0f and the bytes 00 01.
#[test]
fn ids_are_hashed_as_published() {
    let key = std::array::from_fn(|at| at as u8);
    let hash = IdHasher::new(key).hash("", &[1]).unwrap();
    let published = [
        0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff,
        0xe4,
    ];
    assert_eq!(hash.0.to_le_bytes(), published);
}
