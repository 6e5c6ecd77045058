"""The same night in a folder and on moto's S3, seen from outside."""

import pathlib
import re
import subprocess

import boto3

from conftest import COMPLINE, TABLES

PIPELINE = pathlib.Path(__file__, "../../../pipelines/demo/pipeline.toml").resolve().read_text()
DAYS = ["2026-02-27", "2026-02-28", "2026-03-01"]


def run(folder, text, day):
    file = folder / "pipeline.toml"
    file.write_text(text)
    subprocess.run([COMPLINE, "run", file, "--date", day], check=True, timeout=120, stdout=subprocess.DEVNULL, cwd=folder)


def test_the_same_nights_on_moto_have_the_same_data_byte_for_byte(simulator, moto_server, tmp_path):
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    client.create_bucket(Bucket="history")
    pipeline = PIPELINE.replace("http://127.0.0.1:4599", simulator.url)
    on_s3 = pipeline.replace(
        'url = "lake"', f'url = "s3://history/a"\nregion = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true'
    )
    assert on_s3 != pipeline != PIPELINE
    for day in DAYS:
        run(tmp_path, pipeline, day)
        run(tmp_path, on_s3, day)

    pages = client.get_paginator("list_objects_v2").paginate(Bucket="history", Prefix="a/")
    keys = sorted(item["Key"].removeprefix("a/") for page in pages for item in page["Contents"])
    lake = tmp_path / "lake"
    files = sorted(str(path.relative_to(lake)) for path in lake.rglob("*") if path.is_file())
    # Each run has a document by its own id; nothing else of Compline's own is left.
    document = re.compile(r"_compline/runs/snapshot_date=[-0-9]{10}/[-0-9a-f]{36}\.json")
    documents, keys = [key for key in keys if document.fullmatch(key)], [key for key in keys if not document.fullmatch(key)]
    assert keys == [file for file in files if not document.fullmatch(file)]
    assert len(documents) == len(DAYS)
    assert len(keys) == len(TABLES) * len(DAYS) * 2, "a partition is one object, and nothing else is left"
    for key in keys:
        if key.split("/")[0] in ("pack_changes", "compliance_trends", "pack_status"):
            assert client.get_object(Bucket="history", Key=f"a/{key}")["Body"].read() == (lake / key).read_bytes(), key
    assert client.list_multipart_uploads(Bucket="history").get("Uploads", []) == []
