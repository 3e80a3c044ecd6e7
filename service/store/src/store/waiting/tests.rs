//! The join over redb says what it says over memory, whatever dies.

use std::time::Duration;

use driftline_join::{Changes, Join, MemoryPages, Page, PageKey, Pages, Said, Value, drive};
use driftline_pipeline::snapshot::Snapshot;
use fastrand::Rng;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase};

use super::super::begin_write;
use super::{WAITING, read_pages, resident_pages, write};
use crate::Store;
use world::{
    Keeps, expected, id, interleaved, label, prediction, read, read_through_crashes, records,
    settings,
};

#[path = "../../../../join/tests/it/world.rs"]
mod world;

const WORLDS: u64 = 2000;
const ORDERS: u64 = 5;

/// The table alone, without a file: thousands of runs would wait for the disk.
struct Table {
    database: Database,
}

impl Table {
    fn new() -> Table {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let table = Table { database };
        table.keep_in(&Changes::default()).commit().unwrap();
        table
    }

    /// A transaction that holds changes and is not committed.
    fn keep_in(&self, changes: &Changes) -> redb::WriteTransaction {
        let transaction = begin_write(&self.database).unwrap();
        transaction.open_table(WAITING).unwrap();
        write(&transaction, changes).unwrap();
        transaction
    }
}

impl Pages for Table {
    type Error = redb::Error;

    fn read(&self, keys: &[PageKey]) -> Result<Vec<Page>, redb::Error> {
        read_pages(&self.database.begin_read()?, keys)
    }

    fn resident(&self, room: u32) -> Result<Vec<Page>, redb::Error> {
        resident_pages(&self.database.begin_read()?, room)
    }
}

impl Keeps for Table {
    fn keep(&mut self, changes: &Changes) {
        // A process that dies before it commits leaves nothing.
        self.keep_in(changes).abort().unwrap();
        self.keep_in(changes).commit().unwrap();
    }
}

#[test]
fn any_order_comes_to_the_same_over_redb_and_memory() {
    for world in 0..WORLDS {
        let mut rng = Rng::with_seed(world);
        let settings = settings(rng.bool());
        let records = records(&mut rng);
        let in_memory = {
            let reads = interleaved(&records, &mut rng);
            read(settings, &reads, &mut MemoryPages::default(), &mut rng)
        };
        assert_eq!(in_memory.sums, expected(settings, &records), "world {world}");
        for order in 0..ORDERS {
            let reads = interleaved(&records, &mut rng);
            let in_redb = read_through_crashes(settings, &reads, &mut Table::new(), &mut rng);
            assert_eq!(in_memory, in_redb, "world {world}, order {order}");
        }
    }
}

#[test]
fn a_restart_finds_what_waits_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path(), Duration::ZERO, false).unwrap();
    let mut store = open();
    let settings = settings(false);
    let mut join = Join::new(settings);
    let ids = (0..50).map(|number| id(&format!("{number}")));
    for id in ids.clone() {
        join.predict(prediction(id, 10));
        drive(&mut join, &store).unwrap();
        let changes = join.commit().unwrap();
        store.commit_with(&Snapshot::default(), &[changes]).unwrap();
        join.committed();
        drop(store);
        store = open();
        join = Join::restore(settings, store.resident(settings.room).unwrap()).unwrap();
    }
    let said = Said::Value(Value::Code(1));
    (0..).zip(ids).for_each(|(offset, id)| join.label(label(id, 20, offset, said)));
    assert_eq!(drive(&mut join, &store).unwrap().len(), 50);
    assert!(store.contents().is_ok(), "every page agrees with its checksum");
}
