//! Checkpoints: a restart from a damaged one goes on, or says which part is damaged.

use std::sync::OnceLock;

use driftline_pipeline::snapshot::Saved;
use driftline_world::World;

use crate::world;

/// Replaces a piece of one part of a sound checkpoint by the bytes, and restarts from it.
///
/// The first byte chooses the part, two say where, two how much is replaced.
pub fn check(data: &[u8]) {
    static WORLD: OnceLock<(World, Saved)> = OnceLock::new();
    let (world, sound) = WORLD.get_or_init(|| {
        let baseline = driftline_world::baseline(200, 8);
        let world = world::of(&baseline).expect("the settings fit the baseline");
        let saved = world::saved(&world);
        world.pipeline().restore(&saved, &world.config.limits).expect("it is sound");
        (world, saved)
    });
    let [part, at, at_high, cut, cut_high, bytes @ ..] = data else { return };
    let (at, cut) = (u16::from_le_bytes([*at, *at_high]), u16::from_le_bytes([*cut, *cut_high]));
    let mut saved = sound.clone();
    damage(&mut saved, usize::from(*part), |sound| {
        let from = usize::from(at).min(sound.len());
        let to = (from + usize::from(cut)).min(sound.len());
        sound.splice(from..to, bytes.iter().copied());
    });
    let mut pipeline = world.pipeline();
    match pipeline.restore(&saved, &world.config.limits) {
        Ok(_) => drop(pipeline.snapshot()),
        Err(error) => assert!(error.to_string().contains("--rebuild"), "{error}"),
    }
}

fn damage(saved: &mut Saved, part: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let windows = saved.windows.values_mut().flatten();
    let parts = saved.documents.values_mut().chain(windows).chain(saved.named.values_mut());
    let mut parts: Vec<&mut Vec<u8>> = parts.collect();
    let (count, part) = (parts.len(), part % (parts.len() + saved.outbox.len()));
    match parts.get_mut(part) {
        Some(bytes) => change(bytes),
        // The store leaves out a message that it cannot read, and says which.
        None => {
            let damaged = saved.outbox.remove(part - count);
            saved.unreadable.push(damaged.sequence);
        }
    }
}
