//! The journal: what a run is about to change, written down before the first change.
//!
//! An entry is a small document of one run, aggregator and dataset, with the files that are to be put beside it. What an entry says
//! is the business of its writer; here it is bytes. It is removed when all that it says is done, so an entry that is there is
//! the work of a run that was stopped.

use super::{Committed, Lake, Partition, Place, sha256};
use crate::SinkError;
use bytes::Bytes;
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};

/// An entry of the journal as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The run that wrote it.
    pub run_id: RunId,
    /// What it says.
    pub document: Bytes,
    /// A second copy of it, for where the first is damaged.
    pub copy: Option<Bytes>,
}

const fn place_name(place: Place) -> &'static str {
    match place {
        Place::Table => "commit/",
        Place::Held => "held/",
    }
}

/// The marker of versions before the journal: trends were out of date from the day that it names.
fn marker(aggregator: &AggregatorId) -> String {
    format!("_compline/redo/aggregator={aggregator}.json")
}

impl Lake {
    fn journal_folder(&self, aggregator: &AggregatorId) -> String {
        format!("{}aggregator={aggregator}/", self.notes("journal"))
    }

    fn journal_document(&self, aggregator: &AggregatorId, run_id: RunId) -> String {
        format!("{}{run_id}.json", self.journal_folder(aggregator))
    }

    /// The folder of the files beside the entry of a run.
    fn beside(&self, aggregator: &AggregatorId, run_id: RunId) -> String {
        format!("{}{run_id}/", self.journal_folder(aggregator))
    }

    fn journal_copy(&self, aggregator: &AggregatorId, run_id: RunId) -> String {
        format!("{}entry.json", self.beside(aggregator, run_id))
    }

    /// Where a file is staged. The path says what it is to become.
    fn staged_key(&self, run_id: RunId, partition: &Partition, place: Place) -> String {
        format!("{}{}{}", self.beside(&partition.aggregator, run_id), place_name(place), partition.key())
    }

    /// The entries of an aggregator's journal, those of earlier runs first.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn journal(&self, aggregator: &AggregatorId) -> Result<Vec<JournalEntry>, SinkError> {
        let folder = self.journal_folder(aggregator);
        let mut entries = Vec::new();
        for object in self.store.list(&folder).await? {
            let name = object.key.strip_prefix(&folder).and_then(|name| name.strip_suffix(".json"));
            let Some(run_id) = name.and_then(|name| name.parse().ok()) else { continue };
            // One that is gone by now was another run's, which is done.
            let Some(document) = self.store.get(&object.key).await? else { continue };
            let copy = self.store.get(&self.journal_copy(aggregator, run_id)).await?;
            entries.push(JournalEntry { run_id, document, copy });
        }
        entries.sort_unstable_by_key(|entry| entry.run_id);
        Ok(entries)
    }

    /// Writes or replaces the entry of a run, its copy first.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn put_journal(&self, aggregator: &AggregatorId, run_id: RunId, content: Bytes) -> Result<(), SinkError> {
        self.put(&self.journal_copy(aggregator, run_id), content.clone()).await?;
        self.put(&self.journal_document(aggregator, run_id), content).await.map(drop)
    }

    /// Removes the entry of a run and then the files beside it.
    ///
    /// # Errors
    /// A store that does not remove them.
    pub async fn remove_journal(&self, aggregator: &AggregatorId, run_id: RunId) -> Result<(), SinkError> {
        self.store.delete(&[self.journal_document(aggregator, run_id)]).await?;
        self.remove_beside(aggregator, run_id, |_| true).await
    }

    /// Removes the files that are staged beside the entry of a run.
    ///
    /// # Errors
    /// A store that does not remove them.
    pub async fn remove_staged(&self, aggregator: &AggregatorId, run_id: RunId) -> Result<(), SinkError> {
        let copy = self.journal_copy(aggregator, run_id);
        self.remove_beside(aggregator, run_id, |key| key != copy).await
    }

    async fn remove_beside(
        &self,
        aggregator: &AggregatorId,
        run_id: RunId,
        is_removed: impl Fn(&str) -> bool,
    ) -> Result<(), SinkError> {
        let beside = self.store.list(&self.beside(aggregator, run_id)).await?;
        let keys: Vec<String> = beside.into_iter().map(|object| object.key).filter(|key| is_removed(key)).collect();
        if keys.is_empty() { Ok(()) } else { self.store.delete(&keys).await }
    }

    /// Puts a file beside the entry that is about to be written.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn stage(
        &self,
        run_id: RunId,
        partition: &Partition,
        place: Place,
        file: Bytes,
    ) -> Result<Committed, SinkError> {
        self.put(&self.staged_key(run_id, partition, place), file).await
    }

    /// A file beside an entry, if it is there and has this SHA-256.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn staged(
        &self,
        run_id: RunId,
        partition: &Partition,
        place: Place,
        hash: &str,
    ) -> Result<Option<Bytes>, SinkError> {
        let file = self.store.get(&self.staged_key(run_id, partition, place)).await?;
        Ok(file.filter(|file| sha256(file) == hash))
    }

    /// What a version before the journal left: the day from which trends are out of date. A marker that cannot be read gives
    /// no day, which stands for all of them.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn old_marker(&self, aggregator: &AggregatorId) -> Result<Option<Option<SnapshotDate>>, SinkError> {
        #[derive(serde::Deserialize)]
        struct Marker {
            from: String,
        }
        if self.dataset != &Dataset::PACKS {
            // There were no others.
            return Ok(None);
        }
        let Some(file) = self.store.get(&marker(aggregator)).await? else { return Ok(None) };
        let from = serde_json::from_slice::<Marker>(&file).ok().and_then(|marker| marker.from.parse().ok());
        Ok(Some(from))
    }

    /// Removes it, once the journal says the same.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn remove_old_marker(&self, aggregator: &AggregatorId) -> Result<(), SinkError> {
        self.store.delete(&[marker(aggregator)]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compline_model::Table;

    #[tokio::test]
    async fn entries_come_in_order_of_their_runs_and_go_with_what_is_staged_beside_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        let aggregator: AggregatorId = "org".parse().expect("an id");
        let run =
            |number: u8| -> RunId { format!("01900000-0000-7000-8000-00000000000{number}").parse().expect("an id") };
        let date = "2026-01-02".parse().expect("a date");
        let partition = Partition { table: Table::PackCompliance, date, aggregator: aggregator.clone() };
        assert_eq!(lake.journal(&aggregator).await.expect("read"), []);
        for number in [2, 1] {
            let file = Bytes::from(vec![number]);
            lake.stage(run(number), &partition, Place::Table, file.clone()).await.expect("staged");
            lake.put_journal(&aggregator, run(number), file).await.expect("written");
        }
        let entries = lake.journal(&aggregator).await.expect("read");
        assert_eq!(entries.iter().map(|entry| entry.run_id).collect::<Vec<_>>(), [run(1), run(2)]);
        let hash = sha256(&[1]);
        let staged = async |hash: &str| lake.staged(run(1), &partition, Place::Table, hash).await.expect("read");
        assert_eq!(staged(&hash).await.as_deref(), Some(&[1][..]));
        assert_eq!(staged("another").await, None, "a file that is not the one that was staged is none");
        for number in [1, 2] {
            lake.remove_journal(&aggregator, run(number)).await.expect("removed");
        }
        assert_eq!(lake.store.list("_compline/journal").await.expect("listed"), []);
    }

    #[tokio::test]
    async fn the_entries_of_one_dataset_are_not_those_of_another_though_of_the_same_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let packs = Lake::in_folder(folder.path()).await;
        let rules = packs.of(&Dataset::RULES);
        let aggregator: AggregatorId = "org".parse().expect("an id");
        let run: RunId = "01900000-0000-7000-8000-000000000001".parse().expect("an id");
        let date = "2026-01-02".parse().expect("a date");
        let of = |table| Partition { table, date, aggregator: aggregator.clone() };
        for (lake, table) in [(&packs, Table::PackCompliance), (&rules, Table::RuleCompliance)] {
            lake.stage(run, &of(table), Place::Table, Bytes::from_static(b"x")).await.expect("staged");
            lake.put_journal(&aggregator, run, Bytes::from(table.name())).await.expect("written");
        }
        let says = async |lake: &Lake| lake.journal(&aggregator).await.expect("read").remove(0).document;
        assert_eq!(
            (says(&packs).await, says(&rules).await),
            (Bytes::from("pack_compliance"), Bytes::from("rule_compliance"))
        );
        let inventory = packs.inventory(chrono::Utc::now()).await.expect("listed");
        assert_eq!((inventory.journals.len(), inventory.unexpected), (1, vec![]), "of one run");
        rules.remove_journal(&aggregator, run).await.expect("removed");
        let staged = packs.staged(run, &of(Table::PackCompliance), Place::Table, &sha256(b"x")).await;
        assert_eq!(staged.expect("read"), Some(Bytes::from_static(b"x")), "that of packs is still there");
    }

    #[tokio::test]
    async fn the_marker_of_an_older_version_is_read_and_one_that_is_damaged_stands_for_every_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        let aggregator: AggregatorId = "org".parse().expect("an id");
        assert_eq!(lake.old_marker(&aggregator).await.expect("read"), None);
        let key = marker(&aggregator);
        lake.store.put(&key, Bytes::from_static(b"{\"from\":\"2026-01-02\"}")).await.expect("put");
        let date = "2026-01-02".parse().expect("a date");
        assert_eq!(lake.old_marker(&aggregator).await.expect("read"), Some(Some(date)));
        lake.store.put(&key, Bytes::from_static(b"{\"fr")).await.expect("put");
        assert_eq!(lake.old_marker(&aggregator).await.expect("read"), Some(None));
        lake.remove_old_marker(&aggregator).await.expect("removed");
        assert_eq!(lake.old_marker(&aggregator).await.expect("read"), None);
    }
}
