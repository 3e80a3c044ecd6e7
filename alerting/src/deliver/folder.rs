//! Mails as `.eml` files in a folder: whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::message::Letterhead;
use super::{Outcome, unwritable};
use crate::mail::Letter;

#[derive(Debug, Clone)]
pub(super) struct FolderSender {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) letterhead: Letterhead,
}

impl FolderSender {
    /// Writes a file into the folder and removes it again.
    pub(super) async fn reach(&self) -> Result<String, String> {
        let folder = self.folder.display();
        let probe = self.folder.join(".driftline-probe");
        let written = fs::create_dir_all(&self.folder)
            .and_then(|()| File::create(&probe))
            .and_then(|_| fs::remove_file(&probe));
        match written {
            Ok(()) => Ok(format!("the folder {folder} takes mails")),
            Err(error) => Err(format!("the folder {folder} does not take mails: {error}")),
        }
    }

    /// Writes `ID-RECEIVER.eml`; the same row again replaces the same file.
    pub(super) async fn send(&self, id: &str, letter: &Letter) -> Outcome {
        let bytes = match self.letterhead.write(letter, SystemTime::now()) {
            Ok(bytes) => bytes,
            Err(error) => return unwritable(&letter.mail, &error),
        };
        let stem = format!("{}-{}", file_name(id), file_name(&self.name));
        let folder = self.folder.clone();
        let written =
            tokio::task::spawn_blocking(move || write_whole(&folder, &stem, &bytes)).await;
        match written {
            Ok(Ok(())) => Outcome::Delivered,
            Ok(Err(error)) => Outcome::retry(format!(
                "the folder {} does not take the mail: {error}",
                self.folder.display()
            )),
            Err(error) => Outcome::retry(format!("writing the mail was interrupted: {error}")),
        }
    }
}

fn write_whole(folder: &Path, stem: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".{stem}.unfinished"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(format!("{stem}.eml")))
}

/// Keeps a name inside its folder.
fn file_name(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    text.chars().map(safe).collect()
}
