//! What differs between the catalog and the lake, each difference as the change that takes it away.

use super::definition::TableDefinition;
use super::partitions::PartitionValues;
use super::view::ViewDefinition;
use aws_sdk_glue::types::Table as GlueTable;
use std::fmt;

/// Something in the catalog that is out of date.
#[derive(Debug, Clone)]
pub enum Change {
    /// The database is missing.
    CreateDatabase,
    /// A table is missing.
    CreateTable(TableDefinition),
    /// A table differs from its definition.
    UpdateTable {
        /// What it must be.
        definition: TableDefinition,
        /// What differs, in words.
        differs: Vec<String>,
        /// What is there.
        there: Box<GlueTable>,
    },
    /// A view is missing.
    CreateView(ViewDefinition),
    /// A view is an older one of ours.
    UpdateView {
        /// What it must be.
        definition: ViewDefinition,
        /// What differs, in words.
        differs: String,
        /// What is there.
        there: Box<GlueTable>,
    },
    /// A view has been replaced by others. Applying this changes nothing: it is there to be told.
    LeaveView {
        /// Its name.
        name: String,
        /// Why it is left.
        why: &'static str,
    },
    /// Partitions of a table are missing.
    AddPartitions(TableDefinition, Vec<PartitionValues>),
    /// Partitions of a table have another place or other columns.
    UpdatePartitions(TableDefinition, Vec<PartitionValues>),
    /// Partitions of a table have no object in the lake any more.
    RemovePartitions(TableDefinition, Vec<PartitionValues>),
}

impl Change {
    /// Whether it makes tables, or changes what they say of themselves.
    pub fn is_of_tables(&self) -> bool {
        matches!(self, Self::CreateDatabase | Self::CreateTable(_) | Self::UpdateTable { .. })
    }

    /// Whether applying it changes the catalog: what is left to others is only told.
    pub fn changes_the_catalog(&self) -> bool {
        !matches!(self, Self::LeaveView { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDatabase => write!(f, "create the database"),
            Self::CreateTable(definition) => write!(f, "create the table {}", definition.name),
            Self::UpdateTable { definition, differs, .. } => {
                write!(f, "update the table {}: {}", definition.name, differs.join(", "))
            }
            Self::CreateView(definition) => write!(f, "create the view {}", definition.name),
            Self::UpdateView { definition, differs, .. } => {
                write!(f, "update the view {}: {differs}", definition.name)
            }
            Self::LeaveView { name, why } => {
                write!(f, "leave the view {name} as it is: {why}; drop it, and the next run makes compline's again")
            }
            Self::AddPartitions(definition, partitions) => of_partitions(f, "add", "to", definition, partitions),
            Self::UpdatePartitions(definition, partitions) => of_partitions(f, "update", "of", definition, partitions),
            Self::RemovePartitions(definition, partitions) => {
                of_partitions(f, "remove", "from", definition, partitions)
            }
        }
    }
}

fn of_partitions(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    preposition: &str,
    definition: &TableDefinition,
    partitions: &[PartitionValues],
) -> fmt::Result {
    let first = partitions.first().map(|values| values.join("/")).unwrap_or_default();
    let plural = if partitions.len() == 1 { "" } else { "s" };
    write!(f, "{verb} {} partition{plural} {preposition} {}, {first} first", partitions.len(), definition.name)
}
