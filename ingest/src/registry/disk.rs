//! Schemas that were fetched before, in files that nobody needs to clear away: the folder of a registry has one
//! file for each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftline_config::{SchemaRegistry, sha256_hex};
use driftline_formats::{SchemaId, SchemaKind, SchemaReference, SchemaText};
use serde_json::{Value, json};

/// The files of one registry: numbers of another one name other schemas.
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub(super) fn new(settings: &SchemaRegistry) -> Disk {
        let registry = sha256_hex(settings.url.as_bytes());
        Disk { folder: settings.cache.join(registry.get(..16).unwrap_or(&registry)) }
    }

    fn path(&self, id: SchemaId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The schema, where it was fetched before and its file can be read.
    pub(super) fn read(&self, id: SchemaId) -> Option<SchemaText> {
        let path = self.path(id);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a kept schema cannot be read");
                return None;
            }
        };
        let schema = parsed(&bytes);
        if schema.is_none() {
            tracing::warn!(path = %path.display(), "a kept schema is damaged: it is fetched again");
        }
        schema
    }

    /// Keeps a schema. Without it the next start asks the registry.
    pub(super) fn write(&self, id: SchemaId, schema: &SchemaText) {
        let path = self.path(id);
        if let Err(error) = self.replace(&path, schema) {
            let path = path.display();
            tracing::warn!(%path, %error, "a schema cannot be kept: it is fetched again after a start");
        }
    }

    /// All or nothing: another process may read it.
    fn replace(&self, path: &Path, schema: &SchemaText) -> io::Result<()> {
        let references = schema
            .references
            .iter()
            .map(|reference| json!({"name": reference.name, "schema": reference.text}));
        let written = json!({
            "schemaType": schema.kind.as_str(),
            "schema": schema.text,
            "references": references.collect::<Vec<Value>>(),
        });
        fs::create_dir_all(&self.folder)?;
        let part = path.with_extension(format!("{}.part", std::process::id()));
        fs::write(&part, written.to_string())?;
        fs::File::open(&part)?.sync_all()?;
        fs::rename(&part, path)
    }
}

fn parsed(bytes: &[u8]) -> Option<SchemaText> {
    let written: Value = serde_json::from_slice(bytes).ok()?;
    let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let references = written.get("references")?.as_array()?.iter().map(|reference| {
        Some(SchemaReference { name: text(reference, "name")?, text: text(reference, "schema")? })
    });
    Some(SchemaText {
        kind: SchemaKind::of_name(written.get("schemaType")?.as_str()?)?,
        text: text(&written, "schema")?,
        references: references.collect::<Option<Vec<SchemaReference>>>()?,
    })
}
