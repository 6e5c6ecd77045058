"""The first five minutes of readers: each script answers the same five questions, and as the tables have it."""

import datetime
import importlib.util
import math
import pathlib
import re
import shutil
import subprocess
import sys

import duckdb
import pyarrow.parquet as parquet
import pytest

from conftest import PACK_TABLES, WITHOUT_RULES

ROOT = pathlib.Path(__file__, "../../..").resolve()
READERS = ROOT / "pipelines/nightly/readers"
AGGREGATORS = ["org", "security"]


@pytest.fixture(scope="module")
def gapped(lake, tmp_path_factory):
    """The demo's lake without a day in the middle, as if nobody had run then."""
    folder = tmp_path_factory.mktemp("gapped") / "lake"
    shutil.copytree(lake, folder)
    days = sorted(path.name for path in (folder / "pack_compliance").iterdir())
    for table in folder.iterdir():
        shutil.rmtree(table / days[-5], ignore_errors=True)
    return folder, datetime.date.fromisoformat(days[-5].partition("=")[2])


def script(name):
    spec = importlib.util.spec_from_file_location(name, READERS / f"{name}_first_minutes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.answers


def statements():
    return (READERS / "duckdb_first_minutes.sql").read_text()


def with_duckdb(lake, aggregator, until=None):
    database = duckdb.connect()
    text = statements().replace("lake = 'lake'", f"lake = '{lake}'").replace("aggregator = 'org'", f"aggregator = '{aggregator}'")
    if until:
        text = text.replace("until = (SELECT (now() AT TIME ZONE 'UTC')::DATE)", f"until = DATE '{until}'")
    found = {}
    for statement in duckdb.extract_statements(text):
        rows = database.execute(statement)
        if title := re.search(r"^-- ([a-z ]+): .*\n(?!--)", statement.query, flags=re.M):
            found[title[1]] = (tuple(column[0] for column in rows.description), rows.fetchall())
    return found


def plain(value):
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, datetime.datetime):
        value = value.date()
    return None if isinstance(value, float) and math.isnan(value) else round(value, 9) if isinstance(value, float) else value


def same(columns, rows):
    return tuple(columns), [tuple(plain(value) for value in row) for row in rows]


def of_pandas(*of):
    return {name: same(table.columns, table.itertuples(index=False)) for name, table in script("pandas")(*of).items()}


def of_polars(*of):
    return {name: same(table.columns, table.iter_rows()) for name, table in script("polars")(*of).items()}


def of_duckdb(*of):
    return {name: same(*table) for name, table in with_duckdb(*of).items()}


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_each_reader_has_the_same_five_answers_and_a_gap_is_a_gap(gapped, spark, aggregator):
    lake, gap = gapped
    of = str(lake), aggregator
    expected = of_duckdb(*of)
    assert list(expected) == ["now", "by day", "changes", "worst", "sources"]
    rates = dict(expected["by day"][1])
    assert len(rates) == 30 and rates[gap] is None and sum(rate is None for rate in rates.values()) == 1
    assert 0 < expected["now"][1][0][3] < 1 and len(expected["worst"][1]) == 10
    assert any(account.startswith("0") and len(account) == 12 for account, *_ in expected["worst"][1])
    assert {"SUCCEEDED"} < dict(expected["sources"][1]).keys() and "regressed" in dict(expected["changes"][1])
    assert of_pandas(*of) == expected
    assert of_polars(*of) == expected
    tables = script("spark")(spark, *of)
    assert {name: same(table.columns, table.collect()) for name, table in tables.items()} == expected


def test_an_earlier_day_trends_that_wait_and_none_at_all_are_told(gapped, spark, tmp_path):
    lake, gap = gapped
    before = gap - datetime.timedelta(days=1)
    expected = of_duckdb(str(lake), "org", gap)
    assert expected["now"][1][0][:2] == (before, before), "the day before the gap is the last one then"
    assert of_pandas(str(lake), "org", gap) == of_polars(str(lake), "org", gap) == expected
    waiting = tmp_path / "waiting"
    shutil.copytree(lake, waiting)
    *_, previous, last = sorted(path.name for path in (waiting / "compliance_trends").iterdir())
    for table in ("compliance_trends", "pack_status", "pack_changes"):
        shutil.rmtree(waiting / table / last)
    expected = of_duckdb(str(waiting), "org")
    assert expected["now"][1][0][:2] == tuple(datetime.date.fromisoformat(day.partition("=")[2]) for day in (previous, last))
    assert of_pandas(str(waiting), "org") == of_polars(str(waiting), "org") == expected
    tables = script("spark")(spark, str(waiting), "org")
    assert same(tables["now"].columns, tables["now"].collect()) == expected["now"]
    for answers in (of_pandas, of_polars, lambda *of: script("spark")(spark, *of)):
        with pytest.raises(SystemExit, match="nobody has no trends from .* see compline status"):
            answers(str(lake), "nobody")
    with pytest.raises(duckdb.Error, match="nobody has no trends in the 60 days: see compline status"):
        of_duckdb(str(lake), "nobody")


def test_a_day_of_rules_alone_is_no_snapshot_of_packs(lake, spark, tmp_path):
    """As where packs could not be read, or are held, and rules were committed."""
    shutil.copytree(lake, tmp_path / "lake")
    day, dropped = sorted(tmp_path.glob("lake/pack_compliance/*"))[-2:]
    for table in PACK_TABLES:
        shutil.rmtree(tmp_path / "lake" / table / day.name)
    for table in WITHOUT_RULES:
        shutil.rmtree(tmp_path / "lake" / table / dropped.name)
    ledger = tmp_path / "lake/runs" / day.name / "aggregator=org/data.parquet"
    rows = parquet.ParquetFile(ledger).read()
    parquet.write_table(rows.filter([dataset == "rules" for dataset in rows["dataset"].to_pylist()]), ledger)
    of = str(tmp_path / "lake"), "org"
    expected = of_duckdb(*of)
    before = datetime.date.fromisoformat(day.name.partition("=")[2]) - datetime.timedelta(days=1)
    assert expected["now"][1][0][:2] == (before, before)
    assert of_pandas(*of) == of_polars(*of) == expected
    tables = script("spark")(spark, *of)
    assert same(tables["now"].columns, tables["now"].collect()) == expected["now"]


def test_the_first_night_of_a_lake_has_its_answers_too(gapped, tmp_path):
    lake, _ = gapped
    for table in ("compliance_trends", "pack_compliance", "pack_changes", "source_status"):
        *_, last = sorted(path.name for path in (lake / table).iterdir())
        shutil.copytree(lake / table / last / "aggregator=org", tmp_path / "one" / table / last / "aggregator=org")
    expected = of_duckdb(str(tmp_path / "one"), "org")
    assert expected["now"][1][0][2] > 0 and len(expected["worst"][1]) == 10
    assert of_pandas(str(tmp_path / "one"), "org") == of_polars(str(tmp_path / "one"), "org") == expected


def test_a_day_without_packs_is_the_last_one_and_a_lake_of_facts_only_says_where_to_look(gapped, spark, tmp_path):
    lake, _ = gapped
    empty = tmp_path / "empty"
    shutil.copytree(lake, empty)
    *_, last = sorted(path.name for path in (empty / "pack_compliance").iterdir())
    facts = empty / "pack_compliance" / last / "aggregator=org" / "data.parquet"
    parquet.write_table(parquet.read_table(facts).slice(0, 0), facts)
    expected = of_duckdb(str(empty), "org")
    assert expected["now"][1][0][1] == datetime.date.fromisoformat(last.partition("=")[2])
    assert of_pandas(str(empty), "org") == of_polars(str(empty), "org") == expected
    tables = script("spark")(spark, str(empty), "org")
    assert same(tables["now"].columns, tables["now"].collect()) == expected["now"]
    for table in ("compliance_trends", "pack_changes", "pack_status"):
        shutil.rmtree(empty / table)
    for answers in (of_pandas, of_polars, lambda *of: script("spark")(spark, *of)):
        with pytest.raises(SystemExit, match="org has no trends from .* see compline status"):
            answers(str(empty), "org")


def test_the_answers_are_those_of_the_facts(gapped):
    lake, _ = gapped
    database = duckdb.connect()
    facts = f"read_parquet('{lake}/pack_compliance/*/*/*.parquet', hive_partitioning = true) WHERE aggregator = 'org'"
    last, = database.execute(f"SELECT max(snapshot_date) FROM {facts}").fetchone()
    query = f"""SELECT count(*), count(*) FILTER (compliance_type = 'COMPLIANT') / count(*) FILTER (compliance_type IN ('COMPLIANT', 'NON_COMPLIANT'))
                FROM {facts} AND snapshot_date = '{last}'"""
    packs, rate = database.execute(query).fetchone()
    found, = of_polars(str(lake), "org")["now"][1]
    assert found[:3] == (last, last, packs) and math.isclose(found[3], rate, abs_tol=1e-9)


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_script_prints_its_answers(gapped, name):
    said = subprocess.run([sys.executable, READERS / f"{name}_first_minutes.py", gapped[0], "org"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert [title for title in ("now", "by day", "changes", "worst", "sources") if f"\n{title}\n" in f"\n{said}"] == ["now", "by day", "changes", "worst", "sources"]
    assert all(len(line) <= 100 for line in said.splitlines())


def dashboards():
    """The statements of Grafana's panels, as its data source sends them, and QuickSight's."""
    for name in ("grafana", "quicksight"):
        text = re.sub(r"\$__dateFilter\((\w+)\)", r"\1 BETWEEN date '2000-01-01' AND date '2999-12-31'", (READERS / f"{name}.sql").read_text())
        assert "$" not in text
        yield from (statement for statement in text.split(";") if statement.strip())


def test_what_is_for_grafana_and_quicksight_has_rows_and_the_columns_that_it_needs(lake):
    database = duckdb.connect()
    database.execute("CREATE SCHEMA compline")
    for table in ("compliance_trends", "pack_changes", "source_status"):
        database.execute(f"CREATE VIEW compline.{table} AS SELECT * FROM read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)")
    found = [database.sql(statement) for statement in dashboards()]
    assert [result.columns[0] for result in found] == ["time", "time", "aggregator", "time", "snapshot_date"]
    assert all(result.fetchall() for result in found)
