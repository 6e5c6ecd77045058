"""The trend tables of `pipelines/spark/recompute.py`, on a real Spark, against those of `compline`: every cell of every file."""

import datetime
import importlib.util
import json
import pathlib
import random
import shutil
import subprocess

import boto3
import pyarrow.parquet as pq
import pytest

from conftest import COMPLINE, pipeline_text
from test_trends import item

TABLES = ["pack_changes", "compliance_trends", "pack_status"]
FILE = pathlib.Path(__file__, "../../../pipelines/spark/recompute.py").resolve()
SEED = 15

# Days near each other and far: within each window, beyond it, and after a pack is forgotten.
STEPS = [1, 1, 1, 1, 2, 3, 6, 7, 8, 14, 29, 30, 31, 59, 60, 89, 90, 91, 179, 180, 400, 401, 402]
TYPES = ["COMPLIANT", "COMPLIANT", "NON_COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NEW", "", None]
COUNTS = [None, 0, 1, 2, 3, -1, 2**31 - 1]
NAMES = ["a", "b", "é", "OrgConformsPack-b-ab12cd34", "OrgConformsPack-b-zz99yy88"]
# What else the aggregator is asked: nothing else, another population, or one that depends on the answer.
FILTERS = ["", "", "", "", '[aggregator.exclude]\nconformance_pack_name = "nothing-*"', '[[aggregator.filter]]\ncompliance_type = "NON_COMPLIANT"']
HISTORIES = 6


@pytest.fixture(scope="module")
def job(spark):
    specification = importlib.util.spec_from_file_location("recompute", FILE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


def compline(*arguments):
    done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return done.stdout


def pipeline(folder, aggregators, more=""):
    file = folder / f"{'-'.join(aggregators)}.toml"
    each = "".join(f'[[aggregator]]\nid = "{id}"\nname = "{id}"\nregion = "eu-west-1"\n{more}\n' for id in aggregators)
    file.write_text(f'version = 1\n[lake]\nurl = "{folder}/lake"\n{each}')
    return file


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    """A lake with a history of each of some aggregators: gaps, packs that come and go, filters that change, days without a pack,
    in whatever order they came."""
    folder, chance = tmp_path_factory.mktemp("histories"), random.Random(SEED)
    ids = [f"h{number}" for number in range(HISTORIES)]
    packs = [(account, region, name) for account in ("000000000001", "012345678910") for region in ("eu-west-1", "us-east-1") for name in NAMES]
    for number, id in enumerate(ids):
        date, dates = datetime.date(2019, 1, 1), []
        for _ in range(chance.randint(5, 14)):
            date += datetime.timedelta(chance.choice(STEPS[:9] if number % 2 else STEPS))
            dates.append(date)
        for date in chance.sample(dates, len(dates)):
            there = chance.sample(packs, chance.choice([0, 1, 5, 12, len(packs)]))
            counts = lambda: chance.choice([None, [chance.choice(COUNTS) for _ in range(3)]])
            items = [item({"account": account, "region": region, "name": name, "type": chance.choice(TYPES), "counts": counts()})
                     for account, region, name in there]
            (folder / "day.json").write_text(json.dumps({"AggregateComplianceByConformancePacks": items}))
            more = chance.choice(FILTERS) if number > 3 else ""
            compline("import", pipeline(folder, [id], more), "--aggregator", id, "--date", str(date), folder / "day.json", "--accept")
    return folder / "lake", pipeline(folder, ids)


def files(lake):
    return {str(path.relative_to(lake)): path for table in TABLES for path in pathlib.Path(lake).glob(f"{table}/*/*/*")}


def assert_same(stored, computed, only=lambda path: True):
    """Every file has the same rows in the same order, the same types, and says the same of itself. Doubles are equal to the last bit."""
    stored, computed = {path: file for path, file in files(stored).items() if only(path)}, files(computed)
    assert set(stored) == set(computed) and stored
    for path in stored:
        one, other = pq.ParquetFile(stored[path]), pq.ParquetFile(computed[path])
        assert one.schema_arrow.equals(other.schema_arrow) and said(one) == said(other), path
        one, other = one.read(), other.read()
        differing = [name for name in one.column_names if not one[name].equals(other[name])]
        assert one.num_rows == other.num_rows and not differing, (path, [(name, one[name], other[name]) for name in differing[:2]])


def said(file):
    """What the footer of a file says of it; of its checksum only that there is one, since the bytes of Spark are others."""
    said = dict(file.metadata.metadata)
    assert len(said.pop(b"compline.crc32")) == 8
    return said


def with_tables_of(lake, computed, folder):
    """A copy of a lake with other trend tables."""
    copy = folder / "copy"
    shutil.copytree(lake, copy)
    for table in TABLES:
        shutil.rmtree(copy / table)
        shutil.copytree(computed / table, copy / table)
    return copy


def test_nights_of_two_weeks_have_the_tables_of_compline_and_verify_takes_them(job, tmp_path):
    lake = tmp_path / "lake"
    compline("demo", "--lake", lake, "--days", "14", "--accounts", "40")
    job("--lake", lake, "--out", tmp_path / "out")
    assert_same(lake, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir() if any(path.rglob("*.parquet"))} == set(TABLES)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "data.parquet"] == []
    (tmp_path / "pipeline.toml").write_text(pipeline_text(lake))
    copy = with_tables_of(lake, tmp_path / "out", tmp_path)
    assert "OK: no problems found" in compline("verify", tmp_path / "pipeline.toml", "--lake", copy)


@pytest.fixture(scope="module")
def computed(job, histories, tmp_path_factory):
    out = tmp_path_factory.mktemp("computed") / "out"
    job("--lake", histories[0], "--out", out)
    return out


def test_whatever_the_history_and_its_filters_the_tables_are_those_of_compline(histories, computed, tmp_path):
    lake, file = histories
    assert_same(lake, computed)
    changes = {change for path in lake.glob("pack_changes/*/*/*") for change in pq.ParquetFile(path).read(["change"])["change"].to_pylist()}
    assert changes == {"added", "removed", "reappeared", "regressed", "remediated", "changed"}
    with_facts, with_trends = (len(list(lake.glob(f"{table}/*/*/*"))) for table in ("pack_compliance", "compliance_trends"))
    assert with_trends < with_facts, "some days are facts only"
    assert any(pq.read_metadata(path).num_rows == 0 for path in lake.glob("pack_compliance/*/*/*")), "some have no pack"
    assert "OK: no problems found" in compline("verify", file, "--lake", with_tables_of(lake, computed, tmp_path))


def test_a_range_of_days_of_some_aggregators_is_replaced_in_place(job, histories, tmp_path):
    lake, file = histories
    copy = tmp_path / "copy"
    shutil.copytree(lake, copy)
    dates = sorted(path.parent.parent.name.split("=")[1] for path in lake.glob("compliance_trends/*/aggregator=h[13]/*"))
    first, last = dates[len(dates) // 3], dates[-2]
    chosen = lambda path: path.split("/")[2] in ("aggregator=h1", "aggregator=h3") and first <= path.split("/")[1].split("=")[1] <= last
    removed = [path for name, path in files(copy).items() if chosen(name)]
    for path in removed:
        path.unlink()
    job("--lake", copy, "--in-place", "--from", first, "--to", last, "--aggregator", "h1", "--aggregator", "h3")
    assert removed and all(path.exists() for path in removed)
    assert_same(lake, copy)
    assert not [path for path in copy.rglob("*") if "_recompute" in str(path) and path.is_file()]
    assert "OK: no problems found" in compline("verify", file, "--lake", copy)


def test_days_whose_own_files_were_dropped_are_read_from_their_months(job, histories, computed, tmp_path):
    lake, file = histories
    copy, maintain = tmp_path / "copy", tmp_path / "maintain.toml"
    shutil.copytree(lake, copy)
    maintain.write_text(file.read_text() + '[maintain]\ncompact = ["pack_compliance", "source_status"]\nsnapshot_days = 1000\n')
    compline("maintain", maintain, "--lake", copy, "--apply")
    left, there = (len(list(of.glob("pack_compliance/*/*/*"))) for of in (copy, lake))
    assert left < there and list(copy.glob("pack_compliance_monthly/*/*/*"))
    job("--lake", copy, "--out", tmp_path / "out")
    assert_same(lake, tmp_path / "out")


def test_what_cannot_be_computed_is_refused_and_nothing_is_written(job, histories, tmp_path, capsys):
    lake, _ = histories
    copy, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(lake, copy)

    def refused(*arguments):
        with pytest.raises(SystemExit) as why:
            job("--lake", copy, *arguments)
        assert not out.exists()
        return capsys.readouterr().err + str(why.value)

    assert "say where to" in refused()
    assert "--out is the lake itself" in refused("--out", copy)
    assert "has no snapshot of other: it has h0, h1" in refused("--out", out, "--aggregator", "other")
    assert "no snapshot in that range" in refused("--out", out, "--from", "2018-01-01", "--to", "2018-12-31")

    journal = copy / "_compline/journal/aggregator=h1/entry.json"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text("{}")
    assert "a run of h1 is going on, or was stopped" in refused("--out", out)
    journal.unlink()
    lease = copy / "_compline/lease/aggregator=h1.json"
    lease.write_text("{}")
    assert "a run of h1 is going on" in refused("--in-place")
    # Of a bucket: a lease that was released, and of one that denies deletes an entry that was emptied.
    lease.write_text('{"released": true}')
    journal.write_bytes(b"")
    assert "has no snapshot of other" in refused("--in-place", "--aggregator", "other")
    job("--lake", copy, "--in-place", "--aggregator", "h1")
    journal.unlink()
    lease.unlink()

    snapshot = sorted(copy.glob("pack_compliance/*/aggregator=h0/*"))[1]
    snapshot.rename(tmp_path / "snapshot")
    assert "is neither there nor in its month's file" in refused("--out", out, "--aggregator", "h0")
    other = next(path for path in copy.glob("pack_compliance/*/*/*") if pq.read_metadata(path).num_rows != pq.read_metadata(tmp_path / "snapshot").num_rows)
    shutil.copy(other, snapshot)
    assert "rows, and the ledger says that" in refused("--out", out, "--aggregator", "h0")
    shutil.copy(tmp_path / "snapshot", snapshot)
    (copy / "runs" / snapshot.parent.parent.name / "aggregator=h0/data.parquet").unlink()
    assert "`compline verify FILE --repair` makes it again" in refused("--out", out, "--aggregator", "h0")


def test_a_lake_on_s3_is_computed_there(job, histories, moto_server, tmp_path):
    lake, _ = histories
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    client.create_bucket(Bucket="recompute")
    of_one = lambda path: "aggregator=h2" in str(path)
    for path in lake.rglob("*"):
        if path.is_file() and of_one(path):
            client.upload_file(str(path), "recompute", f"lake/{path.relative_to(lake)}")
    job("--lake", "s3a://recompute/lake", "--out", "s3a://recompute/out", "--aggregator", "h2")
    keys = [found["Key"] for found in client.list_objects_v2(Bucket="recompute", Prefix="out/")["Contents"]]
    for key in (key for key in keys if key.endswith(".parquet")):
        file = tmp_path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file("recompute", key, str(file))
    assert all(key.endswith(("/data.parquet", "/")) for key in keys), keys
    assert_same(lake, tmp_path / "out", of_one)
