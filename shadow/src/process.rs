//! The process of a candidate, as its lane sees it: started, asked, and ended when it takes too long.

mod death;

use std::ffi::OsString;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};
use driftline_capture::columns::WRONG_TYPE_PREFIX;
use driftline_config::Candidate;
use rustix::io::ioctl_fionbio;

use crate::child::Errand;
use crate::error::{ShadowError, one_line};
use crate::file;
use crate::model::{Scores, values_of};
use crate::wire::{
    Answer, Greeting, LARGEST_REPLY, Outline, Reply, read_frame, rows_frame, write_frame,
};
use death::Cause;
pub(crate) use death::Death;

/// The command of a program that is [`score_for_parent`](crate::score_for_parent).
pub const SCORE_COMMAND: &str = "score-candidate";

/// So many times its processor time a process may take by the clock: it stands back for all others.
const PATIENCE: u32 = 10;
/// What keeps ONNX Runtime from a database in the home folder and a thread that sends it off: both would be met
/// by the locks, and neither is anybody's business here.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
/// How much of what a process said before it died is looked at.
const LAST_WORDS_BYTES: u64 = 4096;

/// How the processes of candidates are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// A program that is [`score_for_parent`](crate::score_for_parent) when [`SCORE_COMMAND`] is its first
    /// argument.
    pub program: PathBuf,
    /// Where ONNX Runtime may be, in the order of trying.
    pub libraries: Vec<PathBuf>,
    /// Most bytes of a model's file.
    pub model_bytes: u64,
    /// Most bytes of address space.
    pub memory_bytes: u64,
    /// Most processor time of loading the library and the model. Ten times as long by the clock.
    pub load: Duration,
    /// Most processor time of one request, of 512 rows at most. Ten times as long by the clock.
    pub run: Duration,
    /// Whether to go on where the kernel lacks a lock.
    pub unsandboxed: bool,
}

/// What stands around a candidate on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The ONNX Runtime library that is used.
    pub library: PathBuf,
    /// The locks that this kernel lacks; empty where all hold.
    pub lacks: Vec<String>,
}

impl Launch {
    /// Starts a process without a model, and says what it met.
    ///
    /// # Errors
    /// A library that cannot be used, and a process that dies of it.
    pub fn look_around(&self) -> Result<Surroundings, ShadowError> {
        let (_, Greeting { library, lacks }) = Process::start(self, "none", &|_| ())?;
        Ok(Surroundings { library, lacks })
    }

    /// Loads a candidate's file in a process of its own.
    ///
    /// # Errors
    /// Whatever keeps it from being scored.
    pub fn open(&self, candidate: &Candidate) -> Result<Process, ShadowError> {
        Ok(Process::open(self, candidate, &|_| ())?)
    }
}

/// Why there is no process, or no answer of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It will never score.
    Refused(ShadowError),
    /// Another may be started.
    Died(Death),
}

impl From<Failure> for ShadowError {
    fn from(failure: Failure) -> ShadowError {
        match failure {
            Failure::Refused(error) => error,
            Failure::Died(death) => ShadowError::Told { says: death.to_string() },
        }
    }
}

/// Ends a process from another thread.
pub(crate) type Stop = Box<dyn Fn() + Send + Sync>;

/// Rows that are to be scored, those of which that are marked one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) batch: &'a RecordBatch,
    /// Rows of the batch.
    pub(crate) rows: &'a [u32],
    /// For each of the rows.
    pub(crate) single: &'a [bool],
}

/// A process with a candidate's model. It ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    line: UnixStream,
    last_words: PipeReader,
    run: Duration,
}

impl Process {
    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Scores rows of a batch together, as a lane does it with each slice: 512 of them are the most at once.
    ///
    /// # Errors
    /// When the batch lacks a feature, a run fails or the process dies.
    pub fn scores(&mut self, batch: &RecordBatch, rows: &[u32]) -> Result<Scores, ShadowError> {
        let single = vec![false; rows.len()];
        let answer = self.score(&Request { batch, rows, single: &single })?;
        match answer.problem {
            Some(says) => Err(ShadowError::Told { says }),
            None => Ok(answer.scores),
        }
    }

    /// Starts a process, which loads the candidate's model. What ends it early is given to `stops` as soon as
    /// there is something to end.
    pub(crate) fn open(
        launch: &Launch,
        candidate: &Candidate,
        stops: &dyn Fn(Stop),
    ) -> Result<Process, Failure> {
        let (process, Greeting { lacks, .. }) = Process::start(launch, &candidate.name, stops)?;
        if !lacks.is_empty() && !launch.unsandboxed {
            return Err(Failure::Refused(ShadowError::Sandbox { lacks }));
        }
        let model = file::read(candidate, launch.model_bytes).map_err(Failure::Refused)?;
        let outline =
            Outline { inputs: candidate.inputs.clone(), output: candidate.output.clone() };
        let outline = serde_json::to_vec(&outline)
            .map_err(|error| Failure::Refused(ShadowError::Inputs { reason: one_line(error) }))?;
        let deadline = Instant::now() + launch.load * PATIENCE;
        let sent = process.send(deadline, |line| {
            write_frame(line, &outline)?;
            write_frame(line, &model)
        });
        // The process has its own copy by now.
        drop(model);
        match sent.and_then(|()| process.receive(deadline, 0)) {
            Ok(Reply::Loaded) => Ok(process),
            Ok(Reply::Refused(says)) => Err(Failure::Refused(ShadowError::Told { says })),
            Ok(_) => Err(process.died_loading(launch, Cause::Nonsense)),
            Err(cause) => Err(process.died_loading(launch, cause)),
        }
    }

    fn start(
        launch: &Launch,
        name: &str,
        stops: &dyn Fn(Stop),
    ) -> Result<(Process, Greeting), Failure> {
        let process = Process::spawn(launch, name)
            .map_err(|error| Failure::Died(Death::unborn(one_line(error))))?;
        if let Ok(line) = process.line.try_clone() {
            stops(Box::new(move || drop(line.shutdown(Shutdown::Both))));
        }
        match process.receive(Instant::now() + launch.load * PATIENCE, 0) {
            Ok(Reply::Greeting(greeting)) => Ok((process, greeting)),
            Ok(Reply::Refused(says)) => Err(Failure::Refused(ShadowError::Told { says })),
            Ok(_) => Err(process.died_loading(launch, Cause::Nonsense)),
            Err(cause) => Err(process.died_loading(launch, cause)),
        }
    }

    fn spawn(launch: &Launch, name: &str) -> io::Result<Process> {
        let (ours, theirs) = UnixStream::pair()?;
        let (last_words, stderr) = io::pipe()?;
        // Nobody reads it before the end: what does not fit is lost, rather than waited for.
        ioctl_fionbio(&stderr, true)?;
        let errand = Errand {
            name: name.to_owned(),
            memory_bytes: launch.memory_bytes,
            load_s: whole_seconds(launch.load),
            run_s: whole_seconds(launch.run),
            libraries: launch.libraries.clone(),
        };
        let arguments = [OsString::from(SCORE_COMMAND)].into_iter().chain(errand.to_arguments());
        let child = Command::new(&launch.program)
            .arg0("driftline")
            .args(arguments)
            .env_clear()
            .env(NO_TELEMETRY, "1")
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(stderr))
            .spawn()?;
        Ok(Process { child, line: ours, last_words, run: launch.run })
    }

    /// Scores the rows; those of the answer are rows of the batch.
    pub(crate) fn score(&mut self, request: &Request<'_>) -> Result<Answer, Failure> {
        let frame = rows_frame(features_of(request), request.single.to_vec())
            .map_err(|error| Failure::Refused(ShadowError::Inputs { reason: one_line(error) }))?;
        let deadline = Instant::now() + self.run * PATIENCE;
        let sent = self.send(deadline, |line| line.write_all(&frame));
        let cause = match sent.and_then(|()| self.receive(deadline, request.rows.len())) {
            Ok(Reply::Answer(mut answer)) => {
                let batch_row = |place: &u32| request.rows.get(*place as usize).copied();
                answer.scores.rows = answer.scores.rows.iter().filter_map(batch_row).collect();
                return Ok(answer);
            }
            Ok(_) => Cause::Nonsense,
            Err(cause) => cause,
        };
        let limit = self.run;
        Err(Failure::Died(self.end(cause).scoring(limit)))
    }

    fn send(
        &self,
        deadline: Instant,
        write: impl FnOnce(&mut Timed<'_>) -> io::Result<()>,
    ) -> Result<(), Cause> {
        write(&mut Timed { line: &self.line, deadline }).map_err(|error| Cause::of(&error))
    }

    fn receive(&self, deadline: Instant, rows: usize) -> Result<Reply, Cause> {
        match read_frame(&mut Timed { line: &self.line, deadline }, LARGEST_REPLY) {
            Ok(Some(frame)) => Reply::read(&frame, rows).ok_or(Cause::Nonsense),
            Ok(None) => Err(Cause::Ended),
            Err(error) => Err(Cause::of(&error)),
        }
    }

    fn died_loading(mut self, launch: &Launch, cause: Cause) -> Failure {
        Failure::Died(self.end(cause).loading(launch.load))
    }

    /// Ends the process, where it has not ended, and says what it died of.
    fn end(&mut self, cause: Cause) -> Death {
        // One that has ended already keeps the status that it ended with.
        let status = self.child.kill().and_then(|()| self.child.wait());
        let mut last_words = Vec::new();
        // All that can be read is there: nobody is left who writes.
        if status.is_ok() {
            let _ = (&self.last_words).take(LAST_WORDS_BYTES).read_to_end(&mut last_words);
        }
        Death::of(cause, status, &String::from_utf8_lossy(&last_words))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            tracing::error!(%error, "the process of a candidate cannot be ended");
        }
    }
}

/// A line to a process on which nothing takes longer than until the deadline.
struct Timed<'a> {
    line: &'a UnixStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.line.set_read_timeout(self.left()?)?;
        self.line.read(bytes)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.set_write_timeout(self.left()?)?;
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The columns that a model may read, of the rows alone and in the two types that it reads; a column that
/// cannot be brought into them is left out, and missed by name.
fn features_of(request: &Request<'_>) -> RecordBatch {
    let Request { batch, rows, .. } = *request;
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in batch.schema_ref().fields() {
        let name = field.name();
        let subject = name.strip_prefix(WRONG_TYPE_PREFIX).unwrap_or(name);
        if !subject.starts_with("feature:") {
            continue;
        }
        let taken = values_of(batch, name).and_then(|values| of_rows(&values, rows));
        if let Some(values) = taken {
            fields.push(Arc::new(Field::new(name, values.data_type().clone(), true)));
            columns.push(values);
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
        .unwrap_or_else(|_| RecordBatch::new_empty(schema))
}

fn of_rows(values: &ArrayRef, rows: &[u32]) -> Option<ArrayRef> {
    let first = rows.first().map_or(0, |row| *row as usize);
    let one_stretch = (first..).zip(rows).all(|(place, row)| place == *row as usize);
    if one_stretch && first + rows.len() <= values.len() {
        return Some(values.slice(first, rows.len()));
    }
    take(values, &UInt32Array::from(rows.to_vec()), None).ok()
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    /// Of a signal, while rows were scored.
    pub(crate) fn died(signal: i32) -> Death {
        let status = Ok(ExitStatus::from_raw(signal));
        Death::of(Cause::Ended, status, "").scoring(Duration::from_secs(30))
    }
}
