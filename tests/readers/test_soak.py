"""A lake of many nights, as `tests/model/soak.rs` left it: its trend tables against plain SQL over its snapshots, and those of days whose own
files are dropped against SQL over their months."""

import os

import duckdb
import pytest

from test_trends import PACKS, assert_as_sql_says

# The aggregators whose every day is in a file of its own or in a month; another pipeline's, of the golden lake, is as it was.
OF_THE_SOAK = "('org', 'two', 'gov')"


@pytest.fixture(scope="module")
def soaked():
    lake = os.environ["COMPLINE_SOAK_LAKE"]
    database = duckdb.connect()

    def files(table, partition, dates):
        return f"""SELECT * REPLACE (CAST({dates} AS DATE) AS {dates})
            FROM read_parquet('{lake}/{table}/{partition}=*/*/*.parquet', hive_partitioning = true, union_by_name = true)
            WHERE aggregator IN {OF_THE_SOAK}"""

    for table in ("source_status", *PACKS.tables):
        database.execute(f"CREATE TABLE {table} AS {files(table, 'snapshot_date', 'snapshot_date')}")
    days = f"""SELECT CAST(regexp_extract(file, 'snapshot_date=([^/]*)', 1) AS DATE) AS snapshot_date,
        regexp_extract(file, 'aggregator=([^/]*)', 1) AS aggregator FROM glob('{lake}/{{table}}/*/*/*.parquet')"""
    # Trends stay for ever, so their days are all that there ever were.
    database.execute(f"CREATE TABLE snapshots AS SELECT * FROM ({days.format(table='compliance_trends')}) WHERE aggregator IN {OF_THE_SOAK}")
    database.execute(f"CREATE TABLE own AS {days.format(table='pack_compliance')}")
    database.execute(f"""
        CREATE TABLE pack_compliance AS {files('pack_compliance', 'snapshot_date', 'snapshot_date')}
        UNION ALL BY NAME
        SELECT * EXCLUDE (snapshot_month) FROM ({files('pack_compliance_monthly', 'snapshot_month', 'snapshot_date')})
        ANTI JOIN own USING (snapshot_date, aggregator)""")
    database.execute(PACKS.sql())
    return database


def test_the_trends_of_many_nights_are_what_sql_over_their_snapshots_says(soaked):
    # What is older than `pack_status_days` is dropped.
    soaked.execute("DELETE FROM expected_pack_status WHERE (snapshot_date, aggregator) NOT IN (SELECT (snapshot_date, aggregator) FROM pack_status)")
    # Files of the first version of the tables do not have the column, and nothing is written where nothing else differs.
    for name in ("compliance_trends", "expected_compliance_trends"):
        soaked.execute(f"ALTER TABLE {name} DROP COLUMN population_since")
    assert_as_sql_says(soaked, PACKS)


def test_the_nights_were_what_a_soak_is_of(soaked):
    (dropped,) = soaked.sql("SELECT count(*) FROM snapshots ANTI JOIN own USING (snapshot_date, aggregator)").fetchone()
    (nights,) = soaked.sql("SELECT count(DISTINCT snapshot_date) FROM snapshots").fetchone()
    (gaps,) = soaked.sql("SELECT max(snapshot_date) - min(snapshot_date) + 1 - count(DISTINCT snapshot_date) FROM snapshots").fetchone()
    assert dropped > 10 and nights > 20 and gaps > 0
    kinds = {kind for (kind,) in soaked.sql("SELECT DISTINCT change FROM pack_changes").fetchall()}
    assert kinds == {"added", "removed", "reappeared", "regressed", "remediated", "changed"}
