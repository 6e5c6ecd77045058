//! Says which commit the program is made of and when it was built, for `compline --version`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a build says who has no repository, such as that of a container image.
const COMMIT: &str = "COMPLINE_COMMIT";
const DATE: &str = "COMPLINE_DATE";
/// Seconds since 1970: what reproducible builds take for now.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What the program is made of, in the workspace.
const SOURCES: [&str; 4] = ["crates", "pipelines", "Cargo.toml", "Cargo.lock"];

/// As many digits in every clone: git's own number grows with the repository.
const DIGITS: usize = 12;

fn main() -> Result<(), String> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let commit = commit(given(COMMIT), &workspace)?;
    let date = date(given(EPOCH), given(DATE))?;
    println!("cargo::rustc-env=COMPLINE_BUILD={commit} {date}");
    for name in [COMMIT, DATE, EPOCH] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    for path in decides(&workspace) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}

/// A variable that is set: an argument of a container build that nobody gave is empty.
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The commit, `-dirty` where the sources are not as it has them, or `unknown`.
pub(crate) fn commit(given: Option<String>, workspace: &Path) -> Result<String, String> {
    if let Some(given) = given {
        let fits = given.len() <= 64 && given.chars().all(|one| one.is_ascii_alphanumeric() || "-._".contains(one));
        let is_hash = given.len() >= 40 && given.chars().all(|one| one.is_ascii_hexdigit());
        return match (fits, is_hash) {
            (false, _) => {
                Err(format!("{COMMIT} is {given:?}: allowed are 64 letters, digits, dots, dashes; set or unset it"))
            }
            (true, true) => Ok(given[..DIGITS].to_owned()),
            (true, false) => Ok(given),
        };
    }
    let Some(hash) = git(workspace, &["rev-parse", "HEAD"]) else { return Ok("unknown".to_owned()) };
    let short = hash.get(..DIGITS).unwrap_or(&hash);
    let changed = git(workspace, &[&["status", "--porcelain", "--"], &SOURCES[..]].concat());
    // Where git does not say, nothing is claimed.
    Ok(if changed.is_some_and(|changed| changed.is_empty()) { short.to_owned() } else { format!("{short}-dirty") })
}

/// The UTC day of the build.
pub(crate) fn date(epoch: Option<String>, given: Option<String>) -> Result<String, String> {
    if let Some(epoch) = epoch {
        let seconds = epoch
            .parse()
            .map_err(|_| format!("{EPOCH} is {epoch:?}: it must be seconds since 1970; set or unset it"))?;
        return Ok(day_of(seconds));
    }
    if let Some(given) = given {
        let fits = given.len() == 10
            && given.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        return if fits {
            Ok(given)
        } else {
            Err(format!("{DATE} is {given:?}: it must be YYYY-MM-DD; set or unset it"))
        };
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| format!("this machine's clock is before 1970: {error}"))?;
    Ok(day_of(now.as_secs()))
}

/// The day of a moment in seconds since 1970, as YYYY-MM-DD.
fn day_of(seconds: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, mut year, mut month) = (seconds / 86_400, 1970, 1);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// What changes when another commit is checked out or the sources are changed. A path that is not there would count as
/// changed at each build.
pub(crate) fn decides(workspace: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = SOURCES.iter().map(|path| workspace.join(path)).collect();
    let branch = git(workspace, &["symbolic-ref", "-q", "HEAD"]);
    // The log has every move of HEAD; where it is switched off, HEAD and its branch are what moves.
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        paths.extend(git(workspace, &["rev-parse", "--git-path", name]).map(|path| workspace.join(path)));
    }
    paths.retain(|path| path.exists());
    paths
}

/// What git says of the workspace, if that is a repository of its own and not a folder in somebody's.
fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    if !workspace.join(".git").exists() {
        return None;
    }
    let output = Command::new("git").arg("-C").arg(workspace).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
