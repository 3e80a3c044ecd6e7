//! A state that was moved is the state that was there.

use std::time::Duration;

use driftline_store::StoreError;

use super::*;
use crate::commands::rig::filled;

fn loaded(state: &Path) -> (Contents, Vec<u8>) {
    let store = Store::open(state, Duration::ZERO, false).unwrap();
    let saved = store.load(&|_| false).unwrap();
    let documents = saved.documents.into_values().flatten();
    let windows = saved.windows.into_values().flatten().flatten();
    (store.contents().unwrap(), documents.chain(windows).collect())
}

#[test]
fn a_backup_beside_a_running_service_is_restored_to_the_same_state() {
    let rig = filled(50);
    rig.serve();
    let state = rig.config().state;
    let wanted = loaded(&state);
    assert!(wanted.0.models["m"].reports > 0);
    let base = tempfile::tempdir().unwrap();
    let held = Store::open(&state, Duration::ZERO, false).unwrap();
    for format in [2, 1] {
        let backup = base.path().join(format!("backup-{format}"));
        let said = back_up(&state, &backup, format).unwrap();
        assert!(said.contains(&format!("in format {format}")), "{said}");
        let again = back_up(&state, &backup, format).unwrap_err();
        assert!(again.to_string().contains("there is a file already"), "{again}");
        let folder = base.path().join(format!("state-{format}"));
        let said = restore(&folder, &backup, false, Screen::PLAIN).unwrap();
        assert_eq!(said.contains("of format 1"), format == 1, "{said}");
        assert!(loaded(&folder) == wanted, "format {format}");
    }
    // Into the folder of a running service nothing is restored.
    let refused = restore(&state, &base.path().join("backup-2"), true, Screen::PLAIN).unwrap_err();
    let cause = refused.downcast_ref::<StoreError>();
    assert!(matches!(cause, Some(StoreError::Locked { .. })), "{refused:#}");
    drop(held);
    let shown = table(&StoredState::open(&state).unwrap().contents().unwrap(), Screen::PLAIN);
    assert!(shown.starts_with("format 2; topics: ") && shown.contains("\nm "), "{shown}");
}
