//! What every stage of Compline speaks: validated names, dates, the compliance type, the answers of AWS Config, and
//! the schema of each table. No I/O, no async, no clock.
//!
//! A value that exists is right: everything here is parsed at the border and cannot be built wrong afterwards.

mod answer;
mod causes;
mod compliance_type;
mod dataset;
mod names;
mod pack_group;
mod run_id;
mod snapshot_date;
mod snapshot_month;
mod table;

pub use answer::{Compliance, PackAnswer, PackCounts, Page, SourceAnswer};
pub use causes::causes;
pub use compliance_type::ComplianceType;
pub use dataset::Dataset;
pub use names::{AccountId, AggregatorId, AggregatorName, InvalidName, PackName, Region};
pub use pack_group::pack_group;
pub use run_id::RunId;
pub use snapshot_date::{InvalidDate, SnapshotDate};
pub use snapshot_month::SnapshotMonth;
pub use table::{Column, ColumnType, SCHEMA_VERSION, Table, WINDOWS, schema_of};
