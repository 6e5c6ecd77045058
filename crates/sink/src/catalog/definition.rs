//! What a table of the lake is to Athena, in Hive's terms.

use super::projection::Projection;
use compline_model::{ColumnType, Table};
use std::collections::{BTreeMap, HashMap};

/// How a table's objects lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// An object per day and aggregator.
    Daily,
    /// An object per month and aggregator.
    Monthly,
}

/// A column, as the catalog names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type, as Hive calls it.
    pub hive_type: &'static str,
    /// What it means.
    pub comment: &'static str,
}

/// A table, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// What a row of it is, and who finds its partitions.
    pub comment: String,
    /// The columns of its files.
    pub columns: Vec<CatalogColumn>,
    /// The columns that are in the names of folders.
    pub partition_keys: Vec<CatalogColumn>,
    /// Where its files are, with a slash at the end.
    pub location: String,
    /// The partitions that Athena works out; nothing if each is registered and no more.
    projection: Option<Projection>,
}

/// What Parquet is to Hive.
pub(super) const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
pub(super) const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
pub(super) const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

/// Said in the comment of a table whose partitions are projected and not registered: the engines that do not know
/// projection find no partition in it, and give no error.
const PROJECTED_ALONE: &str = ". Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and \
                               Spark see rows only with partitions = \"registered\" or \"both\"";

const SNAPSHOT_DATE: CatalogColumn = CatalogColumn {
    name: "snapshot_date",
    hive_type: "date",
    comment: "UTC day on which the run that collected it began",
};

const SNAPSHOT_MONTH: CatalogColumn =
    CatalogColumn { name: "snapshot_month", hive_type: "string", comment: "month of the snapshot date, YYYY-MM" };

const AGGREGATOR: CatalogColumn =
    CatalogColumn { name: "aggregator", hive_type: "string", comment: "id of the aggregator in the pipeline file" };

impl Layout {
    /// The name of a table that lies like this, also of its folder.
    pub fn name(self, table: Table) -> String {
        match self {
            Self::Daily => table.name().to_owned(),
            Self::Monthly => format!("{}_monthly", table.name()),
        }
    }
}

impl TableDefinition {
    /// A table of a lake, which is named by its URL without a slash at the end. A table of months has no projection: Trino
    /// reads none with a step of a month, and there are a dozen months a year, so each is registered.
    pub fn new(table: Table, layout: Layout, lake: &str, projection: Option<&Projection>) -> Self {
        let projection = projection.filter(|_| layout == Layout::Daily).cloned();
        let name = layout.name(table);
        let (period, of_files, more) = match layout {
            Layout::Daily => (SNAPSHOT_DATE, Vec::new(), ""),
            Layout::Monthly => (SNAPSHOT_MONTH, vec![SNAPSHOT_DATE], ". A month in a file, for long scans"),
        };
        let is_projected_alone = projection.as_ref().is_some_and(|projection| !projection.is_registered_too);
        let columns = table.columns().iter().map(|column| CatalogColumn {
            name: column.name,
            hive_type: hive_type(column.column_type),
            comment: column.doc,
        });
        Self {
            comment: [table.doc(), more, if is_projected_alone { PROJECTED_ALONE } else { "" }].concat(),
            columns: of_files.into_iter().chain(columns).collect(),
            partition_keys: vec![period, AGGREGATOR],
            location: format!("{lake}/{name}/"),
            projection,
            name,
        }
    }

    /// Where a partition is, by its values.
    pub fn partition_location(&self, values: &[String]) -> String {
        let folders = self.partition_keys.iter().zip(values).map(|(key, value)| format!("{}={value}/", key.name));
        self.location.clone() + &folders.collect::<String>()
    }

    /// Whether each of its partitions is a day.
    pub(super) fn is_of_days(&self) -> bool {
        self.partition_keys.first() == Some(&SNAPSHOT_DATE)
    }

    /// Whether each of its partitions is named in the catalog.
    pub fn is_registered(&self) -> bool {
        self.projection.as_ref().is_none_or(|projection| projection.is_registered_too)
    }

    /// What Athena is told beside the columns, by name. What the table lists already, of aggregators and as its first day,
    /// stays in the projection: another pipeline may have put it there.
    pub fn parameters(&self, there: &HashMap<String, String>) -> BTreeMap<String, String> {
        match &self.projection {
            Some(projection) => projection.parameters(&self.location, there),
            None => BTreeMap::from([("projection.enabled".to_owned(), "false".to_owned())]),
        }
    }
}

/// A type, as Hive calls it.
pub(super) const fn hive_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "string",
        ColumnType::Int32 => "int",
        ColumnType::Int64 => "bigint",
        ColumnType::Float64 => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
    }
}
