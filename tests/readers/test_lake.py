"""pyarrow, DuckDB and Polars read the demo's lake alike."""

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from conftest import TABLES

PARTITIONING = ds.partitioning(pa.schema([("snapshot_date", pa.date32()), ("aggregator", pa.string())]), flavor="hive")


def in_pyarrow(lake, table):
    return ds.dataset(lake / table, format="parquet", partitioning=PARTITIONING).to_table()


def in_duckdb(lake, table):
    query = f"SELECT * FROM read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)"
    return duckdb.sql(query).to_arrow_table()


def in_polars(lake, table):
    schema = {"snapshot_date": polars.Date, "aggregator": polars.String}
    return polars.scan_parquet(lake / table, hive_schema=schema).collect().to_arrow()


def plain(kind):
    """A type without what readers name differently: the width of text offsets, the unit of times."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return f"timestamp {'UTC' if kind.tz else 'naive'}"
    return str(kind)


def rows(table):
    names = sorted(table.column_names)
    instants = {name for name in names if pa.types.is_timestamp(table.schema.field(name).type)}
    columns = []
    for name in names:
        column = table[name]
        if name in instants:
            column = column.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
        columns.append(column.to_pylist())
    return sorted(zip(*columns), key=repr)


@pytest.mark.parametrize("table", TABLES)
def test_three_readers_see_the_same_rows_and_types(lake, table):
    read = [in_pyarrow(lake, table), in_duckdb(lake, table), in_polars(lake, table)]
    types = [{field.name: plain(field.type) for field in table.schema} for table in read]
    assert types[0] == types[1] == types[2]
    assert rows(read[0]) == rows(read[1]) == rows(read[2]) != []


@pytest.mark.parametrize("table", TABLES)
def test_every_file_has_the_same_schema_and_no_partition_column(lake, table):
    files = sorted((lake / table).glob("*/*/*.parquet"))
    assert len(files) == 60
    first = pq.read_schema(files[0])
    assert "snapshot_date" not in first.names and "aggregator" not in first.names
    for file in files:
        assert pq.read_schema(file).equals(first)
        metadata = pq.read_metadata(file)
        assert metadata.metadata[b"compline.schema_version"] == b"2" and b"ARROW:schema" not in metadata.metadata
        for group in range(metadata.num_row_groups):
            column = metadata.row_group(group).column(0)
            assert column.compression == "ZSTD" and column.is_stats_set and column.has_column_index


def test_account_ids_keep_their_zeros_in_every_reader(lake):
    for read in (in_pyarrow, in_duckdb, in_polars):
        ids = set(read(lake, "pack_compliance")["account_id"].to_pylist())
        assert all(len(account) == 12 and account.isdigit() for account in ids)
        assert any(account.startswith("000000") for account in ids)


def test_numbers_are_never_nan_or_infinite_and_rates_are_within_0_and_1(lake):
    table = in_pyarrow(lake, "compliance_trends")
    for field in table.schema:
        if pa.types.is_floating(field.type):
            values = [value for value in table[field.name].to_pylist() if value is not None]
            assert all(abs(value) < 1e6 for value in values), field.name
            if "rate" in field.name and "change" not in field.name:
                assert all(0 <= value <= 1 for value in values), field.name


def test_the_files_are_sorted_by_their_key(lake):
    file = lake / "pack_compliance"
    for path in sorted(file.glob("*/*/*.parquet"))[:4]:
        table = pq.read_table(path, columns=["account_id", "aws_region", "conformance_pack_name"])
        keys = list(zip(*(column.to_pylist() for column in table.columns)))
        assert keys == sorted(set(keys))


def test_the_ledger_has_a_line_for_every_night(lake):
    runs = in_pyarrow(lake, "runs").to_pylist()
    facts = in_pyarrow(lake, "pack_compliance")
    assert len(runs) == 60 and all(run["outcome"] == "succeeded" and run["error"] is None for run in runs)
    assert sum(run["rows"] for run in runs) == facts.num_rows
    assert {run["run_id"] for run in runs} == set(facts["run_id"].to_pylist())
