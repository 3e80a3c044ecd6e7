//! Objects of a store (`s3://`, `gs://`, `az://`) as files: copied first, since rows are read more than once.

use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use glob::Pattern;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, parse_url_opts};
use url::Url;

use super::error::FileError;
use super::paths::{Copies, FileFormat, OPTIONS};

/// The beginnings of what names objects.
const SCHEMES: [&str; 7] = ["s3://", "s3a://", "gs://", "az://", "abfs://", "abfss://", "adl://"];
/// Bytes that one argument may copy: more than a comparison of files is made for, and than most temporary
/// folders hold.
const MOST_BYTES: u64 = 64 << 30;
/// Objects that one argument may copy.
const MOST_OBJECTS: usize = 100_000;

/// Whether an argument names objects of a store.
pub(crate) fn is_url(argument: &str) -> bool {
    SCHEMES.iter().any(|scheme| argument.starts_with(scheme))
}

/// Copies the objects that are meant into a folder: one object, those below a key, or those that match
/// `*`, `?`, `[…]`. Credentials are those of the environment.
///
/// # Errors
/// [`FileError::Objects`]: no such object, no right to read it, too much, or nowhere to put it.
pub(crate) fn fetch(argument: &str) -> Result<Copies, FileError> {
    // A query asks for files while its own runtime runs.
    let fetched = std::thread::scope(|scope| {
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failed(argument, &error))?;
            runtime.block_on(copy(argument))
        };
        scope.spawn(work).join()
    });
    fetched.unwrap_or_else(|_| Err(refused(argument, "reading the store ended unexpectedly")))
}

async fn copy(argument: &str) -> Result<Copies, FileError> {
    let url = Url::parse(argument).map_err(|error| failed(argument, &error))?;
    let (store, key) =
        parse_url_opts(&url, std::env::vars()).map_err(|error| failed(argument, &error))?;
    let named = argument.splitn(4, '/').nth(3).unwrap_or_default();
    let objects = meant(argument, &*store, &key, named).await?;
    let bytes: u64 = objects.iter().map(|object| object.size).sum();
    if bytes > MOST_BYTES || objects.len() > MOST_OBJECTS {
        let (count, most) = (objects.len(), MOST_BYTES >> 30);
        return Err(refused(
            argument,
            &format!(
                "{count} objects of {} GiB, at most {MOST_OBJECTS} of {most} GiB: name fewer by a pattern",
                bytes >> 30
            ),
        ));
    }
    let folder = tempfile::tempdir().map_err(|error| failed(argument, &error))?;
    let below = prefix(&key, named);
    for object in &objects {
        let path = place(folder.path(), object.location.as_ref(), &below)
            .ok_or_else(|| refused(argument, "a key that is no path of a file"))?;
        download(&*store, object, &path).await.map_err(|detail| refused(argument, &detail))?;
    }
    Ok(Copies { folder: Arc::new(folder) })
}

/// The objects that an argument means, sorted by their keys.
async fn meant(
    argument: &str,
    store: &dyn ObjectStore,
    key: &ObjectPath,
    named: &str,
) -> Result<Vec<ObjectMeta>, FileError> {
    let pattern = named.contains(['*', '?', '[']);
    if !pattern && !named.ends_with('/') && FileFormat::of(Path::new(named)).is_some() {
        return match store.head(key).await {
            Ok(object) => Ok(vec![object]),
            Err(object_store::Error::NotFound { .. }) => Err(refused(argument, "no such object")),
            Err(error) => Err(failed(argument, &error)),
        };
    }
    let pattern = pattern.then(|| Pattern::new(named)).transpose();
    let pattern = pattern.map_err(|error| failed(argument, &error))?;
    let below = ObjectPath::from(prefix(key, named).as_str());
    let mut listed = store.list(Some(&below));
    let mut found = Vec::new();
    while let Some(object) = listed.next().await {
        let object = object.map_err(|error| failed(argument, &error))?;
        let location = object.location.as_ref();
        let hidden = location.split('/').any(|part| part.starts_with(['.', '_']));
        let matches = pattern.as_ref().is_none_or(|it| it.matches_with(location, OPTIONS));
        if matches && !hidden && FileFormat::of(Path::new(location)).is_some() {
            found.push(object);
        }
    }
    if found.is_empty() {
        return Err(refused(
            argument,
            "no object there whose name ends in .parquet, .arrow, .csv or .jsonl",
        ));
    }
    found.sort_by(|left, right| left.location.cmp(&right.location));
    Ok(found)
}

/// The key below which the objects stand: of a pattern, the folders before its first sign.
fn prefix(key: &ObjectPath, named: &str) -> String {
    match named.find(['*', '?', '[']) {
        Some(sign) => {
            let plain = named.get(..sign).unwrap_or_default();
            plain.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default()
        }
        None => key.as_ref().to_owned(),
    }
}

/// Where the copy of an object goes; nowhere outside the folder.
fn place(folder: &Path, location: &str, below: &str) -> Option<PathBuf> {
    let inner = location.strip_prefix(below).unwrap_or(location).trim_start_matches('/');
    let name = if inner.is_empty() { location.rsplit('/').next()? } else { inner };
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| folder.join(name))
}

async fn download(store: &dyn ObjectStore, object: &ObjectMeta, path: &Path) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| chain(error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| text(&error))?;
    }
    let mut file = File::create(path).map_err(|error| text(&error))?;
    let mut parts = store.get(&object.location).await.map_err(|error| text(&error))?.into_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| text(&error))?;
        file.write_all(&part).map_err(|error| text(&error))?;
    }
    file.flush().map_err(|error| text(&error))
}

fn refused(url: &str, detail: &str) -> FileError {
    FileError::Objects { url: url.to_owned(), detail: detail.to_owned() }
}

fn failed(url: &str, error: &dyn std::error::Error) -> FileError {
    refused(url, &chain(error))
}

/// The last cause says what the first only frames.
fn chain(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let (first, last) = (error.to_string(), last.to_string());
    let line = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    match first.contains(&last) {
        true => line(&first),
        false => format!("{}: {}", line(&first), line(&last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_in_their_folder_and_keep_their_names() {
        let folder = Path::new("/t");
        let at = |location: &str, below: &str| place(folder, location, below);
        assert_eq!(at("a/b/c.csv", "a"), Some("/t/b/c.csv".into()));
        assert_eq!(at("a/c.csv", "a/c.csv"), Some("/t/c.csv".into()));
        assert_eq!(at("c.csv", ""), Some("/t/c.csv".into()));
        assert_eq!(at("a/../../c.csv", "a"), None);
        assert_eq!(prefix(&ObjectPath::from("x"), "a/b*/c.csv"), "a");
        assert_eq!(prefix(&ObjectPath::from("x"), "*.csv"), "");
    }

    #[test]
    fn only_urls_of_stores_are_objects() {
        assert!(is_url("s3://bucket/key.csv") && is_url("gs://b/k") && is_url("az://c/k"));
        assert!(!is_url("s3.csv") && !is_url("http://host/x.csv") && !is_url("./s3/x.csv"));
    }
}
