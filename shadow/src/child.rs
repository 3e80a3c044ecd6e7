//! The process that scores a candidate: loads the library, locks itself up, and only then sees the model.
//!
//! It holds one model, knows no configuration, and is told everything over its standard input; when that
//! ends, or its parent does, so does it.

mod limits;
mod locks;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::error::{ShadowError, one_line};
use crate::model::Model;
use crate::runtime::Runtime;
use crate::wire::{Answer, AskedRows, Greeting, Outline, Reply, read_frame, write_frame};
use limits::Limits;

/// What a scoring process is asked to do, as it stands in its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Errand {
    /// For those who look at the list of processes.
    pub(crate) name: String,
    /// Most bytes of address space.
    pub(crate) memory_bytes: u64,
    /// Most processor time of the start until the model is loaded, in whole seconds.
    pub(crate) load_s: u64,
    /// Most processor time of one request, in whole seconds.
    pub(crate) run_s: u64,
    /// Where ONNX Runtime may be, in the order of trying.
    pub(crate) libraries: Vec<PathBuf>,
}

impl Errand {
    pub(crate) fn to_arguments(&self) -> Vec<OsString> {
        let numbers = [self.memory_bytes, self.load_s, self.run_s];
        let numbers = numbers.iter().map(|number| number.to_string().into());
        let name = std::iter::once(self.name.clone().into());
        name.chain(numbers).chain(self.libraries.iter().map(|path| path.clone().into())).collect()
    }

    fn from_arguments(arguments: &[OsString]) -> Option<Errand> {
        let [name, memory, load, run, libraries @ ..] = arguments else { return None };
        let number = |text: &OsString| text.to_str()?.parse().ok();
        Some(Errand {
            name: name.to_str()?.to_owned(),
            memory_bytes: number(memory)?,
            load_s: number(load)?,
            run_s: number(run)?,
            libraries: libraries.iter().map(PathBuf::from).collect(),
        })
    }
}

/// Is the scoring process of a candidate: what a program does that was started with
/// [`SCORE_COMMAND`](crate::SCORE_COMMAND) and these arguments after it. It returns when its standard input
/// ends.
///
/// # Errors
/// Arguments that are not those of [`Launch`](crate::Launch), and a parent that does not read.
pub fn score_for_parent(arguments: &[OsString]) -> io::Result<()> {
    let errand = Errand::from_arguments(arguments).ok_or_else(|| {
        io::Error::other("this command is for driftline itself, which scores candidates with it")
    })?;
    // Duplicates, since a line-buffered output would cut frames into pieces.
    let owned = |end: BorrowedFd<'_>| end.try_clone_to_owned().map(File::from);
    let mut parent = Parent { from: owned(io::stdin().as_fd())?, to: owned(io::stdout().as_fd())? };
    let limits = Limits::set(&errand)?;
    locks::close_for_writing();
    let runtime = match Runtime::load(&errand.libraries) {
        Ok(runtime) => runtime,
        Err(error) => return parent.say(&Reply::Refused(error.to_string())),
    };
    // The library is the operator's own and reads files. Everything after it comes from the model.
    let lacks = locks::close(parent.from.as_raw_fd(), parent.to.as_raw_fd());
    parent.say(&Reply::Greeting(Greeting { library: runtime.path().to_owned(), lacks }))?;
    let Some(mut model) = parent.model(&runtime)? else { return Ok(()) };
    while let Some(frame) = parent.hear()? {
        limits.renew();
        let rows = AskedRows::read(&frame).map_err(io::Error::other)?;
        let mut answer = answer(&mut model, &rows);
        answer.ran_ns = nanoseconds(limits.ran());
        parent.say(&Reply::Answer(answer))?;
    }
    Ok(())
}

/// The two ends of the sockets to the parent.
struct Parent {
    from: File,
    to: File,
}

impl Parent {
    fn say(&mut self, reply: &Reply) -> io::Result<()> {
        write_frame(&mut self.to, &reply.to_bytes())
    }

    fn hear(&mut self) -> io::Result<Option<Vec<u8>>> {
        read_frame(&mut self.from, u64::MAX)
    }

    /// The model that the parent sends; `None` where it sends none, or none that can be used.
    fn model(&mut self, runtime: &Runtime) -> io::Result<Option<Model>> {
        let Some(outline) = self.hear()? else { return Ok(None) };
        let outline: Outline = serde_json::from_slice(&outline)?;
        let Some(bytes) = self.hear()? else { return Ok(None) };
        match Model::of(&bytes, &outline.inputs, &outline.output, runtime) {
            Ok(model) => {
                self.say(&Reply::Loaded)?;
                Ok(Some(model))
            }
            Err(error) => {
                self.say(&Reply::Refused(error.to_string()))?;
                Ok(None)
            }
        }
    }
}

/// Scores the rows of a request, until one of its runs fails.
fn answer(model: &mut Model, rows: &AskedRows) -> Answer {
    let mut answer = Answer::default();
    if let Err(error) = score(model, rows, &mut answer) {
        answer.problem = Some(one_line(error));
    }
    answer
}

fn score(model: &mut Model, rows: &AskedRows, into: &mut Answer) -> Result<(), ShadowError> {
    let AskedRows { batch, together, single } = rows;
    if !together.is_empty() {
        let took = run(model, batch, together, into)?;
        into.batch_rows = into.scores.rows.len() as u64;
        into.batch_ns = nanoseconds(took);
    }
    for row in single {
        let before = into.scores.rows.len();
        let took = run(model, batch, &[*row], into)?;
        if into.scores.rows.len() > before {
            into.single_ns.push(nanoseconds(took));
        }
    }
    Ok(())
}

fn run(
    model: &mut Model,
    batch: &RecordBatch,
    rows: &[u32],
    into: &mut Answer,
) -> Result<Duration, ShadowError> {
    let started = Instant::now();
    let scores = model.score(batch, rows)?;
    let took = started.elapsed();
    into.scores.append(scores);
    Ok(took)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_survives_the_arguments() {
        let errand = Errand {
            name: "spring".to_owned(),
            memory_bytes: 2 << 30,
            load_s: 60,
            run_s: 30,
            libraries: vec!["/opt/a library.so".into(), "b.so".into()],
        };
        assert_eq!(Errand::from_arguments(&errand.to_arguments()), Some(errand));
        for wrong in [&["a", "1", "2"][..], &["a", "1", "2", "three"], &[]] {
            let arguments: Vec<OsString> = wrong.iter().map(OsString::from).collect();
            assert_eq!(Errand::from_arguments(&arguments), None, "{wrong:?}");
        }
    }
}
