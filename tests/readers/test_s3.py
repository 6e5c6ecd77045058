"""The same night in a folder and on moto's S3, seen from outside."""

import datetime
import pathlib
import re
import subprocess

import boto3
import pyarrow as pa
import pyarrow.compute
import pytest

from conftest import COMPLINE, TABLES, with_rules
from readers import Lake, in_duckdb, in_folder, in_polars, in_pyarrow, in_spark, rows, types

PIPELINE = pathlib.Path(__file__, "../../../pipelines/demo/pipeline.toml").resolve().read_text()
DAYS = ["2026-02-27", "2026-02-28", "2026-03-01"]


def run(folder, text, day):
    file = folder / "pipeline.toml"
    file.write_text(text)
    subprocess.run([COMPLINE, "run", file, "--date", day], check=True, timeout=120, stdout=subprocess.DEVNULL, cwd=folder)


@pytest.fixture(scope="module")
def both(small_simulator, moto_server, tmp_path_factory):
    """The same nights in a folder and on S3, and the folder."""
    folder = tmp_path_factory.mktemp("both")
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    client.create_bucket(Bucket="history")
    pipeline = with_rules(PIPELINE).replace("http://127.0.0.1:4599", small_simulator.url)
    on_s3 = pipeline.replace(
        'url = "lake"', f'url = "s3://history/a"\nregion = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true'
    )
    assert on_s3 != pipeline != PIPELINE
    for day in DAYS:
        run(folder, pipeline, day)
        run(folder, on_s3, day)
    return folder / "lake", Lake("history/a", moto_server)


def test_the_same_nights_on_moto_have_the_same_data_byte_for_byte(both, moto_server):
    lake, _ = both
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="history", Prefix="a/")
    keys = sorted(item["Key"].removeprefix("a/") for page in pages for item in page["Contents"])
    # A lease that was released stays as a small object that says so.
    leases, keys = [key for key in keys if "/lease/" in key], [key for key in keys if "/lease/" not in key]
    assert len(leases) == 2
    files = sorted(str(path.relative_to(lake)) for path in lake.rglob("*") if path.is_file())
    # Each run has a document by its own id, and each of its rows in the ledger; nothing else of Compline's own is left.
    document = re.compile(r"_compline/(runs|ledger(/dataset=rules)?)/snapshot_date=[-0-9]{10}(/aggregator=[a-z]+)?/[-0-9a-f]{36}\.json")
    documents, keys = [key for key in keys if document.fullmatch(key)], [key for key in keys if not document.fullmatch(key)]
    assert keys == [file for file in files if not document.fullmatch(file)]
    assert len(documents) == len(DAYS) * (1 + 4), "of each run, and of each aggregator's packs and rules"
    assert len(keys) == len(TABLES) * len(DAYS) * 2, "a partition is one object, and nothing else is left"
    # What the other tables have of the run that wrote them, as its times, differs.
    for key in keys:
        if key.split("/")[0].endswith(("_changes", "_trends", "_status")) and not key.startswith("source_status/"):
            assert client.get_object(Bucket="history", Key=f"a/{key}")["Body"].read() == (lake / key).read_bytes(), key
    assert client.list_multipart_uploads(Bucket="history").get("Uploads", []) == []


@pytest.mark.parametrize("table", TABLES)
def test_four_readers_see_the_same_rows_and_types_in_the_folder_and_on_s3(both, spark, table):
    folder, on_s3 = both
    for lake in (in_folder(folder), on_s3):
        read = [in_pyarrow(lake, table), in_duckdb(lake, table), in_polars(lake, table), in_spark(spark, lake, table)]
        assert types(read[0]) == types(read[1]) == types(read[2]) == types(read[3])
        assert rows(read[0]) == rows(read[1]) == rows(read[2]) == rows(read[3]) != []
        # Times are instants, days are days, and what is partitioned by is a column like others.
        assert read[0].schema.field("snapshot_date").type == pa.date32()
    assert types(in_pyarrow(in_folder(folder), table)) == types(read[0])


def test_zeros_nulls_and_days_without_an_event_are_what_they_are_on_s3(both, spark):
    _, lake = both
    for reader in (in_pyarrow, in_duckdb, in_polars, lambda lake, table: in_spark(spark, lake, table)):
        for item, of_trends in (("pack", "compliance_trends"), ("rule", "rule_trends")):
            facts, trends, changes = (reader(lake, table) for table in (f"{item}_compliance", of_trends, f"{item}_changes"))
            accounts = set(facts["account_id"].to_pylist())
            assert any(account.startswith("00000") for account in accounts) and {len(account) for account in accounts} == {12}
            # On the first day nothing is compared, and its file of events has no row.
            first = trends.filter(pa.compute.equal(trends["snapshot_date"], pa.scalar(datetime.date.fromisoformat(DAYS[0]))))
            assert first.num_rows == first[f"{item}s_added"].null_count > 0
            days = {str(day) for day in changes["snapshot_date"].to_pylist()}
            assert DAYS[0] not in days and days
        # Some rules have no contributor that AWS Config counts, which is null and not 0.
        contributors = reader(lake, "rule_compliance")["contributor_count"]
        assert 0 < contributors.null_count < len(contributors) and 0 in contributors.to_pylist()


def test_f15_a_file_in_an_archive_class_is_told_before_the_reading_and_costs_no_day(simulator, moto_server, tmp_path):
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    client.create_bucket(Bucket="archive")
    text = PIPELINE.replace("http://127.0.0.1:4599", simulator.url).replace(
        'url = "lake"', f'url = "s3://archive/a"\nregion = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true')
    run(tmp_path, text, DAYS[0])
    key = f"a/pack_status/snapshot_date={DAYS[0]}/aggregator=org/data.parquet"
    whole = client.get_object(Bucket="archive", Key=key)["Body"].read()
    client.put_object(Bucket="archive", Key=key, Body=whole, StorageClass="GLACIER")
    night = lambda day: subprocess.run([COMPLINE, "run", tmp_path / "pipeline.toml", "--date", day], capture_output=True, text=True,
                                       timeout=120, cwd=tmp_path)
    done = night(DAYS[1])
    assert done.returncode == 3 and "in an archive class: restore it" in done.stderr and key.removeprefix("a/") in done.stderr, done
    assert done.stderr.index("in an archive class") < done.stderr.index("planned"), "before it reads"
    assert "InvalidObjectState" in done.stdout and "restore-object" in done.stdout, done
    assert client.head_object(Bucket="archive", Key=f"a/pack_compliance/snapshot_date={DAYS[1]}/aggregator=org/data.parquet")
    client.put_object(Bucket="archive", Key=key, Body=whole)
    done = night(DAYS[1])
    assert done.returncode == 0 and "archive class" not in done.stderr, done
