"""The views for Athena, on an engine nobody here wrote, against the tables that they stand on.

Athena itself is not at hand: its SQL, Hive's for tables and Trino's for views, is read by sqlglot, which writes DuckDB's.
That is the one place where dialects are dealt with.
"""

import datetime
import json
import random
import subprocess

import duckdb
import polars
import pyarrow.parquet as parquet
import pytest
import sqlglot

from conftest import COMPLINE, TABLES, pipeline_text, rule_item


@pytest.fixture(scope="module")
def statements(tmp_path_factory):
    """What `compline athena` prints, parsed."""
    file = tmp_path_factory.mktemp("athena") / "pipeline.toml"
    file.write_text(pipeline_text("s3://bucket/some/prefix"))
    done = subprocess.run([COMPLINE, "athena", file, "--offline", "--database", "audit"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    dialect = lambda text: "trino" if " VIEW " in text else "hive"
    return [sqlglot.parse_one(text, read=dialect(text)) for text in done.stdout.split(";\n") if text.strip()]


@pytest.fixture(scope="module")
def database(lake, statements):
    """The demo's lake, with the views made over it."""
    database = with_tables(lake)
    # A day on which nobody ran.
    database.execute("CREATE TABLE gap AS SELECT max(snapshot_date) - 3 AS day FROM audit.pack_compliance")
    for table in TABLES:
        database.execute(f"DELETE FROM audit.{table} WHERE aggregator = 'org' AND snapshot_date = (SELECT day FROM gap)")
    make_views(database, statements)
    return database


def with_tables(lake):
    database = duckdb.connect()
    database.execute("CREATE SCHEMA audit")
    for table in TABLES:
        source = f"read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)"
        database.execute(f"CREATE TABLE audit.{table} AS SELECT * REPLACE (CAST(snapshot_date AS DATE) AS snapshot_date) FROM {source}")
    return database


def make_views(database, statements):
    for view in views(statements):
        # Trino's max_by gives a null that stands at the maximum; DuckDB has another function for that.
        database.execute(view.sql(dialect="duckdb").replace("ARG_MAX(", "ARG_MAX_NULL("))


def views(statements):
    return [statement for statement in statements if isinstance(statement, sqlglot.exp.Create) and statement.kind == "VIEW"]


def rows(database, sql):
    return sorted(database.sql(sql).fetchall(), key=str)


def frame(database, table):
    return polars.from_arrow(database.sql(f"SELECT * FROM audit.{table}").to_arrow_table())


def latest(frame):
    return frame.filter(polars.col("snapshot_date") == polars.col("snapshot_date").max().over("aggregator"))


def taken(frame, *columns):
    return sorted(frame.select(columns).rows(), key=str)


def nearly(rows):
    """Rows whose means may come of another order of adding up; what comes before a mean tells each of them apart."""
    return [tuple(pytest.approx(field, rel=0, abs=1e-9) if isinstance(field, float) else field for field in row) for row in rows]


def test_every_table_is_there_with_the_columns_and_types_of_its_files(lake, statements):
    types = {"TEXT": "string", "INT": "int32", "BIGINT": "int64", "DOUBLE": "double", "BOOLEAN": "bool", "DATE": "date32[day]",
             "TIMESTAMP": "timestamp[ms, tz=UTC]"}
    made = {s.this.this.name: s for s in statements if isinstance(s, sqlglot.exp.Create) and s.kind == "TABLE"}
    assert set(made) == set(TABLES)
    for table, statement in made.items():
        schema = parquet.read_schema(next(lake.glob(f"{table}/*/*/*.parquet")))
        columns = [(column.name, types[column.kind.this.name]) for column in statement.this.expressions if column.name not in ("snapshot_date", "aggregator")]
        assert columns == [(field.name, str(field.type)) for field in schema], table
        text = statement.sql(dialect="hive")
        location = f"s3://bucket/some/prefix/{table}/"
        for part in (f"LOCATION '{location}'", f"{location}snapshot_date=${{snapshot_date}}/aggregator=${{aggregator}}/",
                     "'projection.aggregator.values'='org,security'", "'projection.snapshot_date.range'='2020-01-01,NOW'"):
            assert part in text, (part, text)


def test_latest_posture_is_the_last_day_of_each_aggregator(database):
    expected = latest(frame(database, "compliance_trends"))
    assert rows(database, f"SELECT {', '.join(expected.columns)} FROM audit.latest_posture") == taken(expected, *expected.columns)


def test_accounts_come_worst_first(database):
    accounts = latest(frame(database, "compliance_trends")).filter((polars.col("dimension") == "account") & (polars.col("packs_total") > 0))
    found = database.sql("SELECT account_id, pack_compliance_rate, packs_non_compliant FROM audit.accounts_worst_first WHERE aggregator = 'org' ORDER BY place, account_id").fetchall()
    org = accounts.filter(polars.col("aggregator") == "org")
    expected = org.sort(["pack_compliance_rate", "packs_non_compliant", "dimension_value"], descending=[False, True, False], nulls_last=True)
    assert found == expected.select("dimension_value", "pack_compliance_rate", "packs_non_compliant").rows()


@pytest.mark.parametrize("period, every", [("week", "1w"), ("month", "1mo")])
def test_a_trend_by_period_has_its_last_snapshot_its_means_and_its_events(database, period, every):
    trends = frame(database, "compliance_trends").sort("snapshot_date")
    some = polars.col
    expected = trends.with_columns(some("snapshot_date").dt.truncate(every).alias(period)).group_by("aggregator", "dimension", "dimension_value", period).agg(
        (some("packs_total") > 0).sum().alias("days_observed"),
        some("snapshot_date").max().alias("last_snapshot_date"),
        some("packs_total").last(), some("packs_non_compliant").last(), some("pack_compliance_rate").last(),
        some("pack_compliance_rate").mean().alias("pack_compliance_rate_mean"),
        # Nothing is counted on a first day: null, not 0.
        polars.when(some("packs_regressed").is_not_null().any()).then(some("packs_regressed").sum()).alias("packs_regressed"),
        polars.when(some("packs_remediated").is_not_null().any()).then(some("packs_remediated").sum()).alias("packs_remediated"))
    shown = {period: f"CAST({period} AS DATE)"}
    found = rows(database, f"SELECT {', '.join(shown.get(name, name) for name in expected.columns)} FROM audit.trend_{period}ly")
    assert len(found) > 100 and found == nearly(taken(expected, *expected.columns))


def test_open_regressions_have_their_age(database):
    some = polars.col
    status = latest(frame(database, "pack_status"))
    expected = status.filter(some("is_present") & (some("compliance_type") == "NON_COMPLIANT") & (some("previous_compliance_type") == "COMPLIANT"))
    found = rows(database, "SELECT aggregator, account_id, aws_region, conformance_pack_name, regressed_on, days_open FROM audit.open_regressions")
    assert len(found) > 10
    assert found == taken(expected, "aggregator", "account_id", "aws_region", "conformance_pack_name", "status_since", "days_in_status")


def test_packs_that_vanished_say_for_how_long(database):
    status = latest(frame(database, "pack_status")).filter(~polars.col("is_present"))
    gone = (polars.col("snapshot_date") - polars.col("last_seen_date")).dt.total_days().alias("days_gone")
    found = rows(database, "SELECT aggregator, account_id, conformance_pack_name, last_seen_date, days_gone FROM audit.packs_vanished")
    assert len(found) > 3
    assert found == taken(status.with_columns(gone), "aggregator", "account_id", "conformance_pack_name", "last_seen_date", "days_gone")


def test_coverage_has_every_calendar_day_up_to_today_and_shows_the_one_that_is_missing(database):
    gap = database.sql("SELECT day FROM gap").fetchall()[0][0]
    missing = rows(database, "SELECT aggregator, day, packs_total, sources, is_dropped FROM audit.coverage WHERE NOT has_snapshot")
    assert missing == [("org", gap, None, None, False)]
    sources = frame(database, "source_status")
    is_ = lambda status: (polars.col("status") == status).sum().alias(status)
    expected = sources.group_by("aggregator", "snapshot_date").agg(polars.len(), is_("SUCCEEDED"), is_("OUTDATED"), is_("FAILED"))
    found = rows(database, """SELECT aggregator, day, sources, sources_succeeded, sources_outdated, sources_failed
        FROM audit.coverage WHERE has_snapshot""")
    assert found == taken(expected, *expected.columns)
    packs = frame(database, "compliance_trends").filter(polars.col("dimension") == "aggregator")
    assert rows(database, "SELECT aggregator, day, packs_total FROM audit.coverage WHERE has_snapshot") == taken(packs, "aggregator", "snapshot_date", "packs_total")
    days = database.sql("SELECT count(*), count(DISTINCT day), max(day) - min(day) + 1, max(day) FROM audit.coverage WHERE aggregator = 'org'").fetchall()
    assert days == [(30, 30, 30, datetime.datetime.now(datetime.UTC).date())]


def test_f24_coverage_goes_by_the_last_change_of_a_day_and_ends_today(database):
    """Aggregators that have a ledger alone, as those have whose filters choose by compliance type."""
    today = datetime.datetime.now(datetime.UTC).date()
    day = lambda ago: today - datetime.timedelta(days=ago)
    lines = [  # aggregator, days ago, minute of the end, outcome, commit number, has a checksum, rows, dataset
        ("stopped", 19, 1, "succeeded", None, False, 7, None),
        ("stopped", 19, 2, "failed", None, False, 0, None),
        ("dropped", 5, 1, "succeeded", 1, True, 7, "packs"), ("dropped", 5, 2, "dropped", 2, False, 0, "packs"),
        # Rules are counted by themselves: there, dropped, and committed where packs are not.
        ("dropped", 5, 3, "succeeded", 3, True, 90, "rules"),
        ("dropped", 4, 3, "dropped", 2, False, 0, None), ("dropped", 4, 1, "succeeded", 3, True, 8, "packs"),
        ("dropped", 4, 4, "dropped", 4, False, 0, "rules"),
        ("dropped", 3, 1, "failed", None, False, 0, "packs"), ("dropped", 3, 2, "succeeded", 1, True, 90, "rules"),
        # The snapshot was committed, and its trends were not.
        ("dropped", 2, 1, "failed", 1, True, 9, "packs"),
        ("dropped", 1, 1, "held", None, False, 0, "packs"),
        # By lines of an older version alone: the last that ended.
        ("dropped", 0, 5, "succeeded", None, False, 6, None), ("dropped", 0, 4, "succeeded", None, False, 5, None),
        ("never", 2, 1, "failed", None, False, 0, "packs"), ("never", 2, 2, "succeeded", 1, True, 90, "rules"),
    ]
    database.execute("CREATE TABLE audit.all_runs AS SELECT * FROM audit.runs")
    try:
        database.execute("DELETE FROM audit.runs")
        for aggregator, ago, minute, outcome, number, has_checksum, count, dataset in lines:
            database.execute("""INSERT INTO audit.runs BY NAME SELECT * REPLACE (? AS aggregator, ?::DATE AS snapshot_date, ? AS outcome,
                ?::BIGINT AS commit_number, ? AS snapshot_sha256, ? AS "rows", ?::TIMESTAMPTZ AS finished_at, ? AS dataset) FROM audit.all_runs LIMIT 1""",
                [aggregator, day(ago), outcome, number, "ab" if has_checksum else None, count, datetime.datetime(2026, 1, 1, 0, minute), dataset])
        query = "SELECT aggregator, day, has_snapshot, is_dropped, packs_total FROM audit.coverage WHERE aggregator <> 'stopped' ORDER BY day"
        found = database.sql(query).fetchall()
        assert found == [("dropped", day(5), False, True, None), ("dropped", day(4), True, False, 8), ("dropped", day(3), False, False, None),
                         ("dropped", day(2), True, False, 9), ("dropped", day(1), False, False, None), ("dropped", day(0), True, False, 6)]
        stopped = database.sql("SELECT day, has_snapshot FROM audit.coverage WHERE aggregator = 'stopped' ORDER BY day").fetchall()
        assert stopped == [(day(ago), ago == 19) for ago in range(19, -1, -1)]
    finally:
        database.execute("DROP TABLE audit.runs; ALTER TABLE audit.all_runs RENAME TO runs")


def test_f24_a_view_of_the_last_snapshot_looks_back_31_days_at_planning(statements):
    of_last = {"latest_snapshot", "latest_posture", "open_regressions", "packs_vanished", "latest_rule_snapshot", "rules_worst_first",
               "rules_failing_longest"}
    for view in views(statements):
        bounds = [bound.sql("trino") for bound in view.find_all(sqlglot.exp.GTE) if "CURRENT_DATE" in bound.sql("trino")]
        assert [bound.split(" >= ")[1] for bound in bounds] == ["CURRENT_DATE - INTERVAL '31' DAY"] * (view.this.name in of_last), view.this.name


def test_time_to_remediate_is_of_the_packs_remediated_in_the_month(database):
    changes = frame(database, "pack_changes").filter(polars.col("change") == "remediated")
    days = polars.col("days_in_previous_status")
    expected = changes.group_by("aggregator", polars.col("snapshot_date").dt.truncate("1mo").alias("month")).agg(
        polars.len(), days.mean().alias("mean"), days.min().alias("min"), days.max().alias("max"))
    found = rows(database, """SELECT aggregator, CAST(month AS DATE), remediations, mean_days_to_remediate, min_days_to_remediate,
        max_days_to_remediate FROM audit.time_to_remediate_monthly""")
    assert found == nearly(taken(expected, *expected.columns))


def test_rules_come_worst_first(database):
    trends = latest(frame(database, "rule_trends")).filter((polars.col("dimension") == "rule_group") & (polars.col("rules_total") > 0))
    columns = ["rule_compliance_rate", "rules_non_compliant", "rules_total", "open_non_compliant_max_days", "snapshot_date"]
    found = database.sql(f"SELECT rule_group, {', '.join(columns)} FROM audit.rules_worst_first ORDER BY aggregator, place, rule_group").fetchall()
    expected = trends.sort(["aggregator", "rule_compliance_rate", "rules_non_compliant", "dimension_value"], descending=[False, False, True, False], nulls_last=True)
    assert len(found) > 3 and found == expected.select("dimension_value", *columns).rows()
    # Of rules, which are not of every day that packs are of.
    assert rows(database, "SELECT aggregator, snapshot_date FROM audit.latest_rule_snapshot") == taken(expected.unique("aggregator"), "aggregator", "snapshot_date")


def test_rules_that_fail_say_since_when(database):
    some = polars.col
    expected = latest(frame(database, "rule_status")).filter(some("is_present") & (some("compliance_type") == "NON_COMPLIANT"))
    keys = "aggregator, account_id, aws_region, config_rule_name, rule_group"
    found = rows(database, f"SELECT {keys}, non_compliant_since, days_non_compliant, change_count, snapshot_date FROM audit.rules_failing_longest")
    assert len(found) > 3
    assert found == taken(expected, *keys.split(", "), "status_since", "days_in_status", "change_count", "snapshot_date")


SEED, NIGHTS = 7, 16
C, N = "COMPLIANT", "NON_COMPLIANT"


def answers(chance):
    """A day of packs and of rules: few and small, so that many have the same counts. In some places the one does not fit the other."""
    packs, rules = [], []
    for account in ("000000000001", "012345678910"):
        for region in ("eu-west-1", "us-east-1"):
            # Which pack is odd, and how: a rule is evaluated between the two answers, it has no counts, a filter takes its rules or it alone.
            odd, how = chance.choice("abcd" * 2 + "....." * 2), chance.choice(["evaluated", "no counts", "no counts and no rules", "no rules", "no pack"])
            for pack, size in (("a", 1), ("b", 2), ("c", 3), ("d", 3)):
                if chance.random() < 0.1:
                    continue
                kinds = [C] * size if chance.random() < 0.5 else [chance.choice([C, N, N, "NOT_APPLICABLE"]) for _ in range(size)]
                counts, kind, how_this = [kinds.count(C), kinds.count(N)], N if N in kinds else C, how if pack == odd else ""
                if how_this == "evaluated":
                    counts[1] += chance.choice([-1, 1])
                # It may contradict its counts.
                compliance = {"ComplianceType": chance.choice([C, N, "INSUFFICIENT_DATA"]) if chance.random() < 0.15 else kind}
                if not how_this.startswith("no counts"):
                    compliance |= {"CompliantRuleCount": counts[0], "NonCompliantRuleCount": counts[1], "TotalRuleCount": size}
                if how_this != "no pack":
                    packs.append({"AccountId": account, "AwsRegion": region, "ConformancePackName": pack, "Compliance": compliance})
                # One without a result may have no rule in the list.
                if not how_this.endswith("no rules") and (counts != [0, 0] or chance.random() < 0.5):
                    rules += [rule_item(account, region, f"rule{number}-conformance-pack-{pack * 9}", kind, (number + 1, False) if kind == N else None)
                              for number, kind in enumerate(kinds)]
            rules.append(rule_item(account, region, "of-no-pack", chance.choice([C, N])))
    return {"packs": {"AggregateComplianceByConformancePacks": packs}, "rules": {"AggregateComplianceByConfigRules": rules}}


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory):
    """Days by chance of two aggregators, some of them without packs or without rules: the lake, what the program said of each pack that
    regressed, and which days have no rules."""
    folder = tmp_path_factory.mktemp("chance")
    chance, lake, file, answer = random.Random(SEED), folder / "lake", folder / "pipeline.toml", folder / "answer.json"
    file.write_text(pipeline_text(lake, rules=True))
    told, without_rules = [], set()
    for night in range(NIGHTS):
        for aggregator in ("org", "security"):
            day, of_day = datetime.date(2026, 1, 1) + datetime.timedelta(night), answers(chance)
            without = chance.choice([None] * 8 + ["packs", "rules"])
            for dataset in (dataset for dataset in ("packs", "rules") if dataset != without):
                answer.write_text(json.dumps(of_day[dataset]))
                command = [COMPLINE, "import", file, "--aggregator", aggregator, "--date", str(day), "--dataset", dataset, answer, "--accept", "--json", "--quiet"]
                done = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE)
                report, = json.loads(done.stdout)["aggregators"]
            if without == "rules":
                without_rules.add((aggregator, day))
            elif found := report["regressed"]:
                assert len(found["worst"]) == found["packs"], "a report names no more than the first"
                told += [(aggregator, day, *(pack[name] for name in ("account_id", "aws_region", "conformance_pack_name", "rule_groups"))) for pack in found["worst"]]
    return lake, told, without_rules


def test_why_packs_regressed_is_what_the_program_says(statements, by_chance):
    lake, told, without_rules = by_chance
    database, seed = with_tables(lake), f"of seed {SEED}"
    make_views(database, statements)
    pack = "aggregator, snapshot_date, account_id, aws_region, conformance_pack_name"
    found = database.sql(f"""SELECT {pack}, is_told, list(rule_group ORDER BY rule_group) FILTER (rule_group IS NOT NULL), count(*)
        FROM audit.why_regressed GROUP BY ALL""").fetchall()
    # A pack that is told may have no rule: AWS Config said that it is NON_COMPLIANT, and that no rule of it is.
    said = [(*keys, (groups or []) if is_told else None) for *keys, is_told, groups, _ in found]
    assert all(count == max(1, len(groups or [])) for *_, groups, count in found), seed
    is_with = lambda keys: keys[:2] not in without_rules
    assert sorted(filter(is_with, said), key=str) == sorted(told, key=str), seed
    others = [keys for keys in said if not is_with(keys)]
    assert others and all(groups is None for *_, groups in others), seed
    assert sorted((tuple(keys) for *keys, _ in said), key=str) == rows(database, f"SELECT {pack} FROM audit.pack_changes WHERE change = 'regressed'"), seed
    lengths = [len(groups) for *_, groups in told if groups is not None]
    assert {0, 1, 2} <= set(lengths) and len(told) - len(lengths) > 10, "by chance there is one of each"
    # A day whose snapshot was dropped has its packs, and nothing is told of them.
    aggregator, day = next(keys[:2] for keys in told if keys[-1])
    of_day = f"SELECT {pack} FROM audit.why_regressed WHERE aggregator = '{aggregator}' AND snapshot_date = DATE '{day}'"
    before = set(database.sql(of_day).fetchall())
    for table in ("pack_compliance", "rule_compliance"):
        database.execute(f"BEGIN; DELETE FROM audit.{table} WHERE aggregator = '{aggregator}' AND snapshot_date = DATE '{day}'")
        after = database.sql(f"{of_day} AND NOT is_told AND config_rule_name IS NULL").fetchall()
        assert len(after) == len(before) and set(after) == before, (table, seed)
        database.execute("ROLLBACK")
    # What else a row says of its rule.
    rule = "aggregator, snapshot_date, account_id, aws_region, config_rule_name"
    more = "from_type, contributor_count, contributor_count_capped, conformance_pack_id, previous_snapshot_date"
    of_view = f"SELECT {rule}, rule_group, rule_change, {more} FROM audit.why_regressed WHERE config_rule_name IS NOT NULL"
    of_tables = f"""SELECT {rule}, facts.rule_group, change, {more} FROM audit.rule_compliance AS facts JOIN audit.rule_changes USING ({rule})
        WHERE to_type = 'NON_COMPLIANT'"""
    assert database.sql(f"{of_view} EXCEPT {of_tables}").fetchall() == [], seed


def test_every_view_is_tried_here(statements):
    assert {view.this.name for view in views(statements)} == {
        "latest_snapshot", "latest_posture", "accounts_worst_first", "trend_weekly", "trend_monthly", "open_regressions",
        "packs_vanished", "coverage", "time_to_remediate_monthly", "latest_rule_snapshot", "rules_worst_first", "rules_failing_longest",
        "why_regressed"}
    assert all(table.db == "audit" for view in views(statements) for table in view.find_all(sqlglot.exp.Table)
               if table.name not in ("changes", "last_changes", "span", "calendar", "sources", "packs", "ids", "counts_of_packs", "counts_of_ids",
                                          "regressed", "rules"))
