//! What a table of the lake is to Athena, in Hive's terms.

use compline_model::{AggregatorId, ColumnType, SnapshotDate, Table};
use std::collections::BTreeMap;

/// How a table's objects lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// An object per day and aggregator.
    Daily,
    /// An object per month and aggregator.
    Monthly,
}

/// How Athena finds a table's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitioning {
    /// It works out their places: every day from the first on, of these aggregators. Nothing is ever added.
    Projected {
        /// The first day that a table may have.
        first_day: SnapshotDate,
        /// The aggregators.
        aggregators: Vec<AggregatorId>,
    },
    /// Each is named in the catalog.
    Registered,
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
    /// What a row of it is.
    pub comment: String,
    /// The columns of its files.
    pub columns: Vec<CatalogColumn>,
    /// The columns that are in the names of folders.
    pub partition_keys: Vec<CatalogColumn>,
    /// Where its files are, with a slash at the end.
    pub location: String,
    /// What Athena is told beside that, by name.
    pub parameters: BTreeMap<String, String>,
}

/// What Parquet is to Hive.
pub(super) const INPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
pub(super) const OUTPUT_FORMAT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
pub(super) const SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";

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
    /// A table of a lake, which is named by its URL without a slash at the end.
    pub fn new(table: Table, layout: Layout, lake: &str, partitioning: &Partitioning) -> Self {
        let name = layout.name(table);
        let location = format!("{lake}/{name}/");
        let (period, of_files, comment) = match layout {
            Layout::Daily => (SNAPSHOT_DATE, Vec::new(), table.doc().to_owned()),
            Layout::Monthly => {
                (SNAPSHOT_MONTH, vec![SNAPSHOT_DATE], format!("{}; a month in a file, for long scans", table.doc()))
            }
        };
        let columns = table.columns().iter().map(|column| CatalogColumn {
            name: column.name,
            hive_type: hive_type(column.column_type),
            comment: column.doc,
        });
        let parameters = parameters(layout, period.name, &location, partitioning);
        Self {
            name,
            comment,
            columns: of_files.into_iter().chain(columns).collect(),
            partition_keys: vec![period, AGGREGATOR],
            location,
            parameters,
        }
    }

    /// Where a partition is, by its values.
    pub fn partition_location(&self, values: &[String]) -> String {
        let folders = self.partition_keys.iter().zip(values).map(|(key, value)| format!("{}={value}/", key.name));
        self.location.clone() + &folders.collect::<String>()
    }
}

fn parameters(layout: Layout, period: &str, location: &str, partitioning: &Partitioning) -> BTreeMap<String, String> {
    let Partitioning::Projected { first_day, aggregators } = partitioning else {
        return BTreeMap::from([("projection.enabled".to_owned(), "false".to_owned())]);
    };
    let ids: Vec<&str> = aggregators.iter().map(AggregatorId::as_str).collect();
    let first = first_day.to_string();
    let (format, first, step) = match layout {
        Layout::Daily => ("yyyy-MM-dd", first.as_str(), "DAYS"),
        Layout::Monthly => ("yyyy-MM", first.get(..7).unwrap_or(&first), "MONTHS"),
    };
    [
        ("projection.enabled".to_owned(), "true".to_owned()),
        (format!("projection.{period}.type"), "date".to_owned()),
        (format!("projection.{period}.format"), format.to_owned()),
        (format!("projection.{period}.range"), format!("{first},NOW")),
        (format!("projection.{period}.interval"), "1".to_owned()),
        (format!("projection.{period}.interval.unit"), step.to_owned()),
        ("projection.aggregator.type".to_owned(), "enum".to_owned()),
        ("projection.aggregator.values".to_owned(), ids.join(",")),
        (
            "storage.location.template".to_owned(),
            format!("{location}{period}=${{{period}}}/aggregator=${{aggregator}}/"),
        ),
    ]
    .into()
}

const fn hive_type(column_type: ColumnType) -> &'static str {
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
