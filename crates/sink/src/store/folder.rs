//! Objects as files below a folder.

use super::Store;
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::RwLock;

/// Where files are written before they are put in place: beside the tables, so that it is the same file system, and below a
/// name that starts with an underscore, which readers of the tables skip.
const TEMPORARY: &str = "_compline/tmp";

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Held for reading by every step under way, so that a stopped run can wait for them: threads cannot be cancelled.
    under_way: Arc<RwLock<()>>,
}

impl Folder {
    pub(crate) fn open(root: &Path) -> Result<Self, SinkError> {
        let root = std::path::absolute(root).map_err(|error| failed("find", root, &error))?;
        fs::create_dir_all(root.join(TEMPORARY)).map_err(|error| failed("make the lake folder", &root, &error))?;
        Ok(Self { root, under_way: Arc::default() })
    }

    /// Writes beside, makes it durable, and renames: a reader sees the old file or the new one.
    fn replace(&self, key: &str, body: &[u8]) -> io::Result<()> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        self.make_durable_folder(folder)?;
        let mut file = tempfile::Builder::new().prefix("put-").tempfile_in(self.root.join(TEMPORARY))?;
        file.write_all(body)?;
        // Temporary files are private to their owner; a table's files are as readable as the folder lets new files be.
        set_usual_permissions(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }

    /// Makes a folder and syncs each one above it that got a new entry.
    fn make_durable_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.is_dir()).collect();
        fs::create_dir_all(folder)?;
        missing.into_iter().filter_map(Path::parent).try_for_each(|above| File::open(above)?.sync_all())
    }

    fn keys_below(&self, folder: &Path, keys: &mut Vec<String>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path == self.root.join(TEMPORARY) {
                continue;
            }
            if path.is_dir() {
                self.keys_below(&path, keys)?;
            } else if let Some(key) = path.strip_prefix(&self.root).ok().and_then(Path::to_str) {
                keys.push(key.to_owned());
            }
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        key: &str,
        work: impl FnOnce(&Self, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SinkError> {
        let (folder, key) = (self.clone(), key.to_owned());
        let path = self.root.join(&key);
        let under_way = Arc::clone(&self.under_way).read_owned().await;
        let step = move || {
            let _under_way = under_way;
            work(&folder, &key)
        };
        match tokio::task::spawn_blocking(step).await {
            Ok(result) => result.map_err(|error| failed(doing, &path, &error)),
            Err(error) => Err(SinkError::permanent(format!("{doing} {}", path.display()), error)),
        }
    }
}

#[async_trait]
impl Store for Folder {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        self.blocking("write", key, move |folder, key| folder.replace(key, &body)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        self.blocking("read", key, |folder, key| match fs::read(folder.root.join(key)) {
            Ok(body) => Ok(Some(Bytes::from(body))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError> {
        self.blocking("list", prefix, |folder, prefix| {
            let mut keys = Vec::new();
            let (above, _) = prefix.rsplit_once('/').unwrap_or_default();
            folder.keys_below(&folder.root.join(above), &mut keys)?;
            keys.retain(|key| key.starts_with(prefix));
            keys.sort_unstable();
            Ok(keys)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        self.blocking("remove", key, |folder, key| match fs::remove_file(folder.root.join(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    async fn settle(&self) {
        drop(self.under_way.write().await);
    }
}

#[cfg(unix)]
fn set_usual_permissions(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_usual_permissions(_: &File) -> io::Result<()> {
    Ok(())
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> SinkError {
    let hint = match error.kind() {
        ErrorKind::StorageFull => "the disk is full: nothing was replaced; make room and run again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "let this user write to the lake folder, or set lake.url or --lake"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file is in the way; set lake.url or --lake to a folder"
        }
        _ => "",
    };
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    SinkError::new(SinkErrorKind::Permanent, format!("{doing} {}", path.display()), error).hint(hint)
}
