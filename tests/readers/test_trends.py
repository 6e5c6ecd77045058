"""The trend tables against plain SQL over the snapshots, on an engine nobody here wrote: every column of every day."""

import datetime
import json
import pathlib
import subprocess

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from conftest import COMPLINE

SQL = pathlib.Path(__file__).with_name("trends.sql").read_text()
TABLES = ("pack_status", "pack_changes", "compliance_trends")


def opened(lake):
    """The lake's tables, and what SQL says they should be."""
    database = duckdb.connect()
    for table in ("pack_compliance", "source_status", *TABLES):
        source = f"read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)"
        database.execute(f"CREATE TABLE {table} AS SELECT * REPLACE (CAST(snapshot_date AS DATE) AS snapshot_date) FROM {source}")
    # From the names of the files, since a snapshot may have no pack.
    database.execute(f"""
        CREATE TABLE snapshots AS
        SELECT CAST(regexp_extract(file, 'snapshot_date=([^/]*)', 1) AS DATE) AS snapshot_date, regexp_extract(file, 'aggregator=([^/]*)', 1) AS aggregator
        FROM glob('{lake}/pack_compliance/*/*/*.parquet')""")
    database.execute(SQL)
    return database


def differences(database, left, right):
    return [
        *(("only left", *row) for row in database.sql(f"({left}) EXCEPT ALL ({right}) ORDER BY ALL LIMIT 3").fetchall()),
        *(("only right", *row) for row in database.sql(f"({right}) EXCEPT ALL ({left}) ORDER BY ALL LIMIT 3").fetchall()),
    ]


def other_rates(database, table, exact, rates):
    """Rows of a table whose rates are not those of the row that is the same in all else: the same rates come out of
    other orders of adding up, so they differ in the last digits, which no rounding takes away (0.5 ends on both sides)."""
    ordered = ", ".join(f"{name} NULLS FIRST" for name in [*exact, *rates])
    numbered = "SELECT *, row_number() OVER (ORDER BY {}) AS n FROM {}"
    same = " AND ".join(f"(l.{name} IS NULL) = (r.{name} IS NULL) AND coalesce(abs(l.{name} - r.{name}) < 1e-11, true)" for name in rates)
    left, right = (numbered.format(ordered, name) for name in (table, f"expected_{table}"))
    return database.sql(f"SELECT l.*, r.* FROM ({left}) AS l JOIN ({right}) AS r USING (n) WHERE NOT ({same}) LIMIT 3").fetchall()


def assert_as_sql_says(database):
    for table in TABLES:
        columns = [(name, kind) for name, kind, *_ in database.sql(f"DESCRIBE {table}").fetchall()]
        rates = [name for name, kind in columns if kind == "DOUBLE"]
        exact = [name for name, kind in columns if kind != "DOUBLE"]
        shown = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in columns if name in exact)
        stored, expected = (f"SELECT {shown} FROM {name}" for name in (table, f"expected_{table}"))
        assert differences(database, stored, expected) == [], (table, exact)
        if rates:
            assert other_rates(database, table, exact, rates) == [], (table, columns)
        for name in rates:
            assert database.sql(f"SELECT count(*) FROM {table} WHERE isnan({name}) OR isinf({name})").fetchall() == [(0,)], name


@pytest.fixture(scope="module")
def demo(lake):
    return opened(lake)


def test_a_month_of_nights_is_what_sql_over_its_snapshots_says(demo):
    assert_as_sql_says(demo)
    kinds = {kind for (kind,) in demo.sql("SELECT DISTINCT change FROM pack_changes").fetchall()}
    assert kinds == {"added", "removed", "reappeared", "regressed", "remediated", "changed"}


def test_the_fact_carries_the_status_of_its_source(demo):
    by_sql = """
        SELECT f.snapshot_date, f.aggregator, f.account_id, f.aws_region, f.conformance_pack_name, s.status, s.last_update_time
        FROM pack_compliance AS f LEFT JOIN source_status AS s
            ON (s.snapshot_date, s.aggregator, s.source_id, s.aws_region) = (f.snapshot_date, f.aggregator, f.account_id, f.aws_region)"""
    kept = """
        SELECT snapshot_date, aggregator, account_id, aws_region, conformance_pack_name, source_status, source_updated_at
        FROM pack_compliance"""
    assert differences(demo, kept, by_sql) == []
    statuses = {status for (status,) in demo.sql("SELECT DISTINCT source_status FROM pack_compliance").fetchall()}
    assert statuses == {"SUCCEEDED", "OUTDATED", "FAILED"}


# Days near each other and far: within each window, beyond it, and after a pack is forgotten.
DAYS = some.sampled_from([0, 1, 2, 3, 6, 7, 8, 13, 14, 20, 29, 30, 31, 59, 60, 89, 90, 91, 179, 180, 400, 401, 402, 500, 803])
TYPES = some.sampled_from(["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NEW", "", None])
COUNTS = some.none() | some.integers(0, 3) | some.sampled_from([-1, 2**31 - 1])
PACKS = some.fixed_dictionaries({
    "account": some.sampled_from(["000000000001", "012345678910"]),
    "region": some.sampled_from(["eu-west-1", "us-east-1"]),
    "name": some.sampled_from(["a", "b", "OrgConformsPack-b-ab12cd34", "OrgConformsPack-b-zz99yy88"]),
    "type": TYPES,
    "counts": some.none() | some.tuples(COUNTS, COUNTS, COUNTS),
})
# A snapshot, in whatever order the days come; a day that comes again is replaced.
SNAPSHOTS = some.tuples(DAYS, some.lists(PACKS, max_size=8, unique_by=lambda pack: (pack["account"], pack["region"], pack["name"])))


def item(pack):
    compliance = {"ComplianceType": pack["type"]}
    if pack["counts"]:
        compliance |= dict(zip(("CompliantRuleCount", "NonCompliantRuleCount", "TotalRuleCount"), pack["counts"]))
    return {"AccountId": pack["account"], "AwsRegion": pack["region"], "ConformancePackName": pack["name"], "Compliance": compliance}


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=some.lists(SNAPSHOTS, min_size=2, max_size=9))
def test_whatever_the_history_and_the_order_it_came_in_the_tables_are_what_sql_says(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("history")
    (folder / "pipeline.toml").write_text(f"""
        version = 1
        [lake]
        url = "{folder}/lake"
        [[aggregator]]
        id = "org"
        name = "org-aggregator"
        region = "eu-west-1"
        """)

    def compline(*arguments):
        done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout

    for days, packs in history:
        date = datetime.date(2024, 1, 1) + datetime.timedelta(days)
        (folder / "day.json").write_text(json.dumps({"AggregateComplianceByConformancePacks": [item(pack) for pack in packs]}))
        compline("import", folder / "pipeline.toml", "--aggregator", "org", "--date", str(date), folder / "day.json", "--replace", "--accept")
    assert_as_sql_says(opened(folder / "lake"))
    count = len({days for days, _ in history})
    assert f"org: {count} of {count} days were as their snapshots say" in compline("trends", folder / "pipeline.toml")
