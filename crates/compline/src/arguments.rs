//! The command line.

use crate::deal::Deal;
use crate::failure::Failure;
use crate::history::Span;
use crate::log::LogFormat;
use crate::settings::{DatasetName, NamesSource, Settings};
use anyhow::anyhow;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use compline_model::{AggregatorId, Dataset, Region, SnapshotDate};
use std::path::PathBuf;
use std::time::Duration;

/// Version, commit and UTC day of the build: `0.1.0 (0123456789ab 2026-11-27)`.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("COMPLINE_BUILD"), ")");

/// The nightly record of AWS conformance-pack compliance.
///
/// AWS Config knows how every conformance pack stands now and has no history that can be queried. Compline asks every night,
/// and stores each day and its trends as Parquet that Athena reads.
#[derive(Debug, Parser)]
#[command(version = VERSION, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How the log on stderr is written; COMPLINE_LOG_FORMAT says it where this does not.
    #[arg(long, value_name = "FORMAT", value_enum, global = true)]
    pub(crate) log: Option<LogFormat>,
    /// Print nothing but errors, and what has a form of its own: JSON, SQL, a report to stdout.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See a month of trends of a made-up organization, in a minute and without AWS.
    Demo(DemoArguments),
    /// Write a pipeline file, commented, with the aggregators that AWS Config has.
    ///
    /// Asks AWS Config for the aggregators of each region. Nothing that is there is overwritten.
    Init(InitArguments),
    /// Check a configuration before its first run.
    ///
    /// Gives the caller identity for each aggregator, reads one page of every list that a run reads, puts, gets, lists and
    /// deletes a small probe in the lake, conditional puts and a lease included, and asks the catalog for its database. A cross
    /// says what to do. Exit code 1 if there is one.
    Check(CheckArguments),
    /// Say what a run would do, calling nothing unless told to.
    ///
    /// Prints the shards of every aggregator, the calls at least needed, and the partitions that a run would write. With
    /// --discover it asks AWS Config for what the shards depend on.
    Plan(PlanArguments),
    /// Collect the snapshot of a day and compute its trends: the nightly job.
    ///
    /// Exit codes: 0 everything is committed, 1 the run failed, 2 wrong usage or configuration, 3 some of it: an aggregator
    /// failed, or a day is committed and its trends, its row of the ledger or the catalog wait, 4 a day lost so much against the
    /// last one that it is held (whatever else failed), 5 another run holds the lease of an aggregator and nothing was done, 130
    /// or 143 stopped by a signal. A failed aggregator's day is left as it was; run again.
    Run(RunArguments),
    /// Take a day from files in place of AWS Config.
    ///
    /// Takes the output of `aws configservice describe-aggregate-compliance-by-conformance-packs` (one document, or one per
    /// page with --pages), pages or their items as boto3 gives them, in a list or one a line, and the archives of
    /// `[archive] raw`; plain, gzip or zstd. Rows that no filter of the pipeline file asks for are left out. Nothing is written
    /// unless all of it is understood. Trends of later days follow.
    Import(ImportArguments),
    /// Recompute the trend tables from the snapshots.
    ///
    /// Says how many days had tables that were not as the snapshots say, and rewrites those. Calls nothing but the lake.
    Trends(TrendsArguments),
    /// Print the last runs from the ledger: outcome, rows, calls, seconds, warnings.
    History(HistoryArguments),
    /// Say how fresh the lake is: of each aggregator the last snapshot and its age, held days, gaps and stale sources.
    ///
    /// Reads a few lists and files, however long the history is, so that it is fit for a health check. Exit code 1 if a snapshot is
    /// older than --max-age, a day is held, or something cannot be read.
    Status(StatusArguments),
    /// Verify every file of the lake.
    ///
    /// Reads every partition of every table: that it is there, whole, of a known version, sorted and without duplicate keys; that
    /// a snapshot is the file that the ledger says was committed last; that the trend tables are what the snapshots say; that
    /// months have their days. Lists days without a snapshot, unexpected and orphaned objects. What a run writes at this moment
    /// is told apart. Exit code 1 if there is a problem.
    Verify(VerifyArguments),
    /// Compact complete months into one file each, and drop what `[maintain]` says is old enough.
    ///
    /// Says what it would do, and does it with --apply. A month's file is compared with its days row for row before it is put in
    /// place. `pack_status` older than `pack_status_days` is dropped; a snapshot's own files older than `snapshot_days` are, once
    /// the month's file is verified to have these very rows.
    Maintain(MaintainArguments),
    /// Print the tables and views for Athena.
    ///
    /// SQL for the pipeline's own lake and aggregators: external tables whose partitions are projected, and views for the
    /// questions that are asked most. Calls nothing.
    Athena(AthenaArguments),
    /// Bring the Glue catalog up to date with the lake: the database, tables, views and partitions of `[catalog]`.
    ///
    /// Only what differs is changed. Nothing is dropped but registered partitions whose objects are gone, and a view that
    /// others changed is left to them. Every run does it too, for its day, if there is a `[catalog]`.
    Catalog(CatalogArguments),
    /// Say what every table and column means.
    Schema(SchemaArguments),
    /// Write a report: how compliant the organization is, what changed, and what is not seen.
    ///
    /// One HTML file that needs no network and no script to be read, or the same figures as JSON, CSV or Markdown. Everything is
    /// read from the lake.
    Report(ReportArguments),
    /// Print completions for a shell.
    ///
    /// Such as: compline completions bash > /etc/bash_completion.d/compline
    Completions(CompletionsArguments),
    /// Write manual pages.
    Man(ManArguments),
    /// Serve AWS Config's side of the wire, with a made-up organization.
    ///
    /// Point any client at it: AWS_ENDPOINT_URL_CONFIG_SERVICE=http://127.0.0.1:4599 for boto3 and the AWS CLI. `/` answers
    /// as of --date, `/YYYY-MM-DD` as of any other day. Aggregators: org-aggregator in eu-west-1, security-aggregator in
    /// us-east-1.
    Simulate(SimulateArguments),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// The folder to write the lake to.
    #[arg(long, value_name = "DIR", default_value = "lake")]
    pub(crate) lake: PathBuf,
    /// How many dates, ending today.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) days: u32,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) organization: OrganizationArguments,
}

/// Which pipeline, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct PipelineArguments {
    /// The pipeline file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only the aggregator with this id; may be given more than once.
    #[arg(long, value_name = "ID")]
    only: Vec<AggregatorId>,
    /// Another lake than the file's: s3://bucket/prefix or a folder.
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
}

impl PipelineArguments {
    /// Whether only some of the aggregators are wanted.
    pub(crate) fn is_partial(&self) -> bool {
        !self.only.is_empty()
    }

    /// The settings of the file, as far as they are wanted.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::read(&self.file, self.lake.as_deref()).map_err(Failure::Usage)?;
        settings.keep_only("--only", &self.only).map_err(Failure::Usage)?;
        Ok(settings)
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which days.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SpanArguments {
    /// The first day, the first snapshot unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<SnapshotDate>,
    /// The last day, the last snapshot unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<SnapshotDate>,
}

impl SpanArguments {
    /// The days, if there can be any.
    pub(crate) fn checked(self) -> Result<Span, Failure> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => Err(Failure::Usage(anyhow!("--from {from} is after --to {to}"))),
            (from, to) => Ok(Span { from, to }),
        }
    }
}

/// Whether another run is waited for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitArguments {
    /// Wait so long, as in 10m or 90s, for a run that holds the lease of one of these aggregators. Without it the exit code is 5
    /// then.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

impl WaitArguments {
    /// How long is waited, if at all.
    pub(crate) fn or_none(self) -> Duration {
        self.wait.unwrap_or_default()
    }
}

#[derive(Debug, Args)]
pub(crate) struct AthenaArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The database to make them in, that of `[catalog]` or compline unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// The first day that the tables have: that of `[catalog]`, or the lake's, unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) first_day: Option<SnapshotDate>,
    /// Write each statement to a file of its own in this folder, in the order in which to run them, in place of printing them.
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Print from the pipeline file alone. Without it the lake is listed, for its first day and its aggregators.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print the statements that compute the trend tables again from the snapshots, by aggregator and month, into tables beside the
    /// lake's: for years of many accounts, or to hold Compline's against another engine's.
    #[arg(long, conflicts_with_all = ["offline", "first_day"])]
    pub(crate) recompute: bool,
    /// With --recompute, the database that the new tables are made in, that of the lake's unless given.
    #[arg(long, value_name = "NAME", requires = "recompute")]
    pub(crate) into: Option<String>,
    #[command(flatten)]
    pub(crate) span: SpanArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CatalogArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// Print what would be changed, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Only this table.
    #[arg(value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrendsArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    #[command(flatten)]
    pub(crate) span: SpanArguments,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// How many days of each aggregator, the last ones.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), default_value_t = 14)]
    pub(crate) nights: u32,
    /// Print a JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// How old the last snapshot of each aggregator may be.
    #[arg(long, value_name = "TIME", default_value = "26h", value_parser = humantime::parse_duration)]
    pub(crate) max_age: Duration,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The day it is about, today (UTC) unless given: of each aggregator the last snapshot until then.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<SnapshotDate>,
    /// How many days back its histories go: those of `[report]`, or 90, unless given.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) days: Option<u32>,
    /// What is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Html)]
    pub(crate) format: ReportFormat,
    /// The file to write, - for stdout; report.html unless given, and stdout for another format.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// The names of accounts: a CSV file, such as AWS Organizations exports, with columns for id and name; or the word
    /// organizations, to ask AWS Organizations for them.
    #[arg(long, value_name = "PATH", value_parser = names_source)]
    pub(crate) account_names: Option<NamesSource>,
}

fn names_source(text: &str) -> Result<NamesSource, std::convert::Infallible> {
    Ok(NamesSource::from_text(text))
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One file for a browser.
    Html,
    /// The figures as a document.
    Json,
    /// A row for every region, pack group and account.
    Csv,
    /// The main tables, for an issue or a wiki.
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct MaintainArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// Do it; without, it is a dry run.
    #[arg(long)]
    pub(crate) apply: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    #[command(flatten)]
    pub(crate) span: SpanArguments,
    /// Recompute trend tables that are not as the snapshots say, and remove orphaned objects. Never touches a snapshot.
    #[arg(long)]
    pub(crate) repair: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The snapshot date, today (UTC) unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<SnapshotDate>,
    /// Ask each aggregator for its sources, and show the shards as a run would read them.
    #[arg(long)]
    pub(crate) discover: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The pipeline file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The aggregator that was asked, by its id in the pipeline file.
    #[arg(long, value_name = "ID")]
    pub(crate) aggregator: AggregatorId,
    /// The day (UTC) that the files are of.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: SnapshotDate,
    /// What the files are answers of: packs, or rules.
    #[arg(long, value_name = "DATASET", default_value = Dataset::PACKS.name)]
    pub(crate) dataset: DatasetName,
    /// The files, - for stdin.
    #[arg(value_name = "PATH", required_unless_present = "from_month")]
    pub(crate) paths: Vec<PathBuf>,
    /// In place of files: restore the day as it was committed last from its month's file, where its own files are damaged or gone.
    #[arg(long, conflicts_with_all = ["paths", "pages", "replace", "accept"])]
    pub(crate) from_month: bool,
    /// The files are the pages of one list: one of them is its last page, and all others name a next one. Without this every
    /// file must be whole by itself, such as one for each account or region.
    #[arg(long)]
    pub(crate) pages: bool,
    /// Replace the snapshot of that day, if there is one.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Another lake than the file's: s3://bucket/prefix or a folder.
    #[arg(long, value_name = "URL")]
    pub(crate) lake: Option<String>,
    /// Commit the day however much it lost against the one before.
    #[arg(long)]
    pub(crate) accept: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The snapshot date, today (UTC) unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<SnapshotDate>,
    /// Only the aggregators that fall to this one of several runs at once, as in 0/4 to 3/4: an Indexed Job of Kubernetes passes
    /// $JOB_COMPLETION_INDEX/4. Which run an aggregator falls to goes by its id alone.
    #[arg(long, value_name = "INDEX/COUNT")]
    pub(crate) shard: Option<Deal>,
    /// Only this dataset of the aggregators that collect it, or of which it is held: packs, or rules.
    #[arg(long, value_name = "DATASET")]
    pub(crate) dataset: Option<DatasetName>,
    /// Commit what is held of the day, as it was collected, without a call. Nothing else is touched.
    #[arg(long)]
    pub(crate) accept: bool,
    /// Remove what is held of the day; the day is as it was, without a call.
    #[arg(long, conflicts_with_all = ["accept", "ignore_checkpoints"])]
    pub(crate) reject: bool,
    /// Ignore the checkpoints of a run of the day that was stopped, and ask for everything.
    #[arg(long = "fresh")]
    pub(crate) ignore_checkpoints: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// The pipeline file to write, - for stdout.
    #[arg(value_name = "FILE", default_value = "pipeline.toml")]
    pub(crate) file: PathBuf,
    /// A region to ask; may be given more than once. That of the environment or the profile unless given.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Vec<Region>,
    /// The lake that the file names: s3://bucket/prefix or a folder.
    #[arg(long, value_name = "URL", default_value = "lake")]
    pub(crate) lake: String,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The folder that gets a page for each command; without it the page of the program is printed.
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// The port on the loopback interface; 0 for a free one. The address is printed.
    #[arg(long, default_value_t = 4599)]
    pub(crate) port: u16,
    /// The day that `/` answers as of, today (UTC) unless given.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<SnapshotDate>,
    /// A fault, such as throttle_per_second=10; may be given more than once. An unknown one lists them all.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) fault: Vec<String>,
    /// A TOML file of faults; those given by --fault are added.
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) organization: OrganizationArguments,
}

#[derive(Debug, Args)]
pub(crate) struct OrganizationArguments {
    /// Accounts of the made-up organization.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) accounts: u32,
    /// Regions it uses.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) regions: u32,
    /// Conformance packs per account and region.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) packs: u32,
    /// Makes another organization.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}
