"""pyarrow, DuckDB and Polars read the demo's lake alike."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import RULE_TABLES, TABLES
from readers import in_duckdb, in_folder, in_polars, in_pyarrow, rows, types


@pytest.mark.parametrize("table", TABLES)
def test_three_readers_see_the_same_rows_and_types(lake, table):
    read = [reader(in_folder(lake), table) for reader in (in_pyarrow, in_duckdb, in_polars)]
    assert types(read[0]) == types(read[1]) == types(read[2])
    assert rows(read[0]) == rows(read[1]) == rows(read[2]) != []


@pytest.mark.parametrize("table", TABLES)
def test_every_file_has_the_same_schema_and_no_partition_column(lake, table):
    files = sorted((lake / table).glob("*/*/*.parquet"))
    assert len(files) == (4 if table in RULE_TABLES else 60)
    first = pq.read_schema(files[0])
    assert "snapshot_date" not in first.names and "aggregator" not in first.names
    for file in files:
        assert pq.read_schema(file).equals(first)
        metadata = pq.read_metadata(file)
        assert metadata.metadata[b"compline.schema_version"] == b"5" and b"ARROW:schema" not in metadata.metadata
        for group in range(metadata.num_row_groups):
            column = metadata.row_group(group).column(0)
            assert column.compression == "ZSTD" and column.is_stats_set


def test_account_ids_keep_their_zeros_in_every_reader(lake):
    for table in ("pack_compliance", "rule_compliance"):
        for read in (in_pyarrow, in_duckdb, in_polars):
            ids = set(read(in_folder(lake), table)["account_id"].to_pylist())
            assert all(len(account) == 12 and account.isdigit() for account in ids)
            assert any(account.startswith("000000") for account in ids)


@pytest.mark.parametrize("trends", ["compliance_trends", "rule_trends"])
def test_numbers_are_never_nan_or_infinite_and_rates_are_within_0_and_1(lake, trends):
    table = in_pyarrow(in_folder(lake), trends)
    for field in table.schema:
        if pa.types.is_floating(field.type):
            values = [value for value in table[field.name].to_pylist() if value is not None]
            assert all(abs(value) < 1e6 for value in values), field.name
            if "rate" in field.name and "change" not in field.name:
                assert all(0 <= value <= 1 for value in values), field.name


@pytest.mark.parametrize("facts, name", [("pack_compliance", "conformance_pack_name"), ("rule_compliance", "config_rule_name")])
def test_the_files_are_sorted_by_their_key(lake, facts, name):
    file = lake / facts
    for path in sorted(file.glob("*/*/*.parquet"))[:4]:
        table = pq.read_table(path, columns=["account_id", "aws_region", name])
        keys = list(zip(*(column.to_pylist() for column in table.columns)))
        assert keys == sorted(set(keys))


@pytest.mark.parametrize("dataset, facts, lines", [("packs", "pack_compliance", 60), ("rules", "rule_compliance", 5)])
def test_the_ledger_has_a_line_for_every_night_and_dataset(lake, dataset, facts, lines):
    runs = [run for run in in_pyarrow(in_folder(lake), "runs").to_pylist() if run["dataset"] == dataset]
    assert len(runs) == lines and all(run["outcome"] == "succeeded" and run["error"] is None for run in runs)
    # What was committed last of a day is what its file has; one day of rules was replaced.
    last = {(run["snapshot_date"], run["aggregator"]): run for run in sorted(runs, key=lambda run: run["commit_number"])}.values()
    facts = in_pyarrow(in_folder(lake), facts)
    assert sum(run["rows"] for run in last) == facts.num_rows
    # A day without a rule has no row that says which run it is of.
    assert {run["run_id"] for run in last if run["rows"]} == set(facts["run_id"].to_pylist())


def test_no_line_of_the_ledger_is_of_another_dataset(lake):
    assert set(in_pyarrow(in_folder(lake), "runs")["dataset"].to_pylist()) == {"packs", "rules"}
