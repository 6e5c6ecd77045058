//! A source, a pipeline and a lake for the program to work with.

pub(crate) mod answers;
pub(crate) mod moto;
pub(crate) mod reading;
pub(crate) mod receiver;

use chrono::Datelike;
use compline_model::{Dataset, SnapshotDate, Table};
use compline_simulator::{Faults, Organization, OrganizationSpec, Simulator};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How many rounds a test of races or kills has: a few in every run, and as many as one likes with `COMPLINE_ROUNDS`.
pub(crate) fn rounds(few: u32) -> u32 {
    std::env::var("COMPLINE_ROUNDS").map_or(few, |rounds| rounds.parse().expect("a number"))
}

/// Which of many cases, asked in their order, have their turn: each second, on one day these and on the next the others, and all of
/// them with `COMPLINE_ROUNDS`.
pub(crate) fn turns() -> impl FnMut() -> bool {
    let all = std::env::var_os("COMPLINE_ROUNDS").is_some();
    let mut number = chrono::Utc::now().num_days_from_ce();
    eprintln!("each second case of day {number}: COMPLINE_ROUNDS=1 has all");
    move || {
        number += 1;
        all || number % 2 == 0
    }
}

/// The tables of an aggregator of which packs alone are collected.
pub(crate) fn pack_tables() -> Vec<Table> {
    Dataset::PACKS.tables().into_iter().chain([Table::Runs]).collect()
}

/// No run of a test takes this long unless it hangs.
const BOUND: Duration = Duration::from_secs(120);

/// A simulator, and a folder with a pipeline file and a lake.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) runtime: Runtime,
    url: String,
    simulator: Simulator,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    /// A small organization with these faults (TOML).
    pub(crate) fn new(faults: &str) -> Self {
        Self::of(OrganizationSpec { accounts: 60, ..OrganizationSpec::default() }, faults)
    }

    /// Another organization with the same aggregators.
    pub(crate) fn of_seed(seed: u64) -> Self {
        Self::of(OrganizationSpec { accounts: 60, seed, ..OrganizationSpec::default() }, "")
    }

    /// The same organization with fewer accounts.
    pub(crate) fn of_accounts(accounts: u32) -> Self {
        Self::of(OrganizationSpec { accounts, ..OrganizationSpec::default() }, "")
    }

    pub(crate) fn of(spec: OrganizationSpec, faults: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let organization = Organization::new(spec);
        let faults = Faults::parse(faults).expect("faults");
        let start = Simulator::start(0, organization, "2026-03-01".parse().expect("a date"), faults);
        let simulator = runtime.block_on(start).expect("a simulator");
        Self { folder: tempfile::tempdir().expect("a folder"), runtime, url: simulator.url(), simulator }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a pipeline over both aggregators, with more lines in `[fetch]`; gives its path.
    pub(crate) fn pipeline(&self, fetch: &str) -> PathBuf {
        self.write_pipeline(&format!("url = {:?}", self.path("lake").display().to_string()), fetch)
    }

    /// Writes a pipeline with these lines in `[lake]`.
    pub(crate) fn write_pipeline(&self, lake: &str, fetch: &str) -> PathBuf {
        let text = format!(
            "version = 1\n[lake]\n{lake}\n\
             [[aggregator]]\nid = \"org\"\nname = \"org-aggregator\"\nregion = \"eu-west-1\"\nfan_out = \"region\"\n\
             [[aggregator]]\nid = \"security\"\nname = \"security-aggregator\"\nregion = \"us-east-1\"\n\
             [fetch]\nendpoint_url = \"{}/{{date}}\"\n{fetch}\n",
            self.url
        );
        let path = self.path("pipeline.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The same, with rules of the first aggregator.
    pub(crate) fn pipeline_with_rules(&self, fetch: &str) -> PathBuf {
        let path = self.pipeline(fetch);
        let text = std::fs::read_to_string(&path).expect("read");
        let of_org = "fan_out = \"region\"\n";
        let text = text.replacen(of_org, &format!("{of_org}datasets = [\"packs\", \"rules\"]\n"), 1);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The bodies of the last requests that the source got.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.simulator.last_requests()
    }

    /// How often a fault of the source has fired.
    pub(crate) fn fired(&self, fault: &str) -> u64 {
        self.simulator.faults_fired().get(fault).copied().unwrap_or_default()
    }

    /// Writes a pipeline over the first aggregator, with more lines in `[[aggregator]]`, and after it; gives its path.
    pub(crate) fn org_pipeline(&self, lake: &str, aggregator: &str, rest: &str) -> PathBuf {
        let text = format!(
            "version = 1\n[lake]\nurl = {:?}\n\
             [[aggregator]]\nid = \"org\"\nname = \"org-aggregator\"\nregion = \"eu-west-1\"\n{aggregator}\n\
             [fetch]\nendpoint_url = \"{}/{{date}}\"\n{rest}\n",
            self.path(lake).display().to_string(),
            self.url
        );
        let path = self.path(&format!("{lake}.toml"));
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Makes a pipeline's endpoint one that is like AWS: it knows only now, and asks who is there.
    pub(crate) fn knows_only_now(&self, pipeline: PathBuf) -> String {
        let text = std::fs::read_to_string(&pipeline).expect("read").replace("/{date}", "");
        std::fs::write(&pipeline, text).expect("written");
        pipeline.display().to_string()
    }

    /// The night of a date, which must succeed.
    pub(crate) fn night(&self, pipeline: &Path, date: &str) -> Ended {
        let ended = run(self.command(&["run", &pipeline.display().to_string(), "--date", date]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    /// `compline` in the scene's folder, with nothing of the tester's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compline"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// The same, with somebody's keys.
    pub(crate) fn command_with_keys(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "very-secret-key");
        command
    }
}

/// Starts a command with its output kept.
pub(crate) fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

/// Runs a command to its end, within the bound.
pub(crate) fn run(command: Command) -> Ended {
    finish(start(command))
}

/// Waits for a command's end, within the bound.
pub(crate) fn finish(child: Child) -> Ended {
    let id = child.id();
    let (done, waiting) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(BOUND).is_err() {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        }
    });
    let output = child.wait_with_output().expect("its output");
    let _ = done.send(());
    watch.join().expect("the watch");
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Waits until something is so, within the bound.
pub(crate) fn wait_until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < BOUND, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process has come to its end, though nobody has waited for it.
pub(crate) fn has_ended(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

/// Sends a signal to a process.
pub(crate) fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().expect("kill").success());
}

pub(crate) fn date(text: &str) -> SnapshotDate {
    text.parse().expect("a date")
}
