//! Files of this machine that others read while they are replaced.

use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Replaces a file at once, readable by whoever reads it beside this program; or it is as it was. Of a link it is what it leads to.
///
/// # Errors
/// The folder does not take it.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let (mut temporary, file) = beside(file)?;
    temporary.write_all(bytes)?;
    temporary.persist(file)?;
    Ok(())
}

/// Whether a file could be replaced, without doing it.
///
/// # Errors
/// The folder does not take it.
pub(crate) fn replaceable(file: &Path) -> std::io::Result<()> {
    beside(file).map(drop)
}

/// A temporary file beside the one that it is to replace.
fn beside(file: &Path) -> std::io::Result<(NamedTempFile, PathBuf)> {
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    // A device or a pipe would be a file afterwards.
    if std::fs::metadata(&file).is_ok_and(|there| !there.is_file()) {
        return Err(std::io::Error::other("it is there already and is no plain file"));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(<std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644));
    // A name that the node exporter does not read, until it is whole.
    let temporary = builder.prefix(".compline").suffix(".tmp").tempfile_in(folder)?;
    Ok((temporary, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_file_is_refused_and_stays_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("device.prom");
        std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
        let inside = folder.path().join("folder.prom");
        std::fs::create_dir(&inside).expect("a folder");
        for path in [link, inside] {
            assert!(replaceable(&path).is_err() && replace(&path, b"x").is_err(), "{path:?}");
            assert!(!std::fs::metadata(&path).expect("there").is_file(), "{path:?}");
        }
        let plain = folder.path().join("plain.prom");
        assert!(replaceable(&plain).is_ok() && replace(&plain, b"x").is_ok() && replace(&plain, b"y").is_ok());
        assert_eq!(std::fs::read(&plain).expect("read"), b"y");
    }
}
