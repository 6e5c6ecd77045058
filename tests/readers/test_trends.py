"""The trend tables against plain SQL over the snapshots, on an engine nobody here wrote: every column of every day, of packs and of rules."""

import datetime
import functools
import json
import pathlib
import string
import subprocess
from dataclasses import dataclass

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from conftest import COMPLINE, rule_item


@dataclass(frozen=True)
class Dataset:
    """The names that a dataset has in trends.sql."""

    item: str
    key: str
    group: str
    trends: str

    @property
    def items(self):
        return f"{self.item}s"

    @property
    def facts(self):
        return f"{self.item}_compliance"

    @property
    def tables(self):
        return f"{self.item}_status", f"{self.item}_changes", self.trends

    def sql(self):
        """trends.sql, of this dataset."""
        other, = {"packs", "rules"} - {self.items}
        lines = pathlib.Path(__file__).with_name("trends.sql").read_text().splitlines()
        text = "\n".join(line for line in lines if not line.endswith(f"-- {other} alone"))
        return string.Template(text).substitute(item=self.item, items=self.items, key=self.key, group=self.group, trends=self.trends)

    def __str__(self):
        return self.items


PACKS = Dataset("pack", "conformance_pack_name", "pack_group", "compliance_trends")
RULES = Dataset("rule", "config_rule_name", "rule_group", "rule_trends")


def opened(lake, dataset, *others):
    """The lake's tables of a dataset and others, and what SQL says they should be."""
    database = duckdb.connect()
    for table in (dataset.facts, *dataset.tables, *others):
        source = f"read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)"
        database.execute(f"CREATE TABLE {table} AS SELECT * REPLACE (CAST(snapshot_date AS DATE) AS snapshot_date) FROM {source}")
    # From the names of the files, since a snapshot may have no row.
    database.execute(f"""
        CREATE TABLE snapshots AS
        SELECT CAST(regexp_extract(file, 'snapshot_date=([^/]*)', 1) AS DATE) AS snapshot_date, regexp_extract(file, 'aggregator=([^/]*)', 1) AS aggregator
        FROM glob('{lake}/{dataset.facts}/*/*/*.parquet')""")
    database.execute(dataset.sql())
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


def assert_as_sql_says(database, dataset):
    for table in dataset.tables:
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
def stored(request):
    """The tables of a dataset: of the demo, or of nights that asked for both datasets."""

    @functools.cache
    def of(name, dataset):
        lake = request.getfixturevalue("lake" if name == "demo" else "nights_of_rules")
        return opened(lake, dataset, "source_status")

    return of


@pytest.mark.parametrize("name, dataset", [("demo", PACKS), ("demo", RULES), ("nights", PACKS), ("nights", RULES)], ids=str)
def test_many_nights_are_what_sql_over_their_snapshots_says(stored, name, dataset):
    database = stored(name, dataset)
    assert_as_sql_says(database, dataset)
    kinds = {kind for (kind,) in database.sql(f"SELECT DISTINCT change FROM {dataset.item}_changes").fetchall()}
    assert kinds >= {"added", "removed", "regressed", "remediated", *(("reappeared", "changed") if name == "demo" else ())}


# The rules of the demo's lake are imported, of files that say nothing of sources.
@pytest.mark.parametrize("name, dataset", [("demo", PACKS), ("nights", PACKS), ("nights", RULES)], ids=str)
def test_the_fact_carries_the_status_of_its_source(stored, name, dataset):
    database = stored(name, dataset)
    by_sql = f"""
        SELECT f.snapshot_date, f.aggregator, f.account_id, f.aws_region, f.{dataset.key}, s.status, s.last_update_time::VARCHAR
        FROM {dataset.facts} AS f LEFT JOIN source_status AS s
            ON (s.snapshot_date, s.aggregator, s.source_id, s.aws_region) = (f.snapshot_date, f.aggregator, f.account_id, f.aws_region)"""
    from_facts = f"SELECT snapshot_date, aggregator, account_id, aws_region, {dataset.key}, source_status, source_updated_at::VARCHAR FROM {dataset.facts}"
    assert differences(database, from_facts, by_sql) == []
    statuses = {status for (status,) in database.sql(f"SELECT DISTINCT source_status FROM {dataset.facts}").fetchall()}
    assert statuses == {"SUCCEEDED", "OUTDATED", "FAILED"} - ({"FAILED"} if name == "nights" else set())


# Days near each other and far: within each window, beyond it, and after a pack is forgotten.
DAYS = some.sampled_from([0, 1, 2, 3, 6, 7, 8, 13, 14, 20, 29, 30, 31, 59, 60, 89, 90, 91, 179, 180, 400, 401, 402, 500, 803])
TYPES = some.sampled_from(["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NOT_APPLICABLE", "NEW", "", None])
COUNTS = some.none() | some.integers(0, 3) | some.sampled_from([-1, 2**31 - 1])
PLACES = {"account": some.sampled_from(["000000000001", "012345678910"]), "region": some.sampled_from(["eu-west-1", "us-east-1"]), "type": TYPES}
A_PACK = some.fixed_dictionaries({
    **PLACES,
    "name": some.sampled_from(["a", "b", "OrgConformsPack-b-ab12cd34", "OrgConformsPack-b-zz99yy88"]),
    "counts": some.none() | some.tuples(COUNTS, COUNTS, COUNTS),
})
A_RULE = some.fixed_dictionaries({
    **PLACES,
    "name": some.sampled_from(["a", "b", "b-conformance-pack-ab12cd34e", "b-conformance-pack-zz99yy88x", "OrgConfigRule-b-ab12cd34"]),
    "contributors": some.none() | some.tuples(COUNTS, some.none() | some.booleans()),
})


def snapshots(dataset, one):
    """Snapshots, in whatever order the days come; a day that comes again is replaced."""
    return some.tuples(some.just(dataset), DAYS, some.lists(one, max_size=8, unique_by=lambda it: (it["account"], it["region"], it["name"])))


def item(pack):
    compliance = {"ComplianceType": pack["type"]}
    if pack["counts"]:
        compliance |= dict(zip(("CompliantRuleCount", "NonCompliantRuleCount", "TotalRuleCount"), pack["counts"]))
    return {"AccountId": pack["account"], "AwsRegion": pack["region"], "ConformancePackName": pack["name"], "Compliance": compliance}


def page(dataset, those):
    if dataset == PACKS:
        return {"AggregateComplianceByConformancePacks": [item(pack) for pack in those]}
    return {"AggregateComplianceByConfigRules": [rule_item(rule["account"], rule["region"], rule["name"], rule["type"], rule["contributors"]) for rule in those]}


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=some.lists(snapshots(PACKS, A_PACK) | snapshots(RULES, A_RULE), min_size=6, max_size=14))
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
        datasets = ["packs", "rules"]
        """)

    def compline(*arguments):
        done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout

    for dataset, days, those in history:
        date = datetime.date(2024, 1, 1) + datetime.timedelta(days)
        (folder / "day.json").write_text(json.dumps(page(dataset, those)))
        compline("import", folder / "pipeline.toml", "--aggregator", "org", "--dataset", str(dataset), "--date", str(date), folder / "day.json",
                 "--replace", "--accept")
    recomputed = compline("trends", folder / "pipeline.toml")
    for dataset, title in ((PACKS, "org"), (RULES, "org (rules)")):
        if count := len({days for one, days, _ in history if one == dataset}):
            assert_as_sql_says(opened(folder / "lake", dataset), dataset)
            assert f"{title}: {count} of {count} days were as their snapshots say" in recomputed
