//! Importing a day from files in place of AWS Config: what people have lying around, and the pages that an archive retains.

use super::Shared;
use super::collect::{Collected, Reading};
use crate::settings::AggregatorSettings;
use anyhow::{Context, bail};
use chrono::DateTime;
use compline_fetcher::{Dump, Dumped, FilesAre, Population};
use compline_model::{Answers, Dataset, RunId, SnapshotDate, SourceAnswer};
use compline_sink::computed;
use compline_transformer::{Flattener, RowFilter, ShardRows, SourceIndex, check, source_status};
use std::path::PathBuf;

/// What files are to be, and what they were so far.
struct Importing {
    dataset: &'static Dataset,
    aggregator: String,
    date: SnapshotDate,
    run_id: RunId,
    /// What a run would have asked AWS Config for.
    population: Population,
    row_filter: RowFilter,
    statuses: Vec<SourceAnswer>,
    /// When the sources were collected, and by which run.
    sources_from: (DateTime<chrono::Utc>, RunId),
    archives: u32,
    rows: Option<ShardRows>,
    pages: u64,
    empty_pages: u64,
    /// Rows that no filter asks for: an imported day must be of the same population as one that a run collected.
    not_asked_for: u64,
}

/// A day from files, whole, and how many pages it was.
pub(super) async fn import(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    (files, files_are): (&[PathBuf], FilesAre),
    reading: &mut Reading,
) -> anyhow::Result<Collected> {
    let (asked, dataset) = (aggregator.of(shared.dataset), shared.dataset);
    let importing = Importing {
        dataset: shared.dataset,
        aggregator: aggregator.address.id.to_string(),
        date: shared.request.date,
        run_id: shared.session.run_id,
        population: Population::of(shared.dataset, &asked.filters),
        row_filter: asked.row_filter.clone(),
        statuses: Vec::new(),
        sources_from: (shared.session.started_at, shared.session.run_id),
        archives: 0,
        rows: None,
        pages: 0,
        empty_pages: 0,
        not_asked_for: 0,
    };
    let files = files.to_vec();
    let imported =
        tokio::task::spawn_blocking(move || importing.read(files, files_are)).await.context("reading stopped")??;
    let Importing { rows, statuses, sources_from: (collected_at, run_id), pages, empty_pages, not_asked_for, .. } =
        imported;
    (reading.pages, reading.empty_pages) = (pages, empty_pages);
    let source_status = source_status(&statuses, collected_at, run_id)?;
    let Some(rows) = rows else { bail!("the files have no page of {}", dataset.name) };
    reading.left_out = rows.left_out() + not_asked_for;
    let snapshot =
        computed(move || check(dataset, vec![rows], SourceIndex::new(&statuses))).await.context("checking stopped")?;
    Ok(Collected { snapshot, source_status, population: None })
}

impl Importing {
    fn read(mut self, files: Vec<PathBuf>, files_are: FilesAre) -> anyhow::Result<Self> {
        let mut dump = Dump::new(files, files_are, self.run_id);
        while let Some(dumped) = dump.next_part()? {
            match dumped {
                Dumped::Archive(archive) => {
                    let (aggregator, date) = (archive.aggregator.to_string(), archive.snapshot_date);
                    if (&aggregator, date) != (&self.aggregator, self.date) {
                        bail!(
                            "the archive is of {aggregator} on {date}, and --aggregator and --date say {} on {}",
                            self.aggregator,
                            self.date
                        );
                    }
                    self.is_wanted(archive.dataset)?;
                    self.archives += 1;
                    if self.archives > 1 || self.rows.is_some() {
                        bail!(
                            "an archive is a whole day: give it alone; of several of a day that of the run that the ledger says committed \
                             last (run_id in runs)"
                        );
                    }
                }
                Dumped::Sources(page) => {
                    self.statuses.extend(page.statuses);
                    self.sources_from = (page.collected_at, page.run_id);
                }
                Dumped::Page(mut page) => {
                    self.is_wanted(page.answers.dataset())?;
                    let came = page.answers.len();
                    self.pages += 1;
                    self.empty_pages += u64::from(came == 0);
                    match &mut page.answers {
                        Answers::Packs(packs) => packs.retain(|pack| self.population.has_pack(pack)),
                        Answers::Rules(rules) => rules.retain(|rule| self.population.has_rule(rule)),
                    }
                    self.not_asked_for += (came - page.answers.len()) as u64;
                    let rows =
                        self.rows.get_or_insert_with(|| Flattener::new(self.dataset, self.row_filter.clone()).shard());
                    rows.push(&page);
                }
            }
        }
        Ok(self)
    }

    /// Refuses files of another dataset than the one that is imported: a day of each is imported by itself.
    fn is_wanted(&self, dataset: &Dataset) -> anyhow::Result<()> {
        if dataset != self.dataset {
            bail!(
                "the files have {}, and {} are imported: give --dataset {}",
                dataset.name,
                self.dataset.name,
                dataset.name
            );
        }
        Ok(())
    }
}
