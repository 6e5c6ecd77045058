//! Registered partitions: each is named in the catalog, with a place and columns of its own, which nobody else renews.

use super::definition::TableDefinition;
use super::difference;
use super::{Catalog, Change, code_of};
use crate::SinkError;
use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, ErrorDetail, Partition, PartitionInput, PartitionValueList,
};
use compline_model::SnapshotDate;
use std::collections::BTreeSet;

/// What Glue takes in one request to create, update or read partitions.
const PER_REQUEST: usize = 100;

/// What Glue takes in one request to delete partitions.
const DELETES_PER_REQUEST: usize = 25;

/// The values of a partition, in the order of the table's keys.
pub type PartitionValues = Vec<String>;

/// How the partitions of a table in the catalog differ from those of the lake.
#[derive(Debug, Default)]
pub struct PartitionDifferences {
    /// In the lake, and not in the catalog.
    pub missing: BTreeSet<PartitionValues>,
    /// In both, but with another place or other columns in the catalog.
    pub outdated: BTreeSet<PartitionValues>,
    /// In the catalog at a place of this lake, where the lake has nothing. Those at other places are somebody else's.
    pub gone: BTreeSet<PartitionValues>,
}

impl PartitionDifferences {
    /// The changes that take the differences away.
    pub fn changes(self, definition: &TableDefinition) -> impl Iterator<Item = Change> {
        let of = |values: BTreeSet<PartitionValues>, change: fn(TableDefinition, Vec<PartitionValues>) -> Change| {
            (!values.is_empty()).then(|| change(definition.clone(), values.into_iter().collect()))
        };
        [
            of(self.missing, Change::AddPartitions),
            of(self.outdated, Change::UpdatePartitions),
            of(self.gone, Change::RemovePartitions),
        ]
        .into_iter()
        .flatten()
    }
}

impl Catalog {
    /// How the partitions of a table differ from those that the lake has; of a table of days, those of one day and later ones, if one
    /// is given.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn partition_differences(
        &self,
        definition: &TableDefinition,
        mut of_lake: BTreeSet<PartitionValues>,
        since: Option<SnapshotDate>,
    ) -> Result<PartitionDifferences, SinkError> {
        let mut found = PartitionDifferences::default();
        let since = since.filter(|_| definition.is_of_days());
        let request = self.client.get_partitions().database_name(&self.database).table_name(&definition.name);
        let request = request.set_expression(since.map(|day| format!("snapshot_date >= '{day}'")));
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                // A table that is still to be made has no partitions.
                Err(error) if code_of(&error) == Some("EntityNotFoundException") => break,
                Err(error) => return Err(self.failed("read the partitions of", &definition.name, &error)),
            };
            for partition in page.partitions() {
                let values = partition.values().to_vec();
                if of_lake.remove(&values) {
                    if is_outdated(definition, partition) {
                        found.outdated.insert(values);
                    }
                } else if is_of_lake(definition, partition) {
                    found.gone.insert(values);
                }
            }
        }
        found.missing = of_lake;
        Ok(found)
    }

    /// Names partitions in the catalog. Those that are there already are compared, and updated if they differ.
    pub(super) async fn add_partitions(
        &self,
        definition: &TableDefinition,
        all: &[PartitionValues],
    ) -> Result<(), SinkError> {
        for some in all.chunks(PER_REQUEST) {
            let inputs = some.iter().map(|values| input(definition, values, None)).collect();
            let request =
                self.client.batch_create_partition().database_name(&self.database).table_name(&definition.name);
            let sent = request.set_partition_input_list(Some(inputs)).send().await;
            let answer = sent.map_err(|error| self.failed("add partitions to", &definition.name, &error))?;
            let (mut there, mut refused) = (Vec::new(), None);
            for error in answer.errors() {
                let detail = error.error_detail();
                if detail.and_then(ErrorDetail::error_code) == Some("AlreadyExistsException") {
                    there.push(error.partition_values().to_vec());
                } else {
                    refused = refused.or(Some((error.partition_values(), detail)));
                }
            }
            self.check("add", "to", definition, refused)?;
            self.update_partitions(definition, &there).await?;
        }
        Ok(())
    }

    /// Updates those of these partitions that differ from what they must be.
    pub(super) async fn update_partitions(
        &self,
        definition: &TableDefinition,
        all: &[PartitionValues],
    ) -> Result<(), SinkError> {
        for some in all.chunks(PER_REQUEST) {
            let there = self.partitions_there(definition, some).await?;
            let outdated = there.iter().filter(|partition| is_outdated(definition, partition));
            let entry = |partition: &Partition| {
                let values = partition.values();
                BatchUpdatePartitionRequestEntry::builder()
                    .set_partition_value_list(Some(values.to_vec()))
                    .partition_input(input(definition, values, Some(partition)))
                    .build()
            };
            let entries = outdated.map(entry).collect::<Result<Vec<_>, _>>();
            let entries = entries.map_err(|error| self.wrong(&definition.name, error))?;
            if entries.is_empty() {
                continue;
            }
            let request =
                self.client.batch_update_partition().database_name(&self.database).table_name(&definition.name);
            let sent = request.set_entries(Some(entries)).send().await;
            let answer = sent.map_err(|error| self.failed("update partitions of", &definition.name, &error))?;
            let refused = answer.errors().first().map(|error| (error.partition_value_list(), error.error_detail()));
            self.check("update", "of", definition, refused)?;
        }
        Ok(())
    }

    /// Takes partitions out of the catalog; the lake is left as it is. That one is gone already is no error.
    pub(super) async fn remove_partitions(
        &self,
        definition: &TableDefinition,
        all: &[PartitionValues],
    ) -> Result<(), SinkError> {
        for some in all.chunks(DELETES_PER_REQUEST) {
            let lists = self.lists(definition, some)?;
            let request =
                self.client.batch_delete_partition().database_name(&self.database).table_name(&definition.name);
            let sent = request.set_partitions_to_delete(Some(lists)).send().await;
            let answer = sent.map_err(|error| self.failed("remove partitions from", &definition.name, &error))?;
            let is_refused = |detail: Option<&ErrorDetail>| {
                detail.and_then(ErrorDetail::error_code) != Some("EntityNotFoundException")
            };
            let refused = answer.errors().iter().find(|error| is_refused(error.error_detail()));
            self.check(
                "remove",
                "from",
                definition,
                refused.map(|error| (error.partition_values(), error.error_detail())),
            )?;
        }
        Ok(())
    }

    async fn partitions_there(
        &self,
        definition: &TableDefinition,
        some: &[PartitionValues],
    ) -> Result<Vec<Partition>, SinkError> {
        let mut there = Vec::new();
        let mut asked = self.lists(definition, some)?;
        // Glue may answer for a part and leave the rest to be asked for again.
        while !asked.is_empty() {
            let request = self.client.batch_get_partition().database_name(&self.database).table_name(&definition.name);
            let sent = request.set_partitions_to_get(Some(asked.clone())).send().await;
            let answer = sent.map_err(|error| self.failed("read partitions of", &definition.name, &error))?;
            let rest = answer.unprocessed_keys().to_vec();
            if rest.len() >= asked.len() {
                let reason = format!("Glue answers for none of {} partitions", rest.len());
                return Err(SinkError::permanent(
                    format!("read partitions of {}", self.place(&definition.name)),
                    reason,
                ));
            }
            there.extend(answer.partitions.unwrap_or_default());
            asked = rest;
        }
        Ok(there)
    }

    fn lists(
        &self,
        definition: &TableDefinition,
        some: &[PartitionValues],
    ) -> Result<Vec<PartitionValueList>, SinkError> {
        let list = |values: &PartitionValues| PartitionValueList::builder().set_values(Some(values.clone())).build();
        some.iter().map(list).collect::<Result<_, _>>().map_err(|error| self.wrong(&definition.name, error))
    }

    /// An error, if a partition of a batch was refused.
    fn check(
        &self,
        verb: &str,
        preposition: &str,
        definition: &TableDefinition,
        refused: Option<(&[String], Option<&ErrorDetail>)>,
    ) -> Result<(), SinkError> {
        let Some((values, detail)) = refused else { return Ok(()) };
        let code = detail.and_then(ErrorDetail::error_code).unwrap_or("no code");
        let message = detail.and_then(ErrorDetail::error_message).unwrap_or("no message");
        let doing = format!("{verb} the partition {} {preposition} {}", values.join("/"), self.place(&definition.name));
        Err(SinkError::permanent(doing, format!("{code}: {message}")))
    }
}

fn is_outdated(definition: &TableDefinition, there: &Partition) -> bool {
    let location = definition.partition_location(there.values());
    !difference::of_partition(definition, &location, there.storage_descriptor()).is_empty()
}

/// Whether a partition is at a place of this table in this lake.
fn is_of_lake(definition: &TableDefinition, partition: &Partition) -> bool {
    let location = partition.storage_descriptor().and_then(|files| files.location());
    location.is_some_and(|location| location.starts_with(&definition.location))
}

fn input(definition: &TableDefinition, values: &[String], there: Option<&Partition>) -> PartitionInput {
    let files = there.and_then(Partition::storage_descriptor);
    let files = difference::files(definition, &definition.partition_location(values), files);
    PartitionInput::builder()
        .set_values(Some(values.to_vec()))
        .set_parameters(there.and_then(|there| there.parameters.clone()))
        .storage_descriptor(files)
        .build()
}
