//! Objects as files below a folder.

mod lock;

use super::{Condition, Holder, LeaseOutcome, Listed, OWN, Store, Unfinished, Version};
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::RwLock;

/// Where files are written before they are put in place: beside the tables, so that it is the same file system, and below a
/// name that starts with an underscore, which readers of the tables skip.
const TEMPORARY: &str = "_compline/tmp";

/// Where what a run intends is, each aggregator's by itself.
const JOURNAL: &str = "_compline/journal/";

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Held for reading by every step under way, so that a stopped run can wait for them: threads cannot be cancelled.
    under_way: Arc<RwLock<()>>,
}

impl Folder {
    /// A store in a folder, which its first file makes: who only reads needs no right to write, and makes none where a name is mistyped.
    pub(crate) fn open(root: &Path) -> Result<Self, SinkError> {
        let root = std::path::absolute(root).map_err(|error| failed("find", root, &error))?;
        let in_the_way = root.ancestors().find(|above| above.exists()).filter(|above| !above.is_dir());
        match in_the_way {
            Some(_) => Err(failed("open the lake folder", &root, &ErrorKind::NotADirectory.into())),
            None => Ok(Self { root, under_way: Arc::default() }),
        }
    }

    /// Writes beside, makes it durable, and renames: a reader sees the old file or the new one.
    fn replace(&self, key: &str, body: &[u8]) -> io::Result<()> {
        let path = self.root.join(key);
        self.beside(&path, body)?.persist(&path).map_err(|error| error.error)?;
        File::open(self.above(&path))?.sync_all()
    }

    /// The same, if the file is still this one: whether it is there now with this content. A folder cannot compare and rename
    /// in one step, so this narrows the moment in which another writer is not seen; the lock, which lasts as long as its
    /// process, is what shuts others out.
    fn replace_unchanged(&self, key: &str, body: &[u8], version: &Version) -> io::Result<bool> {
        let path = self.root.join(key);
        let file = self.beside(&path, body)?;
        if version_at(&path)?.as_ref() != Some(version) {
            return Ok(there(read(&path))?.is_some_and(|other| other == body));
        }
        file.persist(&path).map_err(|error| error.error)?;
        File::open(self.above(&path))?.sync_all().map(|()| true)
    }

    fn remove_unchanged(&self, key: &str, version: &Version) -> io::Result<bool> {
        match version_at(&self.root.join(key))? {
            Some(other) if other != *version => Ok(false),
            _ => self.remove(key).map(|()| true),
        }
    }

    /// The same, unless there is a file: whether it is there now with this content.
    fn create(&self, key: &str, body: &[u8]) -> io::Result<bool> {
        let path = self.root.join(key);
        match self.beside(&path, body)?.persist_noclobber(&path) {
            Ok(_) => File::open(self.above(&path))?.sync_all().map(|()| true),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(read(&path)? == body),
            Err(error) => Err(error.error),
        }
    }

    /// A durable temporary file with this content, ready to be renamed.
    fn beside(&self, path: &Path, body: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        let temporary = self.root.join(TEMPORARY);
        self.make_durable_folder(self.above(path))?;
        self.make_durable_folder(&temporary)?;
        let mut file = tempfile::Builder::new().prefix("put-").tempfile_in(temporary)?;
        // The system drops the lock with the process, and so what nobody writes any more can be told from what is written. Where
        // files cannot be locked nothing is told to be orphaned.
        let _ = file.as_file().lock();
        file.write_all(body)?;
        // Temporary files are private to their owner; a table's files are as readable as the folder lets new files be.
        set_usual_permissions(file.as_file())?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn above<'a>(&'a self, path: &'a Path) -> &'a Path {
        path.parent().unwrap_or(&self.root)
    }

    fn read_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        let mut file = open(&self.root.join(key))?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut body = Vec::new();
        file.take(range.end.saturating_sub(range.start)).read_to_end(&mut body)?;
        Ok(Bytes::from(body))
    }

    /// Temporary files that no process writes any more.
    fn left_behind(&self) -> io::Result<Vec<Unfinished>> {
        let mut left = Vec::new();
        for entry in there(fs::read_dir(self.root.join(TEMPORARY)))?.into_iter().flatten() {
            let entry = entry?;
            let name = format!("{TEMPORARY}/{}", entry.file_name().to_string_lossy());
            match File::open(entry.path()) {
                Ok(file) if file.try_lock().is_ok() => {
                    let since = entry.metadata()?.modified().map(DateTime::<Utc>::from).unwrap_or_default();
                    left.push(Unfinished { id: name.clone(), name, since });
                }
                Ok(_) => {}
                // It has been put in place meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        left.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(left)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The folders of one run alone go with its last file; others may be written to at this moment. Of a journal's entry all are.
        let most = if key.starts_with(JOURNAL) { usize::MAX } else { 1 };
        let folders = Path::new(key).ancestors().skip(1).filter(|_| key.starts_with(OWN)).take(most);
        for folder in folders.take_while(|folder| folder.components().count() > 3) {
            // One that has other files stays.
            if fs::remove_dir(self.root.join(folder)).is_err() {
                break;
            }
        }
        Ok(())
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

    /// Adds the files of a folder, and of those below it, whose keys start with a prefix and come after another.
    fn files_below(&self, folder: &Path, (prefix, after): (&str, &str), files: &mut Vec<Listed>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let Ok(below) = path.strip_prefix(&self.root) else { continue };
            // A name that is not UTF-8 is none of ours; it is seen all the same.
            let key = below.to_string_lossy().into_owned();
            // Folders that have none of them are not looked into: those of other days. What is in a folder comes before whatever its
            // name comes before, unless that begins like it.
            let has_none = !key.starts_with(prefix) && !prefix.starts_with(&key);
            if path == self.root.join(TEMPORARY) || has_none || (key.as_str() < after && !after.starts_with(&key)) {
                continue;
            }
            // Every file system has one of its own at its root, which only root may read.
            let is_foreign = entry.file_name() == "lost+found" && fs::read_dir(&path).is_err();
            if path.is_dir() && !is_foreign && !self.leads_back(&entry)? {
                self.files_below(&path, (prefix, after), files)?;
                continue;
            }
            match entry.metadata() {
                Ok(about) => files.push(Listed {
                    key,
                    bytes: about.len(),
                    modified: about.modified().map(DateTime::from).unwrap_or_default(),
                    version: Some(version_of(&about)),
                }),
                // It was removed meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether something is a link to a folder that has the lake in it, or to one in the lake: it would be listed again and again.
    fn leads_back(&self, entry: &fs::DirEntry) -> io::Result<bool> {
        if !entry.file_type()?.is_symlink() {
            return Ok(false);
        }
        let (target, root) = (fs::canonicalize(entry.path())?, fs::canonicalize(&self.root)?);
        Ok(target.starts_with(&root) || root.starts_with(&target))
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
    async fn put_if(&self, key: &str, body: Bytes, condition: Condition) -> Result<bool, SinkError> {
        let put = move |folder: &Self, key: &str| match &condition {
            Condition::None => folder.replace(key, &body).map(|()| true),
            Condition::New => folder.create(key, &body),
            Condition::Unchanged(version) => folder.replace_unchanged(key, &body, version),
        };
        self.blocking("write", key, put).await
    }

    async fn version(&self, key: &str) -> Result<Option<Version>, SinkError> {
        self.blocking("look at", key, |folder, key| version_at(&folder.root.join(key))).await
    }

    async fn delete_if(&self, key: &str, version: &Version) -> Result<bool, SinkError> {
        let version = version.clone();
        self.blocking("remove", key, move |folder, key| folder.remove_unchanged(key, &version)).await
    }

    async fn confirm(&self, key: &str, body: &Bytes) -> Result<(), SinkError> {
        let body = body.clone();
        let same = self.blocking("read", key, move |folder, key| Ok(read(&folder.root.join(key))? == body)).await?;
        if same {
            return Ok(());
        }
        let hint = "something else writes to this lake, or the disk is not sound; run again";
        let reason = "other bytes are there than were written";
        Err(SinkError::new(SinkErrorKind::Transient, format!("confirm {}", self.root.join(key).display()), reason)
            .hint(Some(hint.to_owned())))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        self.blocking("read", key, |folder, key| there(read(&folder.root.join(key)).map(Bytes::from))).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.blocking("read", key, |folder, key| there(folder.read_range(key, range))).await
    }

    async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, SinkError> {
        let after = after.to_owned();
        self.blocking("list", prefix, move |folder, prefix| {
            let mut files = Vec::new();
            let (above, _) = prefix.rsplit_once('/').unwrap_or_default();
            folder.files_below(&folder.root.join(above), (prefix, &after), &mut files)?;
            files.retain(|file| file.key.starts_with(prefix) && file.key > after);
            files.sort_unstable_by(|one, other| one.key.cmp(&other.key));
            Ok(files)
        })
        .await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), SinkError> {
        for key in keys {
            self.blocking("remove", key, |folder, key| folder.remove(key)).await?;
        }
        Ok(())
    }

    async fn lease(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        let holder = holder.clone();
        self.blocking("acquire the lease", key, move |folder, key| lock::acquire(folder, key, holder)).await
    }

    async fn lease_holder(&self, key: &str) -> Result<Option<Holder>, SinkError> {
        self.blocking("look at the lease", key, lock::holder).await
    }

    /// Nothing: a folder has this machine's clock.
    fn clock_offset(&self) -> Option<TimeDelta> {
        None
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, SinkError> {
        self.blocking("list", TEMPORARY, |folder, _| folder.left_behind()).await
    }

    async fn discard(&self, unfinished: &Unfinished) -> Result<(), SinkError> {
        self.blocking("remove", &unfinished.id, |folder, key| folder.remove(key)).await
    }

    async fn settle(&self) {
        drop(self.under_way.write().await);
    }
}

/// Opens a file. To open a pipe would wait for who writes into it, and a device may have no end.
fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::new(ErrorKind::IsADirectory, "it is no plain file, but a folder, a pipe or a device"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    open(path)?.read_to_end(&mut body)?;
    Ok(body)
}

/// What was read, or nothing if there is no file.
fn there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Which file is there. Every put makes a new file, so that its number and its time together tell it from the one before.
fn version_at(path: &Path) -> io::Result<Option<Version>> {
    Ok(there(fs::metadata(path))?.map(|about| version_of(&about)))
}

fn version_of(about: &fs::Metadata) -> Version {
    let modified = about.modified().map(DateTime::<Utc>::from).unwrap_or_default();
    let nanoseconds = modified.timestamp_nanos_opt().unwrap_or_default();
    Version(format!("{}-{nanoseconds}-{}", number(about), about.len()))
}

#[cfg(unix)]
fn number(about: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(about)
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> u64 {
    0
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
        ErrorKind::PermissionDenied if matches!(doing, "read" | "list" | "look at" | "look at the lease") => {
            "let this user read the lake folder, or set lake.url or --lake"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "let this user write to the lake folder, or set lake.url or --lake"
        }
        ErrorKind::IsADirectory => "move it away, and restore the object from a backup if it is no longer there",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file is in the way; set lake.url or --lake to a folder"
        }
        _ => "",
    };
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    // It is in the place of one object, and costs no other.
    let kind = match error.kind() {
        ErrorKind::IsADirectory if doing == "read" => SinkErrorKind::Damaged,
        _ => SinkErrorKind::Permanent,
    };
    SinkError::new(kind, format!("{doing} {}", path.display()), error).hint(hint)
}
