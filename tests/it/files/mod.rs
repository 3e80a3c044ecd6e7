//! The judgement of files: `check` and `baseline` against scipy, against the stream and against nothing moving.

mod check;
mod null;
mod oracle;
