"""The trend tables against plain SQL over the snapshots, on an engine nobody here wrote."""

import duckdb
import pytest


@pytest.fixture(scope="module")
def sql(lake):
    database = duckdb.connect()
    for table in ("pack_compliance", "pack_changes", "compliance_trends", "pack_status", "source_status"):
        source = f"read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)"
        database.sql(f"CREATE TABLE {table} AS SELECT * REPLACE (CAST(snapshot_date AS DATE) AS snapshot_date) FROM {source}")
    # Every snapshot of an aggregator with the one before it.
    database.sql("""
        CREATE VIEW days AS
        SELECT aggregator, snapshot_date, lag(snapshot_date) OVER (PARTITION BY aggregator ORDER BY snapshot_date) AS previous
        FROM (SELECT DISTINCT aggregator, snapshot_date FROM pack_compliance)""")
    return database


def differences(sql, left, right):
    found = sql.sql(f"(({left}) EXCEPT ALL ({right})) UNION ALL (({right}) EXCEPT ALL ({left})) LIMIT 5").fetchall()
    count = sql.sql(f"SELECT count(*) FROM ({left})").fetchall()[0][0]
    assert count > 0, "nothing to compare"
    return found


DIMENSIONS = {"aggregator": "aggregator", "account": "account_id", "region": "aws_region", "pack_group": "pack_group"}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_totals_by_sql_over_the_snapshots_are_those_of_the_trends(sql, dimension):
    columns = """packs_total, packs_compliant, packs_non_compliant, packs_insufficient_data, packs_unknown,
        rules_compliant, rules_non_compliant, rules_insufficient_data, rules_total"""
    by_sql = f"""
        SELECT snapshot_date, aggregator, {DIMENSIONS[dimension]} AS dimension_value,
            count(*), count(*) FILTER (compliance_type = 'COMPLIANT'), count(*) FILTER (compliance_type = 'NON_COMPLIANT'),
            count(*) FILTER (compliance_type = 'INSUFFICIENT_DATA'),
            count(*) FILTER (compliance_type IS NULL OR compliance_type NOT IN ('COMPLIANT', 'NON_COMPLIANT', 'INSUFFICIENT_DATA')),
            sum(compliant_rule_count), sum(non_compliant_rule_count), sum(insufficient_data_rule_count), sum(total_rule_count)
        FROM pack_compliance GROUP BY ALL"""
    kept = f"""
        SELECT snapshot_date, aggregator, dimension_value, {columns}
        FROM compliance_trends WHERE dimension = '{dimension}' AND packs_total > 0"""
    assert differences(sql, kept, by_sql) == []


def test_rates_are_those_of_the_definitions(sql):
    wrong = sql.sql("""
        SELECT * FROM compliance_trends
        WHERE pack_compliance_rate IS DISTINCT FROM
                CASE WHEN packs_compliant + packs_non_compliant > 0 THEN packs_compliant / (packs_compliant + packs_non_compliant) END
            OR rule_compliance_rate IS DISTINCT FROM
                CASE WHEN rules_compliant + rules_non_compliant > 0 THEN rules_compliant / (rules_compliant + rules_non_compliant) END
        LIMIT 5""").fetchall()
    assert wrong == []


def test_events_by_sql_over_two_snapshots_are_the_changes(sql):
    by_sql = """
        WITH pairs AS (
            SELECT days.*, now.account_id, now.aws_region, now.conformance_pack_name, now.compliance_type AS to_type, 'now' AS side
            FROM days JOIN pack_compliance AS now USING (aggregator, snapshot_date) WHERE previous IS NOT NULL
            UNION ALL
            SELECT days.*, was.account_id, was.aws_region, was.conformance_pack_name, was.compliance_type, 'was'
            FROM days JOIN pack_compliance AS was ON was.aggregator = days.aggregator AND was.snapshot_date = days.previous
        ),
        sides AS (
            SELECT aggregator, snapshot_date, previous, account_id, aws_region, conformance_pack_name,
                count(*) FILTER (side = 'was') AS was_here, count(*) FILTER (side = 'now') AS is_here,
                any_value(to_type) FILTER (side = 'was') AS from_type, any_value(to_type) FILTER (side = 'now') AS to_type
            FROM pairs GROUP BY ALL
        ),
        first_seen AS (
            SELECT aggregator, account_id, aws_region, conformance_pack_name, min(snapshot_date) AS first_day
            FROM pack_compliance GROUP BY ALL
        )
        SELECT snapshot_date, aggregator, account_id, aws_region, conformance_pack_name,
            CASE
                WHEN was_here = 0 AND first_day < snapshot_date THEN 'reappeared'
                WHEN was_here = 0 THEN 'added'
                WHEN is_here = 0 THEN 'removed'
                WHEN from_type = 'COMPLIANT' AND to_type = 'NON_COMPLIANT' THEN 'regressed'
                WHEN from_type = 'NON_COMPLIANT' AND to_type = 'COMPLIANT' THEN 'remediated'
                WHEN from_type IS DISTINCT FROM to_type THEN 'changed'
            END AS change,
            to_type, previous
        FROM sides JOIN first_seen USING (aggregator, account_id, aws_region, conformance_pack_name)
        WHERE change IS NOT NULL"""
    kept = """
        SELECT snapshot_date, aggregator, account_id, aws_region, conformance_pack_name, change, to_type, previous_snapshot_date
        FROM pack_changes"""
    assert differences(sql, kept, by_sql) == []
    kinds = {kind for (kind,) in sql.sql("SELECT DISTINCT change FROM pack_changes").fetchall()}
    assert kinds == {"added", "removed", "reappeared", "regressed", "remediated", "changed"}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_event_counts_are_those_of_the_changes(sql, dimension):
    kinds = ("added", "removed", "reappeared", "regressed", "remediated")
    counts = ", ".join(f"count(*) FILTER (change = '{kind}')" for kind in kinds)
    some = " + ".join(f"packs_{kind}" for kind in kinds)
    by_sql = f"""
        SELECT snapshot_date, aggregator, {DIMENSIONS[dimension]}, {counts}
        FROM pack_changes WHERE change <> 'changed' GROUP BY ALL"""
    kept = f"""
        SELECT snapshot_date, aggregator, dimension_value, {", ".join(f"packs_{kind}" for kind in kinds)}
        FROM compliance_trends WHERE dimension = '{dimension}' AND {some} > 0"""
    assert differences(sql, kept, by_sql) == []


def test_the_state_of_a_pack_is_what_its_days_say(sql):
    by_sql = """
        WITH seen AS (
            SELECT aggregator, account_id, aws_region, conformance_pack_name, snapshot_date, compliance_type,
                min(snapshot_date) OVER pack AS first_seen, max(snapshot_date) OVER pack AS last_seen
            FROM pack_compliance
            WINDOW pack AS (PARTITION BY aggregator, account_id, aws_region, conformance_pack_name)
        ),
        latest AS (SELECT aggregator, max(snapshot_date) AS today FROM pack_compliance GROUP BY ALL)
        SELECT aggregator, account_id, aws_region, conformance_pack_name, compliance_type, first_seen, last_seen, last_seen = today
        FROM seen JOIN latest USING (aggregator) WHERE snapshot_date = last_seen"""
    kept = """
        SELECT aggregator, account_id, aws_region, conformance_pack_name, compliance_type, first_seen_date, last_seen_date, is_present
        FROM pack_status WHERE snapshot_date = (SELECT max(snapshot_date) FROM pack_status)"""
    assert differences(sql, kept, by_sql) == []


def test_the_fact_carries_the_status_of_its_source(sql):
    by_sql = """
        SELECT f.snapshot_date, f.aggregator, f.account_id, f.aws_region, f.conformance_pack_name, s.status, s.last_update_time
        FROM pack_compliance AS f LEFT JOIN source_status AS s
            ON (s.snapshot_date, s.aggregator, s.source_id, s.aws_region) = (f.snapshot_date, f.aggregator, f.account_id, f.aws_region)"""
    kept = """
        SELECT snapshot_date, aggregator, account_id, aws_region, conformance_pack_name, source_status, source_updated_at
        FROM pack_compliance"""
    assert differences(sql, kept, by_sql) == []
    statuses = {status for (status,) in sql.sql("SELECT DISTINCT source_status FROM pack_compliance").fetchall()}
    assert statuses == {"SUCCEEDED", "OUTDATED", "FAILED"}
