//! Rows that are read as often as a computation needs them, from a file or from elsewhere.

use std::ops::Range;

use driftline_analytics::report::Ledger;
use driftline_config::{Limits, Model, Subject};
use driftline_files::{Choices, FileError, Inferred, Mapping, PassedOver, Profile, Table, Target};
use driftline_pipeline::capture::{CaptureBatch, CaptureSchema};

use crate::{Audience, BatchError};

/// Rows that can be read again and again: those of a file, or of a topic's log.
pub trait RowSource {
    /// What errors and the baseline's provenance call it.
    fn name(&self) -> String;

    /// Stretches of time, in microseconds, of which it gives no rows though there are some.
    fn left_out(&self) -> &[Range<i64>] {
        &[]
    }

    /// Whether the rows have event times.
    fn has_time(&self) -> Result<bool, BatchError>;

    /// Whether the rows are requests that a model answered in production, so that their predictions
    /// are not those of its training rows.
    fn is_production(&self) -> bool;

    fn survey(&self, audience: &mut Audience<'_>) -> Result<Surveyed, BatchError>;

    /// Gives every batch of the rows, as captures of `schema`, to `see`.
    fn each(
        &self,
        schema: &CaptureSchema,
        audience: &mut Audience<'_>,
        see: &mut dyn FnMut(&CaptureBatch),
    ) -> Result<(), BatchError>;
}

/// What stands in the columns of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed {
    pub profile: Profile,
    /// What each column of the profile is.
    pub targets: Vec<Target>,
    /// The column of the event time, where one was named: captures may hold it as a feature too, and it
    /// is none that drifts.
    pub time: Option<Subject>,
}

/// The rows of a file or a query.
#[derive(Debug)]
pub struct FileRows {
    pub table: Table,
    pub mapping: Mapping,
    pub limits: Limits,
}

impl FileRows {
    /// The same of a model, whose topic's records the lines may be.
    ///
    /// # Errors
    /// As [`FileRows::open_table`].
    pub fn open_table_of(
        argument: &str,
        model: &Model,
        what: &str,
        audience: &mut Audience<'_>,
    ) -> Result<Table, FileError> {
        let open = |passed: &dyn Fn(u64)| Table::open_of(argument, Some(model), passed);
        let table = audience.watch(what, None, open)?;
        table.remarks().iter().for_each(|remark| audience.note(remark));
        say_passed_over(&table, audience.note);
        Ok(table)
    }

    /// Opens what a data argument names, and tells which lines of it are no rows. `what` says what the
    /// looking is for.
    ///
    /// # Errors
    /// [`FileError`]: missing, empty, or not of its format.
    pub fn open_table(
        argument: &str,
        what: &str,
        audience: &mut Audience<'_>,
    ) -> Result<Table, FileError> {
        let table = audience.watch(what, None, |passed| Table::open(argument, passed))?;
        table.remarks().iter().for_each(|remark| audience.note(remark));
        say_passed_over(&table, audience.note);
        Ok(table)
    }

    /// Tells what was not told of this table before: its rows are read more than once.
    pub(crate) fn tell(&self, sentences: &[String], audience: &mut Audience<'_>) {
        self.table.untold(sentences).iter().for_each(|sentence| audience.note(sentence));
    }
}

impl RowSource for FileRows {
    fn name(&self) -> String {
        self.table.name().to_owned()
    }

    fn has_time(&self) -> Result<bool, BatchError> {
        Ok(self.table.has_time(&self.mapping)?)
    }

    fn is_production(&self) -> bool {
        self.table.is_captures()
    }

    fn survey(&self, audience: &mut Audience<'_>) -> Result<Surveyed, BatchError> {
        let rows = self.table.rows();
        let profile =
            audience.watch("looking at the columns", rows, |passed| self.table.profile(passed))?;
        let profile = profile.clone();
        let targets = self.table.targets(&self.mapping, None)?;
        self.tell(&self.table.left_out(&targets), audience);
        let time = self.mapping.time.as_deref().map(Subject::of_column);
        Ok(Surveyed { profile, targets, time })
    }

    fn each(
        &self,
        schema: &CaptureSchema,
        audience: &mut Audience<'_>,
        see: &mut dyn FnMut(&CaptureBatch),
    ) -> Result<(), BatchError> {
        let what = format!("reading {}", self.table.name());
        audience
            .watch(&what, self.table.rows(), |passed| {
                let mut captures = self.table.captures(schema, &self.mapping, &self.limits)?;
                for batch in captures.by_ref() {
                    let batch = batch?;
                    see(&batch);
                    passed(batch.rows() as u64);
                }
                Ok::<_, BatchError>(captures.notes().to_vec())
            })
            .map(|notes| self.tell(&notes, audience))
    }
}

/// What the columns of a source are monitored as, and how many rows it has.
pub(crate) fn infer(
    rows: &dyn RowSource,
    choices: &Choices,
    audience: &mut Audience<'_>,
) -> Result<(u64, Inferred), BatchError> {
    let Surveyed { profile, targets, time } = rows.survey(audience)?;
    if profile.rows == 0 {
        return Err(FileError::Empty { name: rows.name(), what: "rows" }.into());
    }
    let mut inferred = profile.infer(&rows.name(), &targets, choices)?;
    if let Some(time) = time {
        inferred.schema.ignored.push(time);
        inferred.schema.ignored.sort_unstable();
        inferred.schema.ignored.dedup();
    }
    inferred.notes.iter().for_each(|line| audience.note(line));
    Ok((profile.rows, inferred))
}

/// Subjects of the model's columns in which a string that holds a number is that number.
pub fn coerced(model: &Model) -> Vec<Subject> {
    let coerced = model.features.iter().filter(|(_, feature)| feature.coerce);
    coerced.map(|(name, _)| Subject::feature(name)).collect()
}

/// Says which lines of a file of captures are no rows.
pub fn say_passed_over(table: &Table, note: &mut dyn FnMut(&str)) {
    let passed_over = table.passed_over();
    if let Some(first) = &passed_over.first_rejection {
        note(&format!("{} lines rejected; the first: {first}", passed_over.rejected));
    }
    if passed_over.skipped > 0 {
        note(&format!(
            "{}: {} lines of other models than the first line's skipped",
            table.name(),
            passed_over.skipped
        ));
    }
}

/// Lines of a file of captures that are no rows are records all the same.
pub(crate) fn ledger_of(lines: &PassedOver) -> Ledger {
    Ledger {
        read: lines.rejected + lines.skipped + lines.control,
        rejected: lines.rejected,
        skipped: lines.skipped,
        control: lines.control,
        ..Ledger::default()
    }
}
