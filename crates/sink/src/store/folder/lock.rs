//! A lease as a lock file: the system drops the lock with the process, so nothing is left to be taken over. A process that is
//! frozen has its lock still, and so nobody writes while it sleeps.

use super::{Folder, there};
use crate::store::lease::{Held, Holder, Lease, LeaseOutcome};
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A lock that is held, and the file that says by whom.
#[derive(Debug)]
struct LockFile {
    path: PathBuf,
    /// Nothing once it is released. Shared with a step that looks at it in a thread of its own.
    file: Mutex<Option<Arc<File>>>,
}

/// How often a lock is tried that another has. Who has acquired it and has not yet written who it is, or only looks whether
/// it is held, is done within a few of these.
const MAX_ATTEMPTS: u32 = 50;

/// How long between two of them.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn acquire(folder: &Folder, key: &str, holder: Holder) -> io::Result<LeaseOutcome> {
    let path = folder.root.join(key);
    folder.make_durable_folder(folder.above(&path))?;
    let mut seen = None;
    for _ in 0..MAX_ATTEMPTS {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            // One that released it has removed it: then this is a lock on a file that nobody sees.
            Ok(()) if !is_at(&file, &path)? => continue,
            Ok(()) => {
                write_holder(&mut file, &holder)?;
                let lock = LockFile { path, file: Mutex::new(Some(Arc::new(file))) };
                return Ok(LeaseOutcome::Taken(Lease::new(lock)));
            }
            Err(TryLockError::WouldBlock) => {
                // Somebody may only be looking, at a file that a killed run has left: so it must be seen twice.
                match read_holder(&mut file)? {
                    Some(holder) if seen.as_ref() == Some(&holder) => return Ok(LeaseOutcome::HeldBy(holder)),
                    holder => seen = holder,
                }
                std::thread::sleep(ATTEMPT_INTERVAL);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(LeaseOutcome::HeldBy(unknown_holder(&path)))
}

/// Who has locked the file, if somebody has.
pub(super) fn holder(folder: &Folder, key: &str) -> io::Result<Option<Holder>> {
    let path = folder.root.join(key);
    let Some(mut file) = there(File::open(&path))? else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read_holder(&mut file)?.unwrap_or_else(|| unknown_holder(&path)))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let document = serde_json::to_vec_pretty(holder)?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&document)
}

fn read_holder(file: &mut File) -> io::Result<Option<Holder>> {
    let mut document = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut document)?;
    Ok(serde_json::from_slice(&document).ok())
}

/// A process that has the lock and does not say who it is: a file system, or a copy program, may lock files as well.
fn unknown_holder(path: &Path) -> Holder {
    let since = fs::metadata(path).and_then(|about| about.modified()).map(DateTime::<Utc>::from);
    Holder::unknown(since.unwrap_or_default())
}

/// Whether a file that is open is the one that is there by that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    let named = there(fs::metadata(path))?;
    Ok(named.is_some_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[async_trait]
impl Held for LockFile {
    /// Never: the lock is this process's until it releases it. That somebody removed the file is seen by `confirm`.
    async fn lost(&self) -> SinkError {
        std::future::pending().await
    }

    async fn confirm(&self) -> Result<(), SinkError> {
        let Some(file) = self.file() else { return Err(self.failed("it was released")) };
        let path = self.path.clone();
        match tokio::task::spawn_blocking(move || is_at(&file, &path)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(self.failed("its lock file was removed, so that another run may have acquired it")),
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    async fn release(&self) -> Result<(), SinkError> {
        self.unlock();
        Ok(())
    }

    #[cfg(test)]
    fn die(&self) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl LockFile {
    fn file(&self) -> Option<Arc<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, reason: &str) -> SinkError {
        let hint = "another run may be writing; run again when it is done";
        let doing = format!("confirm the lease {}", self.path.display());
        SinkError::new(SinkErrorKind::Transient, doing, reason).hint(Some(hint.to_owned()))
    }

    /// Removes the file while it is still locked, so that nobody removes another's. A file that cannot be removed stays, empty
    /// and unlocked, and the next run acquires it: a run that is finished does not fail for it.
    fn unlock(&self) {
        let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let is_ours = is_at(&file, &self.path).unwrap_or(false);
        if is_ours && fs::remove_file(&self.path).is_err() {
            let _ = file.set_len(0);
        }
        // Another part of this process may still be looking at the file: the lock goes now and not with the last of them.
        let _ = file.unlock();
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        self.unlock();
    }
}
