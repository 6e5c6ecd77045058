"""What a real engine of Athena's kind sees of the lake through the catalog, in each mode, beside DuckDB on the same files."""

import datetime

import pytest

from conftest import DAYS, GAPS, MODES, MONTHLY, READ_MODES, TABLES, VIEWS, today

ALL = [*TABLES, *(f"{table}_monthly" for table in MONTHLY)]


class Near(float):
    """The sum of the same numbers in whatever order: rounding would leave two of them apart that lie on both sides of its edge."""

    def __eq__(self, other):
        return other is not None and abs(self - other) < 1e-9


def same(rows):
    """Rows that are the same whoever sums them up, in an order of their own."""
    def plain(field):
        if isinstance(field, float):
            return Near(field)
        if isinstance(field, datetime.datetime):
            return field.replace(tzinfo=None)
        return field
    rows = [tuple(plain(field) for field in row) for row in rows]
    return sorted(rows, key=lambda row: repr(([field for field in row if not isinstance(field, Near)], row)))


def in_duck(duck, name):
    """The rows of a view; what Trino truncates to a day DuckDB truncates to its midnight."""
    day = lambda column: f'CAST("{column}" AS DATE)' if column in ("week", "month") else f'"{column}"'
    return duck.sql(f"SELECT {', '.join(day(column) for column in names(duck, name))} FROM compline.{name}").fetchall()


def names(duck, name):
    return [column[0] for column in duck.execute(f"SELECT * FROM compline.{name} LIMIT 0").description]


@pytest.mark.parametrize("mode", READ_MODES)
@pytest.mark.parametrize("table", ALL)
def test_a_table_has_the_rows_of_its_files(trino, databases, duck, mode, table):
    columns = ", ".join(f'"{name}"' for name in names(duck, table))
    found = trino.ask(f"SELECT {columns} FROM awsdatacatalog.{mode}.{table}")
    expected = duck.sql(f"SELECT {columns} FROM compline.{table}").fetchall()
    assert len(found.rows) > DAYS and same(found.rows) == same(expected)


@pytest.mark.parametrize("mode", READ_MODES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_the_catalog_gives_what_its_query_gives_elsewhere(trino, databases, duck, mode, view):
    found = trino.ask(f"SELECT * FROM awsdatacatalog.{mode}.{view}")
    assert [name for name, _ in found.columns] == names(duck, view)
    assert found.rows and same(found.rows) == same(in_duck(duck, view))
    # What the catalog says of the columns is what the query gives, or the view is stale.
    shown = trino.ask(f"DESCRIBE awsdatacatalog.{mode}.{view}")
    assert [(row[0], row[1]) for row in shown.rows] == found.columns


def test_a_column_that_a_table_gets_later_makes_no_view_stale(trino, databases):
    """F22."""
    table = databases.get_table(DatabaseName="both", Name="compliance_trends")["Table"]
    kept = ("Name", "Description", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    changed = {key: table[key] for key in kept}
    columns = [{"Name": "came_later", "Type": "bigint"}, *changed["StorageDescriptor"]["Columns"]]
    databases.update_table(DatabaseName="both", TableInput={**changed, "StorageDescriptor": {**changed["StorageDescriptor"], "Columns": columns}})
    try:
        trino.ask("CALL awsdatacatalog.system.flush_metadata_cache()")
        assert "came_later" in [row[0] for row in trino.ask("DESCRIBE awsdatacatalog.both.compliance_trends").rows]
        for view in VIEWS:
            assert trino.ask(f"SELECT * FROM awsdatacatalog.both.{view}").rows, view
    finally:
        databases.update_table(DatabaseName="both", TableInput=changed)
        trino.ask("CALL awsdatacatalog.system.flush_metadata_cache()")


def test_a_projection_begins_with_the_lake(trino, databases):
    """F21: a query looks for each projected partition, so there must be no year of days that never were."""
    first = str(today() - datetime.timedelta(days=DAYS - 1))
    for mode in ("projection", "both"):
        for table in TABLES:
            parameters = databases.get_table(DatabaseName=mode, Name=table)["Table"]["Parameters"]
            assert parameters["projection.snapshot_date.range"] == f"{first},NOW"
        partitions = trino.ask(f'SELECT count(*) FROM awsdatacatalog.{mode}."pack_compliance$partitions"').rows
        assert partitions == [(2 * DAYS,)]


@pytest.mark.parametrize("table", MONTHLY)
def test_months_are_found_by_every_engine_in_every_mode(trino, databases, table):
    """F23: a projection with a step of a month cannot be read by Trino at all."""
    days = trino.ask(f"SELECT DISTINCT substr(CAST(snapshot_date AS varchar), 1, 7) FROM awsdatacatalog.projection.{table}_monthly").rows
    assert days
    for mode in MODES:
        for catalog in ("awsdatacatalog", "without_projection"):
            assert same(trino.ask(f"SELECT DISTINCT snapshot_month FROM {catalog}.{mode}.{table}_monthly").rows) == same(days)


@pytest.mark.parametrize("mode", READ_MODES)
@pytest.mark.parametrize("view, table", [("latest_snapshot", "compliance_trends"), ("open_regressions", "pack_status"),
                                         ("packs_vanished", "pack_status"), ("latest_posture", "compliance_trends"),
                                         ("latest_rule_snapshot", "rule_trends"), ("rules_worst_first", "rule_trends"),
                                         ("rules_failing_longest", "rule_status")])
def test_a_view_of_the_last_snapshot_reads_no_day_before_its_31(trino, databases, duck, mode, view, table):
    """F24: by the engine's own count of rows."""
    bound = lambda table: duck.sql(f"SELECT count(*) FROM compline.{table} WHERE snapshot_date >= current_date - 31").fetchone()[0]
    # Each stands on the last snapshot, which reads the trends.
    trends = "rule_trends" if table.startswith("rule_") else "compliance_trends"
    limit = bound(table) + (0 if view in ("latest_snapshot", "latest_rule_snapshot") else bound(trends))
    whole = trino.ask(f"SELECT count(last_value) FROM (SELECT aggregator AS last_value FROM awsdatacatalog.{mode}.{table})")
    read = trino.ask(f"SELECT * FROM awsdatacatalog.{mode}.{view}")
    assert 0 < read.rows_read <= limit, (read.rows_read, limit, whole.rows_read)
    assert bound(table) < whole.rows_read * 0.9, "the history is longer than that"


@pytest.mark.parametrize("mode", MODES)
def test_one_day_is_read_alone(trino, databases, duck, mode):
    day = today()
    expected = duck.sql(f"SELECT count(*) FROM compline.pack_compliance WHERE snapshot_date = DATE '{day}'").fetchone()[0]
    found = trino.ask(f"SELECT account_id FROM awsdatacatalog.{mode}.pack_compliance WHERE snapshot_date = DATE '{day}'")
    assert len(found.rows) == found.rows_read == expected > 0


def test_why_packs_regressed_is_what_the_runs_said(trino, databases, duck, told):
    found = trino.ask("""SELECT CAST(snapshot_date AS varchar), aggregator, account_id, aws_region, conformance_pack_name, is_told, rule_group
        FROM awsdatacatalog.projection.why_regressed""")
    expected, days, with_rules = set(), set(), 0
    for (day, aggregator), report in told.items():
        days.add((day, aggregator))
        packs = report["worst"] if report else []
        assert not report or len(packs) == report["packs"], "a report names no more than the first"
        for pack in packs:
            groups, where = pack["rule_groups"], (pack["account_id"], pack["aws_region"], pack["conformance_pack_name"])
            expected |= {(day, aggregator, *where, groups is not None, group) for group in groups or [None]}
            with_rules += groups is not None
    assert len(found.rows) == len(set(found.rows))
    assert {row for row in found.rows if row[:2] in days} == expected
    assert 0 < with_rules < len({row[:5] for row in expected}), "of some it could not be told"
    # Of a day without rules too, every pack is there.
    others = [row for row in found.rows if row[:2] not in days]
    assert others and {row[5:] for row in others} == {(False, None)}
    count = duck.sql("SELECT count(*) FROM compline.pack_changes WHERE change = 'regressed'").fetchone()[0]
    assert len({row[:5] for row in found.rows}) == count


@pytest.mark.parametrize("mode", MODES)
def test_why_packs_regressed_on_a_day_reads_that_day_alone(trino, databases, duck, mode):
    day, = duck.sql("SELECT max(snapshot_date) FROM compline.why_regressed WHERE is_told").fetchone()
    # Packs and the rules of each id are looked up and counted by account and region, and rules are looked up once more.
    times = {"pack_changes": 1, "pack_compliance": 2, "rule_compliance": 3, "rule_changes": 3}
    count = lambda where: sum(n * duck.sql(f"SELECT count(*) FROM compline.{table} WHERE {where}").fetchone()[0] for table, n in times.items())
    read = trino.ask(f"SELECT * FROM awsdatacatalog.{mode}.why_regressed WHERE snapshot_date = DATE '{day}'")
    limit, whole = count(f"snapshot_date = DATE '{day}'"), count("true")
    assert read.rows and 0 < read.rows_read <= limit < whole / 3, (read.rows_read, limit, whole)


def test_coverage_ends_today_in_utc_wherever_the_session_is(trino, databases):
    """F24."""
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles"):
        last = trino.ask("SELECT aggregator, max(day), count(*) FROM awsdatacatalog.projection.coverage GROUP BY aggregator", zone)
        assert same(last.rows) == [("org", today(), DAYS), ("security", today(), DAYS)]
    missing = trino.ask("SELECT day FROM awsdatacatalog.projection.coverage WHERE NOT has_snapshot AND NOT is_dropped AND aggregator = 'org'")
    assert same(missing.rows) == same([(today() - datetime.timedelta(days=ago),) for ago in GAPS])


def test_an_engine_without_projection_sees_what_is_registered(trino, databases, duck):
    """F27: Redshift Spectrum, Glue jobs, EMR and Spark read the catalog like this."""
    for table in TABLES:
        count = lambda mode: trino.ask(f"SELECT count(*) FROM without_projection.{mode}.{table}").rows[0][0]
        expected = duck.sql(f"SELECT count(*) FROM compline.{table}").fetchone()[0]
        assert [count(mode) for mode in MODES] == [0, expected, expected]
        comment = databases.get_table(DatabaseName="projection", Name=table)["Table"]["Description"]
        assert 'Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"' in comment
        assert "Redshift" not in databases.get_table(DatabaseName="both", Name=table)["Table"]["Description"]
