//! A lake, two pipeline files, and the built program to work on it.

use crate::aws::Aws;
use crate::catalog::Glue;
use crate::dataset::Dataset;
use crate::lake::{Reader, Seen};
use crate::model::Model;
use crate::s3::{S3, Usage};
use crate::step::{Broken, Compact, DAYS, Fault, File, Filter, Place};
use chrono::{NaiveDate, Utc};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::Duration;
use tempfile::TempDir;

/// No command takes this long unless it hangs.
const BOUND: Duration = Duration::from_secs(120);

/// A kill in a folder comes after a multiple of it: a command of a dev build takes about a quarter of a second.
const KILL_STEP: Duration = Duration::from_millis(25);

/// Where Debian has the library that gives a process another clock.
const FAKETIME: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"];

/// What the pipeline files say at the moment.
pub(crate) struct Settings {
    pub(crate) has_two: bool,
    pub(crate) filter: Filter,
    pub(crate) compact: Compact,
    pub(crate) snapshots_before: Option<&'static str>,
    pub(crate) statuses_before: Option<&'static str>,
    /// Before which day archived pages and documents of runs are old; with it pages are archived.
    pub(crate) pages_before: Option<&'static str>,
}

/// One lake and everything around it.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    /// The program that works on it.
    pub(crate) program: PathBuf,
    /// How long a command may take.
    pub(crate) bound: Duration,
    pub(crate) place: Place,
    /// What the sequence is about.
    pub(crate) dataset: Dataset,
    pub(crate) aws: Aws,
    pub(crate) s3: Option<S3>,
    pub(crate) glue: Option<Glue>,
    pub(crate) settings: Settings,
    pub(crate) model: Model,
    pub(crate) reader: Reader,
    /// What was done and said so far, for a failure's report.
    pub(crate) log: String,
}

/// How a command ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// None if it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Whether the fault that was asked for took place.
    pub(crate) broke: bool,
    /// What it took, where the lake is on S3.
    pub(crate) usage: Usage,
}

impl World {
    pub(crate) fn new(place: Place, dataset: Dataset, glue: Option<Glue>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let s3 = (place != Place::Folder).then(|| S3::serve(&folder.path().join("root")));
        let settings = Settings {
            has_two: true,
            filter: Filter::Everything,
            compact: Compact::Nothing,
            snapshots_before: None,
            statuses_before: None,
            pages_before: None,
        };
        let (model, reader, log) = (Model::default(), Reader::of(dataset), String::new());
        let program = binary();
        let aws = Aws::start(dataset);
        Self { folder, program, bound: BOUND, place, dataset, aws, s3, glue, settings, model, reader, log }
    }

    /// The folder that the lake is in, on S3 too.
    pub(crate) fn lake(&self) -> PathBuf {
        let name = if self.place == Place::Folder { "lake" } else { "root/bucket/lake" };
        self.folder.path().join(name)
    }

    pub(crate) fn see(&mut self) -> Seen {
        let lake = self.lake();
        self.reader.read(&lake)
    }

    /// Writes a pipeline file as the settings are now; gives its path.
    pub(crate) fn pipeline(&self, file: File) -> String {
        let path = self.folder.path().join(format!("{file:?}.toml").to_lowercase());
        let text = format!("version = 1\n{}{}{}", self.lake_lines(), self.aggregators(file), self.other_lines());
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn lake_lines(&self) -> String {
        match &self.s3 {
            None => format!("[lake]\nurl = {:?}\n", self.lake().display().to_string()),
            Some(s3) => format!(
                "[lake]\nurl = \"s3://bucket/lake\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\npath_style = true\n\
                 max_attempts = 2\nattempt_timeout_secs = 10\n",
                s3.url()
            ),
        }
    }

    fn aggregators(&self, file: File) -> String {
        let datasets = if self.dataset == Dataset::Rules { "datasets = [\"packs\", \"rules\"]\n" } else { "" };
        let one = |id: &str, more: &str| {
            format!(
                "[[aggregator]]\nid = \"{id}\"\nname = \"{id}-aggregator\"\nregion = \"eu-west-1\"\nfan_out = \"none\"\n{datasets}{more}"
            )
        };
        let filter = &self.dataset.asked(self.settings.filter);
        match file {
            File::First if self.settings.has_two => one("org", filter) + &one("two", ""),
            File::First => one("org", filter),
            File::Second => one("gov", ""),
        }
    }

    fn other_lines(&self) -> String {
        let mut text = format!(
            "[fetch]\nendpoint_url = \"{}\"\nmax_attempts = 1\n[check]\nreconcile = \"off\"\n[maintain]\n",
            self.aws.url()
        );
        let tables = self.settings.compact.tables().filter_map(|part| self.dataset.table(part));
        let tables: Vec<String> = tables.map(|table| format!("{table:?}")).collect();
        if !tables.is_empty() {
            let _ = writeln!(text, "compact = [{}]", tables.join(", "));
        }
        let today = Utc::now().date_naive();
        let days_since = |day: &str| (today - day.parse::<NaiveDate>().expect("a date")).num_days();
        for (name, before) in [
            ("snapshot_days", self.settings.snapshots_before),
            (self.dataset.status_days(), self.settings.statuses_before),
            ("raw_days", self.settings.pages_before),
            ("runs_days", self.settings.pages_before),
        ] {
            if let Some(before) = before {
                let _ = writeln!(text, "{name} = {}", days_since(before));
            }
        }
        if self.settings.pages_before.is_some() {
            text.push_str("[archive]\nraw = true\n");
        }
        if let Some(glue) = &self.glue {
            text.push_str(&glue.settings());
        }
        text
    }

    /// The aggregators of a pipeline file.
    pub(crate) fn ids(&self, file: File) -> Vec<&'static str> {
        match file {
            File::First if self.settings.has_two => vec!["org", "two"],
            File::First => vec!["org"],
            File::Second => vec!["gov"],
        }
    }

    /// Runs a command to its end, or until the fault ends it. Says which rule it broke if it panicked or hung.
    pub(crate) fn compline(&mut self, arguments: &[&str], fault: Fault) -> Result<Ended, String> {
        if let (Some(s3), Fault::Call(number, broken)) = (&self.s3, fault) {
            s3.arm(number, broken);
        }
        self.aws.set_broken(fault == Fault::Source);
        let child = self.start(arguments, fault);
        if let Some(s3) = &self.s3 {
            s3.aim(child.id());
        }
        let mut ended = match fault {
            Fault::Call(number, Broken::KilledBefore | Broken::KilledAfter) if self.s3.is_none() => {
                kill(child, KILL_STEP * u32::from(number))
            }
            _ => finish(child, self.bound),
        };
        self.aws.set_broken(false);
        if let Some(s3) = &self.s3 {
            let (fired, usage) = s3.disarm();
            ended.broke |= fired;
            ended.usage = usage;
        }
        ended.broke |= ended.code.is_none() || fault == Fault::Source || matches!(fault, Fault::Clock(_));
        if ended.broke && self.s3.is_some() {
            // In place of waiting for two minutes, as the lease of a command that was killed would make the next one.
            let _ = std::fs::remove_dir_all(self.lake().join("_compline/lease"));
        }
        let (Ended { code, broke, .. }, said) = (&ended, ended.said());
        let _ = writeln!(self.log, "  compline {} ({fault:?}, broke: {broke}): {code:?} {said}", arguments.join(" "));
        self.is_sane(arguments, ended)
    }

    fn is_sane(&self, arguments: &[&str], ended: Ended) -> Result<Ended, String> {
        if ended.code == Some(101) || ended.stderr.contains("panicked at") {
            return Err(format!("`{}` panicked", arguments.join(" ")));
        }
        if ended.code.is_none() && !ended.broke {
            return Err(format!("`{}` did not end within {:?}", arguments.join(" "), self.bound));
        }
        Ok(ended)
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str], fault: Fault) -> Child {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true").env("RUST_BACKTRACE", "1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        if let Fault::Clock(minutes) = fault {
            set_clock(&mut command, minutes);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    }
}

impl Ended {
    /// What it said, without what only takes room.
    pub(crate) fn said(&self) -> String {
        let is_short = |line: &&str| {
            !line.contains(" INFO ") && (self.stdout.len() < 2000 || line.contains("outcome") || line.contains("error"))
        };
        let lines = self.stdout.lines().chain(self.stderr.lines()).filter(is_short).map(str::trim);
        lines.collect::<Vec<_>>().join(" | ")
    }
}

/// The program that is tried.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("COMPLINE_UNDER_TEST").map_or_else(|| env!("CARGO_BIN_EXE_compline").into(), PathBuf::from)
}

/// Gives a command another clock, where that can be done.
fn set_clock(command: &mut Command, minutes: i16) {
    static MISSING: Once = Once::new();
    match FAKETIME.iter().find(|path| Path::new(path).exists()) {
        Some(library) => {
            command.env("LD_PRELOAD", library).env("FAKETIME", format!("{:+}m", minutes));
        }
        None => MISSING.call_once(|| eprintln!("libfaketime is not there: every clock is right in these sequences")),
    }
}

/// Waits for a command's end, within the bound.
pub(crate) fn finish(child: Child, bound: Duration) -> Ended {
    let id = child.id();
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(bound).is_err() {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        }
    });
    let output = child.wait_with_output().expect("its output");
    let _ = done.send(());
    watch.join().expect("the watch");
    ended(output)
}

fn kill(mut child: Child, after: Duration) -> Ended {
    std::thread::sleep(after);
    let _ = child.kill();
    let mut ended = ended(child.wait_with_output().expect("its output"));
    ended.broke = ended.code.is_none();
    ended
}

fn ended(Output { status, stdout, stderr }: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr), broke: false, usage: Usage::default() }
}

impl Compact {
    pub(crate) fn tables(self) -> impl Iterator<Item = &'static str> {
        let tables: &[&str] = match self {
            Self::Nothing => &[],
            Self::Facts => &["pack_compliance"],
            Self::Snapshots => &["pack_compliance", "source_status"],
            Self::Everything => &crate::lake::TABLES,
        };
        tables.iter().copied()
    }
}

/// The date of a day, by its number.
pub(crate) fn date(day: u8) -> &'static str {
    DAYS[usize::from(day) % DAYS.len()]
}
