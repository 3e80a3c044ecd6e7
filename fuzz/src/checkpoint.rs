//! Checkpoints: a restart from a damaged one goes on, or says which part is damaged.

use std::sync::OnceLock;

use driftline::checkpoint::Saved;

use crate::world::{World, baseline};

/// Replaces a piece of one part of a sound checkpoint by the bytes, and restarts from it.
///
/// The first byte chooses the part, two say where, two how much is replaced.
pub fn check(data: &[u8]) {
    static WORLD: OnceLock<(World, Saved)> = OnceLock::new();
    let (world, sound) = WORLD.get_or_init(|| {
        let world = World::of(&baseline()).expect("the settings fit the baseline");
        let saved = world.saved();
        world.pipeline().restore(&saved, world.limits()).expect("it is sound");
        (world, saved)
    });
    let [part, at, at_high, cut, cut_high, bytes @ ..] = data else { return };
    let (at, cut) = (u16::from_le_bytes([*at, *at_high]), u16::from_le_bytes([*cut, *cut_high]));
    let mut saved = Saved {
        documents: sound.documents.clone(),
        windows: sound.windows.clone(),
        named: sound.named.clone(),
        outbox: sound.outbox.clone(),
    };
    damage(&mut saved, usize::from(*part), |sound| {
        let from = usize::from(at).min(sound.len());
        let to = (from + usize::from(cut)).min(sound.len());
        sound.splice(from..to, bytes.iter().copied());
    });
    let mut pipeline = world.pipeline();
    match pipeline.restore(&saved, world.limits()) {
        Ok(_) => drop(pipeline.snapshot()),
        Err(error) => assert!(error.to_string().contains("--rebuild"), "{error}"),
    }
}

fn damage(saved: &mut Saved, part: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let windows = saved.windows.values_mut().flatten();
    let parts = saved.documents.values_mut().chain(windows).chain(saved.named.values_mut());
    let mut parts: Vec<&mut Vec<u8>> = parts.collect();
    let count = parts.len();
    let part = part % (count + saved.outbox.len());
    if let Some(bytes) = parts.get_mut(part) {
        return change(bytes);
    }
    if let Some(item) = saved.outbox.get_mut(part - count) {
        let mut bytes = item.body.clone().into_bytes();
        change(&mut bytes);
        item.body = String::from_utf8_lossy(&bytes).into_owned();
    }
}
