//! A lease as a lock file: the system drops the lock with the process, so nothing is left to be taken over.

use super::Folder;
use crate::SinkError;
use crate::store::lease::{Held, Holder, Lease, LeaseOutcome};
use async_trait::async_trait;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A lock that is held, and the file that says by whom.
#[derive(Debug)]
struct LockFile {
    path: PathBuf,
    file: Option<File>,
}

/// How often a holder is looked for that has the lock and has not yet written who it is.
const ATTEMPTS: u32 = 50;

pub(super) fn take(folder: &Folder, key: &str, holder: Holder) -> io::Result<LeaseOutcome> {
    let path = folder.root.join(key);
    folder.make_durable_folder(folder.above(&path))?;
    for _ in 0..ATTEMPTS {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            // One that let go of it has removed it: then this is a lock on a file that nobody sees.
            Ok(()) if !is_at(&file, &path)? => continue,
            Ok(()) => {
                let note = serde_json::to_vec_pretty(&holder)?;
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(&note)?;
                return Ok(LeaseOutcome::Taken(Lease(Box::new(LockFile { path, file: Some(file) }))));
            }
            Err(TryLockError::WouldBlock) => {
                let mut note = Vec::new();
                file.read_to_end(&mut note)?;
                if let Ok(holder) = serde_json::from_slice(&note) {
                    return Ok(LeaseOutcome::HeldBy(holder));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::WouldBlock, "another process has locked it and does not say who it is"))
}

/// Whether a file that is open is the one that is there by that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[async_trait]
impl Held for LockFile {
    /// Never: the lock is this process's until it lets go of it.
    async fn lost(&self) -> SinkError {
        std::future::pending().await
    }

    async fn release(mut self: Box<Self>) -> Result<(), SinkError> {
        self.let_go();
        Ok(())
    }

    #[cfg(test)]
    fn die(&mut self) {
        self.file = None;
    }
}

impl LockFile {
    /// Removes the file while it is still locked, so that nobody removes another's.
    fn let_go(&mut self) {
        if let Some(file) = self.file.take()
            && fs::remove_file(&self.path).is_err()
        {
            // It stays, empty and unlocked, and the next one takes it.
            let _ = file.set_len(0);
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        self.let_go();
    }
}
