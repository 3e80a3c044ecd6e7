//! What keeps us from watching well, and since when. It is not in the checkpoint, only the incidents that
//! follow from it: after a restart it is met again, or it is over.

use std::collections::BTreeMap;

use driftline_alerting::Evidence;
use driftline_config::TopicId;
use driftline_config::time::{MINUTE_US, duration_words};

use crate::signals;

/// How long reading or dead letters must be in trouble before somebody is told: a broker that restarts
/// or a partition that changes its leader is back by then.
const TROUBLE_FOR_US: i64 = 5 * MINUTE_US;

/// Trouble of reading and of dead letters.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// By topic; `None` is the broker.
    reading: BTreeMap<Option<TopicId>, Trouble>,
    /// When the last trouble of each was over.
    over_us: BTreeMap<Option<TopicId>, i64>,
    dead_letters: Option<Trouble>,
}

#[derive(Debug, Clone)]
struct Trouble {
    since_us: i64,
    says: String,
}

impl Troubles {
    /// Reading of a topic, or of the broker, is in trouble, or goes on.
    pub(crate) fn reading(&mut self, topic: Option<TopicId>, says: Option<String>, now_us: i64) {
        let mut known = self.reading.remove(&topic);
        if known.is_some() && says.is_none() {
            self.over_us.insert(topic, now_us);
        }
        update(&mut known, says, now_us);
        self.reading.extend(known.map(|trouble| (topic, trouble)));
    }

    /// Dead letters do not arrive, or do again.
    pub(crate) fn dead_letters(&mut self, says: Option<String>, now_us: i64) {
        update(&mut self.dead_letters, says, now_us);
    }

    /// Since when a topic has been read without trouble, as far as is known; `None` while it is not.
    pub(crate) fn read_since_us(&self, topic: TopicId) -> Option<i64> {
        let keys = [None, Some(topic)];
        let in_trouble = keys.iter().any(|key| self.reading.contains_key(key));
        // Where no trouble was, none is over.
        let over_us = keys.iter().filter_map(|key| self.over_us.get(key)).max();
        (!in_trouble).then(|| over_us.copied().unwrap_or(i64::MIN))
    }

    /// What has lasted long enough to tell of a topic.
    pub(crate) fn lasting(&self, topic: TopicId, name: &str, now_us: i64) -> Vec<Evidence> {
        // Most topics are in none.
        let reading = [None, Some(topic)].into_iter().filter_map(|key| self.reading.get(&key));
        let reading = reading.map(|trouble| ("reading", "has not been read", trouble));
        let letters = self.dead_letters.iter();
        let letters =
            letters.map(|trouble| ("dead letters", "could not hand on a reject", trouble));
        let lasting = |trouble: &Trouble| now_us.saturating_sub(trouble.since_us) >= TROUBLE_FOR_US;
        let told = reading.chain(letters).filter(|(_, _, trouble)| lasting(trouble));
        told.map(|(subject, what, trouble)| {
            let lasted = duration_words(now_us - trouble.since_us);
            let because = format!("{name} {what} for {lasted}: {}", trouble.says);
            signals::of_the_clock(subject, "driftline", because, trouble.since_us)
        })
        .collect()
    }
}

fn update(known: &mut Option<Trouble>, says: Option<String>, now_us: i64) {
    let since_us = known.as_ref().map_or(now_us, |trouble| trouble.since_us);
    *known = says.map(|says| Trouble { since_us, says });
}
