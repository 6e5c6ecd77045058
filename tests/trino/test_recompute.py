"""The trend tables again as SQL for Athena, on a real Trino, against those of `compline`: every cell of every row."""

import datetime
import json
import random
import re
import subprocess

import boto3
import pytest

from conftest import COMPLINE

TABLES = ["pack_status", "pack_changes", "compliance_trends"]
DATABASE, SEED = "awsdatacatalog.recompute", 15

TYPES = ["COMPLIANT", "COMPLIANT", "NON_COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NEW", "", None]
COUNTS = [None, 0, 1, 2, 3, -1, 2**31 - 1]
PACKS = [(account, region, name) for account in ("000000000001", "012345678910") for region in ("eu-west-1", "us-east-1")
         for name in ("a", "b", "é", "OrgConformsPack-b-ab12cd34", "OrgConformsPack-b-zz99yy88")]
EXCLUDING = '[aggregator.exclude]\nconformance_pack_name = "nothing-*"'
BY_TYPE = '[[aggregator.filter]]\ncompliance_type = "NON_COMPLIANT"'
# Days from one to the next, and what else is asked: near each other, within and beyond each window, and after a pack is forgotten.
HISTORIES = {
    "near": ([0, 1, 1, 1, 2, 1, 1, 3, 6, 1, 1, 1, 8, 1, 14, 1], {}),
    "far": ([0, 29, 1, 59, 31, 90, 179, 1, 400, 402], {}),
    "other": ([0, 1, 1, 7, 1, 1, 1, 20, 1, 1, 1, 1], {3: EXCLUDING, 4: EXCLUDING, 5: EXCLUDING, 9: BY_TYPE}),
}


def compline(*arguments):
    subprocess.run([COMPLINE, *arguments], check=True, timeout=300, stdout=subprocess.DEVNULL)


def pipeline(url, aggregators, more="", of_lake="", after=""):
    each = "".join(f'[[aggregator]]\nid = "{id}"\nname = "{id}"\nregion = "eu-west-1"\n{more}\n' for id in aggregators)
    return f'version = 1\n[lake]\nurl = "{url}"\n{of_lake}\n{each}{after}'


@pytest.fixture(scope="module")
def days(trino, moto_server, tmp_path_factory):
    """A lake with those histories on S3 and in the catalog, some days without a pack, the first year's snapshots in months alone.
    Gives the days of each aggregator."""
    folder, chance = tmp_path_factory.mktemp("recompute"), random.Random(SEED)
    file, lake, found = folder / "pipeline.toml", folder / "lake", {}
    for id, (steps, filters) in HISTORIES.items():
        date = datetime.date(2020, 1, 27)
        found[id] = []
        for at, step in enumerate(steps):
            date += datetime.timedelta(step)
            there = chance.sample(PACKS, chance.choice([0, 5, 12, len(PACKS)]))
            (folder / "day.json").write_text(json.dumps({"AggregateComplianceByConformancePacks": [item(pack, chance) for pack in there]}))
            file.write_text(pipeline(lake, [id], filters.get(at, "")))
            compline("import", file, "--aggregator", id, "--date", str(date), folder / "day.json", "--accept")
            found[id].append(date)
    compact = '[maintain]\ncompact = ["pack_compliance", "source_status"]\n'
    age = (datetime.datetime.now(datetime.UTC).date() - datetime.date(2020, 3, 1)).days
    file.write_text(pipeline(lake, HISTORIES, after=f"{compact}snapshot_days = {age}\n"))
    compline("maintain", file, "--apply")
    assert not list(lake.glob("pack_compliance/snapshot_date=2020-02*/*/*")) and list(lake.glob("pack_compliance/snapshot_date=2020-03*/*/*"))

    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    s3.create_bucket(Bucket="recompute")
    for path in lake.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), "recompute", f"lake/{path.relative_to(lake)}")
    on_s3 = f'region = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true'
    catalog = f'{compact}[catalog]\ndatabase = "recompute"\npartitions = "registered"\nendpoint_url = "{moto_server}"\n'
    file.write_text(pipeline("s3://recompute/lake", HISTORIES, of_lake=on_s3, after=catalog))
    compline("catalog", file)
    return {"file": file, **found}


def item(pack, chance):
    account, region, name = pack
    compliance = {"ComplianceType": chance.choice(TYPES)}
    if chance.random() < 0.7:
        compliance |= {name: chance.choice(COUNTS) for name in ("CompliantRuleCount", "NonCompliantRuleCount", "TotalRuleCount")}
    return {"AccountId": account, "AwsRegion": region, "ConformancePackName": name, "Compliance": compliance}


def printed(target, days, start=None):
    """The statements of a range of days. Trino wants names with their catalogs, which Athena has one of."""
    file, catalog = days["file"], target.split(".")
    arguments = ["--into", catalog[1], *(["--from", str(start)] if start else []), *(["--only", days["only"]] if "only" in days else [])]
    command = [COMPLINE, "athena", file, "--recompute", *arguments]
    text = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout
    text = re.sub(r"\brecompute\.", f"{DATABASE}.", text)
    text = re.sub(rf"\b{catalog[1]}\.", f"{target}.", text)
    return [statement for statement in text.split(";") if statement.strip()]


def assert_same(trino, target, where):
    """Both have the same rows, with columns of the same types. Doubles are equal to the last bit."""
    for table in TABLES:
        lake, made = f"{DATABASE}.{table}", f"{target}.{table}_recomputed"
        described = [(row[0], row[1]) for row in trino.ask(f"DESCRIBE {lake}").rows]
        assert [(row[0], row[1]) for row in trino.ask(f"DESCRIBE {made}").rows] == described
        columns = ", ".join(name for name, _ in described)
        for one, other in ((lake, made), (made, lake)):
            differing = trino.ask(f"SELECT {columns} FROM {one} WHERE {where} EXCEPT ALL SELECT {columns} FROM {other} WHERE {where} LIMIT 3")
            assert differing.rows == [], (one, columns)
        assert trino.ask(f"SELECT count(*) FROM {made}").rows == trino.ask(f"SELECT count(*) FROM {lake} WHERE {where}").rows != [(0,)]


def run(trino, target, statements):
    trino.ask(f"CREATE SCHEMA {target}")
    create, check, *monthly = statements
    trino.ask(create)
    assert trino.ask(check).rows == [], "of these days the snapshot is not there as the ledger says"
    for statement in monthly:
        trino.ask(statement)


def test_every_month_has_the_rows_of_compline(trino, days):
    target = "made.recomputed"
    run(trino, target, printed(target, days))
    assert_same(trino, target, "true")
    assert {change for (change,) in trino.ask(f"SELECT DISTINCT change FROM {target}.pack_changes_recomputed").rows} == {
        "added", "removed", "reappeared", "regressed", "remediated", "changed"}
    assert trino.ask(f"SELECT count(*) FROM {target}.days_recomputed WHERE facts_only").rows == [(1,)]


@pytest.mark.parametrize("aggregator, at", [("far", 4), ("other", 2)])
def test_a_range_goes_on_from_the_tables_of_the_lake_before_it(trino, days, aggregator, at):
    target, start = f"made.of_{aggregator}", days[aggregator][at]
    run(trino, target, printed(target, {**days, "only": aggregator}, start))
    assert_same(trino, target, f"aggregator = '{aggregator}' AND snapshot_date >= DATE '{start}'")


def test_a_state_that_was_dropped_and_that_the_range_goes_on_from_is_told(trino, days):
    target = "made.without_state"
    with_packs = trino.ask(f"SELECT DISTINCT snapshot_date FROM {DATABASE}.pack_status WHERE aggregator = 'far' AND is_present").rows
    before, start = next(pair for pair in zip(days["far"], days["far"][1:]) if (pair[0],) in with_packs)
    trino.ask(f"CREATE SCHEMA {target}")
    create, check, *_ = printed(target, {**days, "only": "far"}, start)
    trino.ask(create)
    assert trino.ask(check).rows == []
    state = f"FROM {DATABASE}.pack_status"
    assert check.count(state) == 1
    without = check.replace(state, f"{state} WHERE aggregator <> 'far' OR snapshot_date <> DATE '{before}'")
    assert [(row[0], row[1], row[3]) for row in trino.ask(without).rows] == [("far", before, None)]


def test_a_snapshot_that_is_not_there_is_told(trino, days):
    target = "made.lacking"
    trino.ask(f"CREATE SCHEMA {target}")
    create, check, *_ = printed(target, days)
    trino.ask(create)
    date = trino.ask(f"SELECT max(snapshot_date) FROM {DATABASE}.pack_compliance WHERE aggregator = 'far'").rows[0][0]
    without = check.replace(f"{DATABASE}.pack_compliance UNION", f"{DATABASE}.pack_compliance WHERE snapshot_date <> DATE '{date}' UNION")
    assert [row[:2] for row in trino.ask(without).rows] == [("far", date)]
