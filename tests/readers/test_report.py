"""The report's figures are those that DuckDB computes of the tables, and a browser shows them as they are."""

import csv
import io
import json
import os
import pathlib
import subprocess

import boto3
import duckdb
import pytest

from conftest import COMPLINE, Simulator, pipeline_text

BROWSER = pathlib.Path(__file__).parents[1] / "browser"


@pytest.fixture(scope="module")
def pipeline(lake, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "pipeline.toml"
    file.write_text(pipeline_text(lake))
    return file


def report(pipeline, *more):
    return subprocess.run([COMPLINE, "report", pipeline, "-o", "-", *more], check=True, timeout=60, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def figures(pipeline):
    return json.loads(report(pipeline, "--format", "json"))


@pytest.fixture(scope="module")
def tables(lake):
    """DuckDB with the tables, and `last`, the last day."""
    database = duckdb.connect()
    for table in ("pack_compliance", "pack_changes", "source_status"):
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{lake}/{table}/*/*/*.parquet', hive_partitioning = true)")
    database.execute("CREATE VIEW last AS SELECT max(snapshot_date) AS day FROM pack_compliance")
    return database


COUNTS = """count(*), count(*) FILTER (compliance_type = 'COMPLIANT'), count(*) FILTER (compliance_type = 'NON_COMPLIANT'),
    round(count(*) FILTER (compliance_type = 'COMPLIANT') / nullif(count(*) FILTER (compliance_type IN ('COMPLIANT', 'NON_COMPLIANT')), 0), 9)"""


def counts(line):
    rate = line["pack_rate"]
    return (line["packs"], line["compliant"], line["non_compliant"], None if rate is None else round(rate, 9))


def test_the_lines_are_what_the_facts_say(figures, tables):
    assert [one["aggregator"] for one in figures["aggregators"]] == ["org", "security"]
    for one in figures["aggregators"]:
        for lines, column in (([one["total"]], "aggregator"), (one["regions"], "aws_region"), (one["pack_groups"], "pack_group"), (one["accounts"], "account_id")):
            query = f"""SELECT {column}, {COUNTS} FROM pack_compliance, last
                WHERE snapshot_date = day AND aggregator = '{one["aggregator"]}' GROUP BY 1"""
            expected = {row[0]: row[1:] for row in tables.sql(query).fetchall()}
            assert {line["value"]: counts(line) for line in lines} == expected != {}


def test_the_history_is_the_rate_of_each_day(figures, tables):
    for one in figures["aggregators"]:
        query = f"""SELECT snapshot_date::VARCHAR, {COUNTS} FROM pack_compliance WHERE aggregator = '{one["aggregator"]}' GROUP BY 1 ORDER BY 1"""
        expected = [(row[0], row[1], row[4]) for row in tables.sql(query).fetchall()]
        assert [(point["date"], point["packs"], round(point["pack_rate"], 9)) for point in one["total"]["history"]] == expected
        assert len(expected) == 30


def test_the_heat_map_is_the_rate_of_account_and_group(figures, tables):
    for one in figures["aggregators"]:
        query = f"""SELECT account_id, pack_group, {COUNTS} FROM pack_compliance, last
            WHERE snapshot_date = day AND aggregator = '{one["aggregator"]}' GROUP BY 1, 2"""
        expected = {row[:2]: row[2:] for row in tables.sql(query).fetchall()}
        heat_map = one["heat_map"]
        assert len(heat_map["accounts"]) == min(100, len(one["accounts"]))
        assert len(heat_map["accounts"]) + heat_map["accounts_omitted"] == len(one["accounts"])
        for row in heat_map["accounts"]:
            for group, cell in zip(heat_map["pack_groups"], row["cells"], strict=True):
                assert (counts(cell) if cell else None) == expected.get((row["account_id"], group))


def test_events_and_open_regressions_are_those_of_the_snapshots(figures, tables):
    key = ("account_id", "aws_region", "conformance_pack_name")
    for one in figures["aggregators"]:
        of = f"aggregator = '{one['aggregator']}'"
        regressed = tables.sql(f"SELECT {', '.join(key)} FROM pack_changes, last WHERE snapshot_date = day AND change = 'regressed' AND {of}").fetchall()
        assert sorted(tuple(change[name] for name in key) for change in one["regressed"]["first"]) == sorted(regressed)
        remediated = f"SELECT count(*), min(snapshot_date) FROM pack_changes, last WHERE snapshot_date > day - 30 AND change = 'remediated' AND {of}"
        assert one["remediated"]["count"] == tables.sql(remediated).fetchone()[0] > 0
        # Of the facts alone: the run of NON_COMPLIANT that a pack is in now, and whether it was COMPLIANT right before.
        runs = f"""
            WITH days AS (SELECT *, lag(compliance_type) OVER pack AS before FROM pack_compliance WHERE {of}
                          WINDOW pack AS (PARTITION BY {', '.join(key)} ORDER BY snapshot_date)),
            starts AS (SELECT *, max(CASE WHEN compliance_type IS DISTINCT FROM before THEN snapshot_date END) OVER
                          (PARTITION BY {', '.join(key)} ORDER BY snapshot_date) AS since FROM days)
            SELECT now.account_id, now.aws_region, now.conformance_pack_name, now.since::VARCHAR
            FROM starts now JOIN last ON now.snapshot_date = day
            JOIN starts start ON start.snapshot_date = now.since AND {' AND '.join(f'start.{name} = now.{name}' for name in key)}
            WHERE now.compliance_type = 'NON_COMPLIANT' AND start.before = 'COMPLIANT'"""
        expected = sorted(tables.sql(runs).fetchall())
        assert one["open_regressions"]["count"] == len(expected) > 0
        if len(expected) <= 1000:
            found = [(*(pack[name] for name in key), pack["status_since"]) for pack in one["open_regressions"]["first"]]
            assert sorted(found) == expected
        ages = [pack["age_days"] for pack in one["open_regressions"]["first"]]
        assert ages == sorted(ages, reverse=True)


def test_the_sources_are_those_of_the_aggregator(figures, tables):
    for one in figures["aggregators"]:
        query = f"SELECT count(*), count(*) FILTER (status = 'SUCCEEDED') FROM source_status, last WHERE snapshot_date = day AND aggregator = '{one['aggregator']}'"
        found = one["sources"]
        assert (found["count"], found["succeeded"]) == tables.sql(query).fetchone()
        assert found["stale"]["count"] == found["count"] - found["succeeded"]


def test_csv_has_the_same_numbers(pipeline, figures):
    rows = list(csv.DictReader(io.StringIO(report(pipeline, "--format", "csv"))))
    lines = {(one["aggregator"], dimension, line["value"]): line for one in figures["aggregators"] for dimension, lines in
             (("aggregator", [one["total"]]), ("region", one["regions"]), ("pack_group", one["pack_groups"]), ("account", one["accounts"])) for line in lines}
    groups = {(one["aggregator"], group["rule_group"]): group for one in figures["aggregators"] if one["rules"] for group in one["rules"]["groups"]["first"]}
    of_rules = [row for row in rows if row["dimension"] == "rule_group"]
    assert len(of_rules) == len(groups) and len(rows) == len(lines) + len(groups)
    real = lambda text: float(text) if text else None
    for row in of_rules:
        group = groups[(row["aggregator"], row["dimension_value"])]
        assert [int(row[f"rules_{name}"]) for name in ("total", "compliant", "non_compliant")] == [group["rules"], group["compliant"], group["non_compliant"]]
        assert real(row["rule_compliance_rate"]) == group["rule_rate"] and row["packs_total"] == ""
        assert real(row["rule_compliance_rate_change_30d"]) == group["rule_rate_change_30d"] and real(row["rules_regressed"]) == group["regressed"]
    for row in (row for row in rows if row["dimension"] != "rule_group"):
        line = lines[(row["aggregator"], row["dimension"], row["dimension_value"])]
        assert int(row["packs_total"]) == line["packs"] and int(row["packs_non_compliant"]) == line["non_compliant"]
        assert (float(row["pack_compliance_rate"]) if row["pack_compliance_rate"] else None) == line["pack_rate"]


HOSTILE = ['<img src=x onerror="window.__hacked=1">', '"onmouseover=alert(1) x="', "{{7*7}}", "javascript:alert(1)", "x" * 256, "\u202egnp.exe"]


def hostile(folder):
    """The report of packs whose names would be markup, script, templates or walls, with a gap and an older snapshot."""
    file = folder / "pipeline.toml"
    file.write_text(pipeline_text(folder / "lake"))
    for day, worse in (("01", False), ("03", True)):
        rows = [{"ConformancePackName": name, "AccountId": f"00000000000{at}", "AwsRegion": "eu-west-1", "Compliance": {
            "ComplianceType": "NON_COMPLIANT" if worse and at % 2 == 0 else "COMPLIANT", "CompliantRuleCount": 3,
            "NonCompliantRuleCount": 1 if worse and at % 2 == 0 else 0, "TotalRuleCount": 4}} for at, name in enumerate(HOSTILE)]
        dump = folder / f"{day}.json"
        dump.write_text(json.dumps({"AggregateComplianceByConformancePacks": rows}))
        subprocess.run([COMPLINE, "import", file, "--aggregator", "org", "--date", f"2026-03-{day}", dump], check=True, timeout=60, capture_output=True)
    return report(file, "--date", "2026-03-04", "--days", "7")


def of_days(folder, days):
    """The report of a year of one account that has these days alone."""
    folder.mkdir()
    file, dump = folder / "pipeline.toml", folder / "day.json"
    file.write_text(pipeline_text(folder / "lake"))
    for at, day in enumerate(days):
        pack = {"ConformancePackName": "one", "AccountId": "000000000001", "AwsRegion": "eu-west-1",
                "Compliance": {"ComplianceType": ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"][at % 3], "CompliantRuleCount": at % 3,
                               "NonCompliantRuleCount": 0 if at % 3 == 0 else 1, "TotalRuleCount": 4}}
        dump.write_text(json.dumps({"AggregateComplianceByConformancePacks": [pack]}))
        subprocess.run([COMPLINE, "import", file, "--aggregator", "org", "--date", day, dump], check=True, timeout=60, capture_output=True)
    return report(file, "--date", "2026-03-04", "--days", "365")


def test_a_browser_shows_it_without_error_overflow_or_barrier(pipeline, tmp_path):
    """Light, dark, 360 px, print, without script, and axe-core, of the demo, of hostile names, and of hardly anything: see tests/browser."""
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "demo.html").write_text(report(pipeline))
    page = hostile(tmp_path)
    assert "<img" not in page and "&lt;img" in page and "{{7*7}}" in page
    (reports / "hostile.html").write_text(page)
    (reports / "empty.html").write_text(of_days(tmp_path / "empty", []))
    (reports / "one-day-one-account.html").write_text(of_days(tmp_path / "one", ["2026-03-04"]))
    with_gaps = ["2025-03-05", "2025-03-06", "2025-05-31", "2025-08-01", "2025-12-31", "2026-01-01", "2026-02-28", "2026-03-01", "2026-03-04"]
    (reports / "a-year-with-gaps.html").write_text(of_days(tmp_path / "gaps", with_gaps))
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=BROWSER, check=True, timeout=300)
    done = subprocess.run(["npm", "test", "--silent"], cwd=BROWSER, env={**os.environ, "REPORTS": str(reports)}, timeout=600, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]


def test_accounts_have_the_names_that_aws_organizations_gives_them_and_without_it_their_ids(pipeline, figures, moto_server, tmp_path):
    organizations = boto3.client("organizations", endpoint_url=moto_server, region_name="us-east-1")
    organizations.create_organization(FeatureSet="ALL")
    for number in range(25):
        organizations.create_account(AccountName=f"Team {number} <b>", Email=f"team{number}@example.com")
    named = {account["Id"]: account["Name"] for page in organizations.get_paginator("list_accounts").paginate() for account in page["Accounts"]}
    assert len(named) == 26

    # An account of the lake has the name, the others have none; the list has more than one page.
    file = tmp_path / "p.toml"
    account = next(iter(named))
    lake = tmp_path / "lake"
    simulator = Simulator("--accounts", "3")
    try:
        file.write_text(pipeline_text(lake, more=f'[report]\naccount_names = "organizations"\n[fetch]\nendpoint_url = "{simulator.url}"'))
        where = {"AWS_ENDPOINT_URL_STS": moto_server, "AWS_ENDPOINT_URL_ORGANIZATIONS": moto_server}
        run = lambda *arguments, **more: subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **where, **more})
        # The dump of a source that has this very account.
        pack = {"ConformancePackName": "one", "AccountId": account, "AwsRegion": "eu-west-1",
                "Compliance": {"ComplianceType": "COMPLIANT", "CompliantRuleCount": 1, "NonCompliantRuleCount": 0, "TotalRuleCount": 1}}
        (tmp_path / "day.json").write_text(json.dumps({"AggregateComplianceByConformancePacks": [pack]}))
        imported = run("import", file, "--aggregator", "org", "--date", "2026-03-01", tmp_path / "day.json")
        assert imported.returncode == 0, imported
        html = (lake / "reports" / "2026-03-01.html").read_text()
        assert named[account].replace("<", "&lt;").replace(">", "&gt;") in html
        made = json.loads(run("report", file, "--date", "2026-03-01", "--format", "json").stdout)
        assert [line["name"] for line in made["aggregators"][0]["accounts"]] == [named[account]]
        checked = run("check", file)
        assert "✓ report: account_names" in checked.stdout and "26 accounts" in checked.stdout, checked
        # Where it does not answer, the report has ids, and a person who asks for names is told.
        gone = {"AWS_ENDPOINT_URL_ORGANIZATIONS": "http://127.0.0.1:9"}
        again = run("import", file, "--aggregator", "org", "--date", "2026-03-02", tmp_path / "day.json", **gone)
        assert again.returncode == 0 and "the report has no names of accounts" in again.stderr, again
        assert account in (lake / "reports" / "2026-03-02.html").read_text()
        assert run("report", file, **gone).returncode == 1
    finally:
        simulator.stop()


def test_a_report_beside_a_lake_on_s3_is_html_to_whoever_opens_it_there(simulator, moto_server, tmp_path):
    client = boto3.client("s3", endpoint_url=moto_server, region_name="us-east-1")
    client.create_bucket(Bucket="reports")
    of_lake = f'endpoint_url = "{moto_server}"\nregion = "us-east-1"\npath_style = true'
    file = tmp_path / "p.toml"
    file.write_text(pipeline_text("s3://reports/lake", of_lake, f'[report]\n[fetch]\nendpoint_url = "{simulator.url}/{{date}}"'))
    run = subprocess.run([COMPLINE, "run", file, "--date", "2026-03-01"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run
    for name in ("2026-03-01", "latest"):
        found = client.get_object(Bucket="reports", Key=f"lake/reports/{name}.html")
        assert found["ContentType"] == "text/html; charset=utf-8"
        html = found["Body"].read().decode()
        assert html.startswith("<!DOCTYPE html>") and "security" in html
    # The tables are no text that a browser would guess at.
    table = client.head_object(Bucket="reports", Key="lake/pack_compliance/snapshot_date=2026-03-01/aggregator=org/data.parquet")
    assert "html" not in table["ContentType"]
