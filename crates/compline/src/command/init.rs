//! `compline init`: a pipeline file with the aggregators that there are.

use super::day_of;
use crate::arguments::InitArguments;
use crate::checks::{CALM, MAX_ATTEMPTS, PATIENCE};
use crate::failure::{Ending, Failure};
use crate::log::log_to_stderr;
use crate::output::{document, done};
use crate::session::Clock;
use crate::settings::Settings;
use crate::signals;
use crate::summary::counted;
use anyhow::{Context, anyhow};
use compline_aws::{Environment, Identity};
use compline_fetcher::{Connector, FetchOptions, FoundAggregator};
use compline_model::{AggregatorId, Region};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;

/// What comes before the aggregators, and after them.
const HEAD: &str = include_str!("init/head.toml");
const TAIL: &str = include_str!("init/tail.toml");

/// What was written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Written {
    /// The pipeline file.
    file: String,
    /// The aggregators that it has.
    aggregators: Vec<Found>,
    /// The regions that were asked and have none.
    regions_without: Vec<String>,
}

/// An aggregator that was found.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Found {
    /// Its id in the file.
    aggregator: String,
    /// Its name in AWS Config.
    name: String,
    region: String,
    /// What it gathers from, in words.
    gathers: String,
}

pub(super) async fn init(arguments: &InitArguments, clock: Clock) -> Result<Ending, Failure> {
    log_to_stderr("error,compline_fetcher=warn");
    let is_file = arguments.file.as_os_str() != "-";
    if !is_file && arguments.json {
        return Err(Failure::Usage(anyhow!(
            "--json: the pipeline file is what goes to stdout; leave it out, or give a FILE"
        )));
    }
    if is_file && std::fs::symlink_metadata(&arguments.file).is_ok() {
        let file = arguments.file.display();
        return Err(Failure::Usage(anyhow!("{file} is there already, and is not overwritten; give another FILE")));
    }
    let (asked, regions_without) = tokio::select! {
        found = found(arguments, clock) => found?,
        signal = signals::received() => return Ok(Ending::Stopped(signal)),
    };
    let text = text(&asked, &arguments.lake);
    // What is written is what can be read, or the lake's address is none, which is an argument's fault.
    let file = arguments.file.display().to_string();
    Settings::parse(&file, &self::text(&asked, "lake"), Some(&arguments.lake)).map_err(Failure::Usage)?;
    Settings::parse(&file, &text, None).map_err(Failure::Run)?;
    let written = Written { file, aggregators: asked, regions_without };
    if !is_file {
        document(&text)?;
        return Ok(Ending::Done);
    }
    write(&arguments.file, &text).map_err(Failure::Run)?;
    done(("init", Ending::Done), arguments.json, &written, || words(&written));
    Ok(Ending::Done)
}

/// Asks each region for its aggregators; gives the regions that have none as well.
async fn found(arguments: &InitArguments, clock: Clock) -> Result<(Vec<Found>, Vec<String>), Failure> {
    let environment = Environment::load(Identity::DefaultChain).await?;
    let regions = match arguments.region.as_slice() {
        [] => vec![region_of(&environment)?],
        regions => regions.to_vec(),
    };
    let options = FetchOptions {
        page_size: None,
        max_attempts: MAX_ATTEMPTS,
        operation_timeout: PATIENCE,
        attempt_timeout: PATIENCE,
        max_requests_per_second: Some(CALM),
        runs_at_once: 1,
        endpoint_url: None,
    };
    let connector = Connector::new(environment, options);
    let (mut all, mut ids, mut without) = (Vec::new(), BTreeSet::new(), Vec::new());
    for region in regions.iter().collect::<BTreeSet<_>>() {
        let of_region = connector.aggregators(region).await.map_err(Failure::run)?;
        if of_region.is_empty() {
            without.push(region.to_string());
        }
        for one in of_region {
            let aggregator = id(&one, region, &mut ids);
            all.push(Found {
                aggregator,
                name: one.name.to_string(),
                region: region.to_string(),
                gathers: gathers(&one),
            });
        }
    }
    if all.is_empty() {
        let names = regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        return Err(Failure::Run(anyhow!(
            "AWS Config has no aggregator in {names} on {} for this account; give the --region that has one, or the credentials of \
             the account that it is in, or make one: aws configservice put-configuration-aggregator",
            day_of(clock())
        )));
    }
    Ok((all, without))
}

fn region_of(environment: &Environment) -> Result<Region, Failure> {
    let region = environment.shared().region().map(ToString::to_string);
    let none = || anyhow!("no region: give --region, or set AWS_REGION or the profile's region");
    region.ok_or_else(none).and_then(|region| Ok(region.parse()?)).map_err(Failure::Usage)
}

/// An id that is made of the name, and that no other one has.
fn id(found: &FoundAggregator, region: &Region, taken: &mut BTreeSet<String>) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        letter if letter.is_ascii_alphanumeric() || letter == '_' => letter,
        _ => '-',
    };
    let name: String = found.name.as_str().chars().map(letter).collect();
    let name = name.trim_start_matches(['-', '_']);
    let candidates = [name.to_owned(), format!("{name}-{region}")].into_iter();
    let numbered = (2..).map(|number| format!("aggregator-{number}"));
    let is_free = |id: &String| id.parse::<AggregatorId>().is_ok() && !taken.contains(id);
    let free = candidates.chain(["aggregator".to_owned()]).chain(numbered).find(is_free).unwrap_or_default();
    taken.insert(free.clone());
    free
}

fn gathers(found: &FoundAggregator) -> String {
    let accounts =
        if found.of_organization { "the whole organization".to_owned() } else { counted(found.accounts, "account") };
    match found.regions.len() {
        0 => format!("{accounts} in all regions"),
        count => format!("{accounts} in {}", counted(count, "region")),
    }
}

fn text(all: &[Found], lake: &str) -> String {
    // Text of JSON in quotes is text of TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = HEAD.to_owned();
    let _ =
        writeln!(text, "# Where the days are stored: s3://bucket/prefix, or a folder.\n[lake]\nurl = {}", quoted(lake));
    for Found { aggregator, name, region, gathers } in all {
        let _ = writeln!(
            text,
            "\n# Gathers from {gathers}. The id is for good: it is the partition that its days are stored in.\n\
             [[aggregator]]\nid = {}\nname = {}\nregion = {}",
            quoted(aggregator),
            quoted(name),
            quoted(region)
        );
    }
    text + TAIL
}

/// Writes a file that is not there yet.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let written = std::fs::File::create_new(file).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write the pipeline file {}", file.display()))
}

fn words(written: &Written) -> String {
    let file = &written.file;
    let lines = written.aggregators.iter().map(|Found { aggregator, name, region, gathers }| {
        format!("{aggregator}: {name} in {region}, gathers from {gathers}\n")
    });
    let without = written.regions_without.iter().map(|region| format!("{region} has no aggregator\n"));
    let lines = lines.chain(without).collect::<String>();
    format!("{lines}{file} is written; try it with: compline check {file}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregator(name: &str) -> FoundAggregator {
        FoundAggregator { name: name.parse().expect("a name"), of_organization: true, accounts: 0, regions: Vec::new() }
    }

    #[test]
    fn each_aggregator_gets_an_id_of_its_own_whatever_it_is_called() {
        let region: Region = "eu-west-1".parse().expect("a region");
        let mut taken = BTreeSet::new();
        let mut of = |name: &str| id(&aggregator(name), &region, &mut taken);
        assert_eq!(of("Org_Aggregator"), "org_aggregator");
        assert_eq!(of("org_aggregator"), "org_aggregator-eu-west-1");
        assert_eq!(of("ORG_AGGREGATOR"), "aggregator");
        assert_eq!(of("---"), "aggregator-2");
        assert_eq!(of(&"x".repeat(200)), "aggregator-3");
    }

    #[test]
    fn what_is_written_is_a_pipeline_file_whatever_the_lake_is_called() {
        for lake in ["s3://bucket/prefix", "a \"quoted\" folder", "back\\slash"] {
            let found = Found {
                aggregator: "org".to_owned(),
                name: "org-aggregator".to_owned(),
                region: "eu-west-1".to_owned(),
                gathers: "1 account in all regions".to_owned(),
            };
            let settings = Settings::parse("p.toml", &text(&[found], lake), None).expect("settings");
            assert_eq!(crate::settings::lake_name(&settings.lake), lake);
        }
    }

    #[test]
    fn what_is_commented_out_is_right_once_it_is_not() {
        let sections = TAIL.lines().filter_map(|line| line.strip_prefix("# "));
        let is_code = |line: &&str| line.starts_with('[') || line.contains(" = ");
        let code = sections.filter(is_code).map(|line| format!("{line}\n")).collect::<String>();
        let found = Found {
            aggregator: "org".to_owned(),
            name: "org-aggregator".to_owned(),
            region: "eu-west-1".to_owned(),
            gathers: String::new(),
        };
        let text = text(&[found], "s3://bucket/prefix") + &code;
        Settings::parse("p.toml", &text, None).expect("settings");
    }
}
