"""Months in one file each, read by DuckDB and pyarrow: the same rows as their days."""

import pathlib
import subprocess

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import COMPLINE, TABLES, with_rules

PIPELINE = pathlib.Path(__file__, "../../../pipelines/demo/pipeline.toml").resolve().read_text()
DAYS = ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-28"]


@pytest.fixture(scope="module")
def compacted(small_simulator, tmp_path_factory):
    """A lake whose months are over, and put together."""
    folder = tmp_path_factory.mktemp("months")
    tables = ", ".join(f'"{table}"' for table in TABLES)
    text = with_rules(PIPELINE).replace("http://127.0.0.1:4599", small_simulator.url) + f"\n[maintain]\ncompact = [{tables}]\n"
    (folder / "pipeline.toml").write_text(text)
    for arguments in [*(["run", "pipeline.toml", "--date", day] for day in DAYS), ["maintain", "pipeline.toml", "--apply"]]:
        subprocess.run([COMPLINE, *arguments], cwd=folder, timeout=300, check=True, stdout=subprocess.DEVNULL)
    return folder / "lake"


@pytest.mark.parametrize("table", TABLES)
def test_a_month_has_the_rows_of_its_days_and_nothing_else(compacted, table):
    months = {path.parent.parent.name for path in compacted.glob(f"{table}_monthly/*/*/data.parquet")}
    assert months == {f"snapshot_month={day[:7]}" for day in DAYS}
    of_days = f"""SELECT * REPLACE (snapshot_date::DATE AS snapshot_date)
        FROM read_parquet('{compacted}/{table}/*/*/*.parquet', hive_partitioning = true)"""
    of_months = f"SELECT * EXCLUDE (snapshot_month) FROM read_parquet('{compacted}/{table}_monthly/*/*/*.parquet', hive_partitioning = true)"
    count = lambda query: duckdb.sql(f"SELECT count(*) FROM ({query})").fetchall()[0][0]
    assert count(of_days) == count(of_months) > 0
    for one, other in ((of_days, of_months), (of_months, of_days)):
        assert count(f"SELECT * FROM ({one}) EXCEPT ALL SELECT {columns(one)} FROM ({other})") == 0


def columns(query):
    return ", ".join(f'"{name}"' for name in duckdb.sql(query).columns)


@pytest.mark.parametrize("facts, name", [("pack_compliance", "conformance_pack_name"), ("rule_compliance", "config_rule_name")])
def test_a_month_is_sorted_by_day_and_key_and_says_so(compacted, facts, name):
    path = next(compacted.glob(f"{facts}_monthly/*/aggregator=org/data.parquet"))
    rows = pq.ParquetFile(path).read(["snapshot_date", "account_id", "aws_region", name])
    keys = list(zip(*(column.to_pylist() for column in rows.columns)))
    assert keys == sorted(set(keys)) and len({key[0] for key in keys}) > 1
    footer = pq.read_metadata(path)
    assert footer.metadata[b"compline.table"] == f"{facts}_monthly".encode()
    assert [column.column_index for column in footer.row_group(0).sorting_columns] == [0, 1, 2, 3]


def test_a_month_that_another_program_wrote_anew_is_held_against_the_ledger_where_its_days_were_dropped(small_simulator, tmp_path):
    compact = 'compact = ["pack_compliance", "source_status", "rule_compliance"]\nsnapshot_days = 1'
    text = with_rules(PIPELINE).replace("http://127.0.0.1:4599", small_simulator.url) + f"\n[maintain]\n{compact}\n"
    (tmp_path / "pipeline.toml").write_text(text)

    def compline(*arguments):
        return subprocess.run([COMPLINE, *arguments], cwd=tmp_path, timeout=300, capture_output=True, text=True)

    for arguments in [*(["run", "pipeline.toml", "--date", day] for day in DAYS), ["maintain", "pipeline.toml", "--apply"]]:
        ended = compline(*arguments)
        assert ended.returncode == 0, ended
    for facts in ("pack_compliance", "rule_compliance"):
        path = tmp_path / f"lake/{facts}_monthly/snapshot_month=2026-01/aggregator=org/data.parquet"
        assert not list((tmp_path / f"lake/{facts}").glob("snapshot_date=2026-01-*/aggregator=org/*")), "its days are there"
        whole = path.read_bytes()
        rows = pq.ParquetFile(path).read()
        checksum, said = b"compline.crc32", dict(pq.read_metadata(path).metadata)
        without = {key: value for key, value in said.items() if key != checksum}
        for changed, problem in ((rows, None), (rows.slice(1), f"rows of {DAYS[0]}, and the ledger says that ")):
            pq.write_table(changed.replace_schema_metadata(without), path)
            ended = compline("verify", "pipeline.toml")
            assert ended.returncode == (1 if problem else 0), ended
            assert problem is None or (problem in ended.stdout and path.parent.parent.name in ended.stdout), ended
        # With the checksum of what it was it is damage.
        pq.write_table(rows.replace_schema_metadata({**without, checksum: said[checksum]}), path)
        ended = compline("verify", "pipeline.toml")
        assert ended.returncode == 1 and "or another program wrote it anew" in ended.stdout, ended
        path.write_bytes(whole)
    assert compline("verify", "pipeline.toml").returncode == 0


def test_a_month_that_lacks_rows_of_a_dropped_day_is_told_and_left_also_where_another_of_its_days_is_wrong(small_simulator, tmp_path):
    text = PIPELINE.replace("http://127.0.0.1:4599", small_simulator.url) + '\n[maintain]\ncompact = ["pack_compliance", "source_status"]\n'
    (tmp_path / "pipeline.toml").write_text(text)
    (tmp_path / "dropping.toml").write_text(text + "snapshot_days = 1\n")

    def compline(*arguments):
        return subprocess.run([COMPLINE, *arguments], cwd=tmp_path, timeout=300, capture_output=True, text=True)

    for day in DAYS:
        assert compline("run", "pipeline.toml", "--date", day).returncode == 0
    # The second of two days of a month is restored once both were dropped.
    days = [tmp_path / f"lake/{table}/snapshot_date={DAYS[1]}/aggregator=org/data.parquet" for table in ("pack_compliance", "source_status")]
    own = [day.read_bytes() for day in days]
    assert compline("maintain", "dropping.toml", "--apply").returncode == 0
    assert not any(day.exists() for day in days)
    path = tmp_path / "lake/pack_compliance_monthly/snapshot_month=2026-01/aggregator=org/data.parquet"
    rows = pq.ParquetFile(path).read()
    without = {key: value for key, value in pq.read_metadata(path).metadata.items() if key != b"compline.crc32"}
    # A row less of the first, and one more of the second.
    pq.write_table(pa.concat_tables([rows.slice(1), rows.slice(len(rows) - 1)]).replace_schema_metadata(without), path)
    changed = path.read_bytes()
    for day, file in zip(days, own):
        day.parent.mkdir(parents=True, exist_ok=True)
        day.write_bytes(file)
    verified = compline("verify", "pipeline.toml")
    assert verified.returncode == 1 and f"rows of {DAYS[0]}, and the ledger says that " in verified.stdout, verified
    for arguments in (["maintain", "pipeline.toml", "--apply"], ["verify", "pipeline.toml", "--repair"]):
        ended = compline(*arguments)
        assert ended.returncode != 0 and f"rows of {DAYS[0]}, and the ledger says " in ended.stdout + ended.stderr, ended
        assert path.read_bytes() == changed
