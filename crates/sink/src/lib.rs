//! Arrow to Parquet to the lake, on S3 or in a folder, and back.
//!
//! A [`Lake`] knows where each partition is and what is in it; one partition is one object, so replacing it is atomic. Below
//! it, a store puts, gets, lists and deletes whole objects: S3 or a folder. A [`Catalog`] says to Athena where the tables are.

mod catalog;
mod checksum;
mod error;
mod lake;
mod month_file;
#[cfg(test)]
#[path = "../../../tests/mutate.rs"]
mod mutate;
mod parquet_file;
mod store;
mod table_file;

pub use catalog::{
    Catalog, CatalogColumn, CatalogLocation, Change, LakeDays, Layout, PartitionDifferences, PartitionValues,
    Partitioning, Projection, TableDefinition, ViewColumn, ViewDefinition,
};
pub use error::{SinkError, SinkErrorKind};
pub use lake::{
    Collection, Committed, Inventory, JournalEntry, Lake, Month, MonthPlan, Object, OfDay, Partition, Partitions,
    Place, READ_CONCURRENCY, RecentDay, RecentDays, ReportFile, SeenReport, Stored, Unexpected, Verification,
    VerifiedMonth, Versions, computed,
};
pub use month_file::MonthDays;
pub use parquet_file::{Compression, TableWriter};
pub use store::{Encryption, Holder, LakeLocation, Lease, LeaseOutcome, S3Location, Version};
pub use table_file::TableFile;
