//! `driftline replay`: a stored report, computed again from the log by its own cuts.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use driftline_analytics::budget::ScaleHistory;
use driftline_analytics::lane::Incomplete;
use driftline_analytics::report::{Cut, Ledger, PairCounts, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_capture::{Chunk, MarkKind};
use driftline_config::{Config, ModelId, Partition};
use driftline_ingest::OffsetRange;
use driftline_pipeline::judge::{Job, decide};

use super::configured;
use super::progress::RowsBar;
use super::recorded::{RecordedWindow, Source, StoredState, rows_of, say_gaps};

mod difference;
#[cfg(test)]
mod tests;

use difference::{Difference, first_difference};

/// Computes a stored report again.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Compute a stored report again from Kafka, by its own cuts, and compare the bytes",
    after_help = "Examples:\n  driftline replay --window flight-delay@20261109T000000Z.1d --threads 2"
)]
pub(crate) struct ReplayArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// Id of the window, as in its report
    #[arg(long, value_name = "ID")]
    pub(crate) window: String,
    /// Consumers that read the log side by side; the report is the same with any number
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub(crate) threads: NonZeroUsize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replay {
    /// The same bytes: the report.
    Same(String),
    /// The first place where the reports differ.
    Differs(Difference),
}

/// Runs the command: 0 where the bytes are the same, 1 where they are not.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let config = configured::load(&args.config)?;
    let (text, code) = match replay(&config, &args.window, args.threads)? {
        Replay::Same(report) => (format!("{report}\n"), ExitCode::SUCCESS),
        Replay::Differs(difference) => {
            (format!("{}: {difference}\n", args.window), ExitCode::from(1))
        }
    };
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(code)
}

/// Reads the rows of a window again by its cuts, counts and judges them under the settings, the
/// baselines and the history that were kept with the report, and compares.
///
/// The ledger of a window also covers the rows of other windows in its strip of the log, and which of
/// those were late is known by their windows' cuts alone, which this report does not have. So
/// `rejected`, `skipped`, `control` and the sum of `counted` and `late` are computed; how the sum
/// divides is taken from the stored report.
pub(crate) fn replay(
    config: &Config,
    window: &str,
    threads: NonZeroUsize,
) -> anyhow::Result<Replay> {
    let state = StoredState::open(&config.state)?;
    let recorded = RecordedWindow::find(&state, window, config)?;
    let newest = if recorded.setup.budget.ranks_anything() {
        let newest = state.newest(&recorded.report.model, &recorded.told.newest);
        newest.with_context(|| window.to_owned())?
    } else {
        ScaleHistory::default()
    };
    // A service that is being started waits for the folder.
    drop(state);
    let source = Source::new(config, &recorded);
    let (Counting { state, ledger, .. }, gaps) = counted(&recorded, &source, threads)?;
    if !gaps.is_empty() {
        let says = source.says_of_losses();
        anyhow::bail!("{window}: {}{says}", say_gaps(source.topic(), &gaps));
    }
    let stored = recorded.text.clone();
    let had_gap = recorded.report.window.incomplete.contains(&Incomplete::RetentionGap);
    let computed = judged(recorded, newest, state, ledger);
    match first_difference(&stored, &computed) {
        None => Ok(Replay::Same(computed)),
        // The offsets of a topic that was made again are those of other records.
        Some(difference) if had_gap => anyhow::bail!(
            "{window}: the log of topic {} does not hold what was counted (any more), records were lost or \
             the topic was made again while it was open: {difference}",
            source.topic()
        ),
        Some(difference) => match source.says_of_losses() {
            says if says.is_empty() => Ok(Replay::Differs(difference)),
            says => anyhow::bail!("{window}: {difference}{says}"),
        },
    }
}

/// Reads what the window counted, side by side in so many threads: all that is counted are sums. Also
/// returns what the log does not hold.
fn counted<'a>(
    recorded: &'a RecordedWindow,
    source: &Source,
    threads: NonZeroUsize,
) -> anyhow::Result<(Counting<'a>, Vec<OffsetRange>)> {
    let records = recorded.ranges.iter().map(|range| range.to - range.from).sum::<i64>();
    let progress = RowsBar::new("reading the log again", u64::try_from(records).ok());
    let read = |ranges: Vec<OffsetRange>| -> anyhow::Result<(Counting<'a>, Vec<OffsetRange>)> {
        let mut counting = Counting::new(recorded, source.topic());
        let gaps = source.read(&ranges, |chunk| {
            counting.count(chunk);
            progress.add(chunk.records);
            ControlFlow::Continue(())
        })?;
        Ok((counting, gaps))
    };
    // Halves may stand in any two ranges.
    let threads = if source.is_paired() { 1 } else { threads.get() };
    let shares = shares(&recorded.ranges, threads);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            shares.into_iter().map(|ranges| scope.spawn(|| read(ranges))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    drop(progress);
    let mut whole = Counting::new(recorded, source.topic());
    let mut all_gaps = Vec::new();
    for part in parts {
        let (counting, gaps) = part.map_err(|_| anyhow!("a reading thread panicked"))??;
        whole.state.merge(&recorded.setup.layout, &counting.state);
        whole.ledger += counting.ledger;
        all_gaps.extend(gaps);
    }
    Ok((whole, joined(all_gaps)))
}

/// Cuts every range into as many pieces as there are threads, so that each has as much to read.
fn shares(ranges: &[OffsetRange], threads: usize) -> Vec<Vec<OffsetRange>> {
    let pieces = i128::try_from(threads).unwrap_or(1);
    let share = |piece: i128| {
        let piece_of = |range: &OffsetRange| {
            let records = i128::from(range.to - range.from);
            // No rounding loses or repeats an offset: each piece ends where the next one begins.
            let bound = |piece: i128| range.from + (records * piece / pieces) as i64;
            let (from, to) = (bound(piece), bound(piece + 1));
            (from < to).then_some(OffsetRange { partition: range.partition, from, to })
        };
        ranges.iter().filter_map(piece_of).collect::<Vec<_>>()
    };
    (0..pieces).map(share).filter(|ranges| !ranges.is_empty()).collect()
}

/// Gaps that touch, as one: where threads divided the log is nobody's business.
fn joined(mut gaps: Vec<OffsetRange>) -> Vec<OffsetRange> {
    gaps.sort_unstable();
    let mut joined: Vec<OffsetRange> = Vec::new();
    for gap in gaps {
        match joined.last_mut() {
            Some(last) if last.partition == gap.partition && last.to == gap.from => {
                last.to = gap.to
            }
            _ => joined.push(gap),
        }
    }
    joined
}

struct Counting<'a> {
    recorded: &'a RecordedWindow,
    cuts: BTreeMap<Partition, Cut>,
    state: WindowState,
    /// Late rows stand among the counted.
    ledger: Ledger,
}

impl<'a> Counting<'a> {
    fn new(recorded: &'a RecordedWindow, topic: &str) -> Counting<'a> {
        let cuts = recorded.report.window.cuts.get(topic).cloned().unwrap_or_default();
        let state = WindowState::default();
        Counting { recorded, cuts, state, ledger: Ledger::default() }
    }

    fn count(&mut self, chunk: &Chunk) {
        if let Some(rows) = rows_of(chunk) {
            let chosen = self.recorded.selection.of(chunk.partition, rows);
            if !chosen.is_empty() {
                self.state.absorb(&self.recorded.setup.layout, rows, &chosen);
            }
        }
        // Rows of halves stand for records that were counted with the halves.
        if chunk.records > 0
            && let Some(cut) = self.cuts.get(&chunk.partition)
        {
            let strip = OffsetRange { partition: chunk.partition, from: cut.from, to: cut.to };
            self.ledger += outcomes(chunk, strip);
        }
    }
}

/// What became of the records of a chunk inside a strip; late rows stand among the counted.
fn outcomes(chunk: &Chunk, strip: OffsetRange) -> Ledger {
    let inside = |offset: &i64| (strip.from..strip.to).contains(offset);
    let mut ledger = Ledger::default();
    let of_rows = chunk.rows.iter().map(|rows| &rows.rows);
    for rows in of_rows.chain(chunk.halves.iter().map(|half| &half.rows)) {
        // A record of several rows is one record.
        let records = rows.offsets().chunk_by(|left, right| left == right);
        ledger.counted += records.filter(|rows| rows.iter().all(inside)).count() as u64;
    }
    for mark in chunk.marks.iter().filter(|mark| inside(&mark.offset)) {
        match mark.kind {
            MarkKind::Rejected(_) => ledger.rejected += 1,
            MarkKind::Skipped { .. } => ledger.skipped += 1,
            MarkKind::Heartbeat { .. } => ledger.control += 1,
        }
    }
    ledger.read = ledger.counted + ledger.rejected + ledger.skipped + ledger.control;
    ledger
}

/// How many rows found their response. Responses without a request, and what was given up, follow from what
/// was read before and after the window too, and are taken from the stored report.
fn counted_pairs(state: &WindowState, stored: PairCounts) -> PairCounts {
    let rows = state.rows();
    let response_missing = stored.response_missing.min(rows);
    PairCounts { paired: rows - response_missing, response_missing, ..stored }
}

/// The report by the judgement of the service. The stored one says how many of the accepted rows were
/// late.
fn judged(
    recorded: RecordedWindow,
    newest: ScaleHistory,
    state: WindowState,
    mut ledger: Ledger,
) -> String {
    let RecordedWindow { report, told, setup, selection, .. } = recorded;
    let stored = report.window;
    ledger.late = stored.ledger.late.min(ledger.counted);
    ledger.ahead = stored.ledger.ahead.min(ledger.counted - ledger.late);
    ledger.counted -= ledger.late + ledger.ahead;
    let pairs = stored.pairs.map(|stored| counted_pairs(&state, stored));
    let window = WindowMeta {
        pairs,
        parts: stored.parts,
        incomplete: stored.incomplete,
        previous: stored.previous,
        ledger,
        cuts: stored.cuts,
        ahead: stored.ahead,
        ahead_forgotten: stored.ahead_forgotten,
        ..WindowMeta::new(stored.id, selection.times_us)
    };
    let (setup, state) = (Arc::new(setup), Arc::new(state));
    let history = told.history;
    decide(&Job { model: ModelId(0), setup, state, window, history, newest }).json
}
