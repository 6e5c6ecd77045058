"""`check` and `run` with STS and S3 of a server that nobody here wrote, and `import` of what boto3 and the AWS CLI give."""

import gzip
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pyarrow.parquet as parquet
import pytest

from conftest import COMPLINE

ORG = "org-aggregator"


def pipeline(folder, lake, simulator, *more):
    path = folder / "pipeline.toml"
    path.write_text("\n".join([
        "version = 1", "[lake]", *lake, "[[aggregator]]", 'id = "org"', f'name = "{ORG}"', 'region = "eu-west-1"', *more,
        "[fetch]", f'endpoint_url = "{simulator.url}"',
    ]))
    return path


def compline(*arguments, code=0, **environment):
    done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})
    assert done.returncode == code, done
    return done.stdout


def test_check_says_who_asks_as_its_own_identity_and_as_a_role(tmp_path, simulator, moto_server):
    s3 = boto3.client("s3", endpoint_url=moto_server, region_name="us-east-1")
    s3.create_bucket(Bucket="checked")
    lake = ['url = "s3://checked/compline"', 'region = "us-east-1"', f'endpoint_url = "{moto_server}"', "path_style = true"]
    role = 'role_arn = "arn:aws:iam::123456789012:role/compline-reader"'
    for more, arn in (([], ":user/"), ([role], ":assumed-role/compline-reader/compline")):
        text = compline("check", pipeline(tmp_path, lake, simulator, *more), AWS_ENDPOINT_URL_STS=moto_server)
        assert arn in text and "✗" not in text, text
    assert "Contents" not in s3.list_objects_v2(Bucket="checked")
    text = compline("check", pipeline(tmp_path, [line.replace("checked", "nowhere") for line in lake], simulator),
                    code=1, AWS_ENDPOINT_URL_STS=moto_server)
    assert "✗ lake: put" in text and "NoSuchBucket" in text, text


@pytest.fixture
def pod_identity():
    """The agent that gives a Kubernetes pod its credentials, against the pod's token."""
    class Agent(BaseHTTPRequestHandler):
        def do_GET(self):
            there = self.headers["Authorization"] == "pod-token"
            body = json.dumps({"AccessKeyId": "ASIAPOD", "SecretAccessKey": "s", "Token": "t",
                               "Expiration": "2099-01-01T00:00:00Z"}).encode()
            self.send_response(200 if there else 403)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/credentials"
    server.shutdown()


def test_credentials_come_from_where_the_cli_has_them_from(tmp_path, simulator, moto_server, pod_identity):
    (tmp_path / "token").write_text("pod-token")
    (tmp_path / "credentials").write_text("[night]\naws_access_key_id = AKIANIGHT\naws_secret_access_key = s\n")
    (tmp_path / "config").write_text(
        "[profile people]\nsso_session = x\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session x]\nsso_region = eu-west-1\nsso_start_url = https://x.awsapps.com/start\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    irsa = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_SESSION_NAME": "pod",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/irsa"}
    pod = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": pod_identity, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")}
    file = pipeline(tmp_path, [f'url = "{tmp_path}/lake"'], simulator)
    for source, code, found in (
        ({**files, "AWS_PROFILE": "night"}, 0, ":user/"),
        (irsa, 0, ":assumed-role/irsa/pod"),
        (pod, 0, ":user/"),
        # Nobody is signed in, and there is no way to be here: that it is looked for is what can be seen.
        ({**files, "AWS_PROFILE": "people"}, 1, "failed to load the cached SSO token"),
    ):
        nobody = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = {**nobody, "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_STS": moto_server,
                       "HOME": str(tmp_path), **source}
        done = subprocess.run([COMPLINE, "check", file], capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == code and found in done.stdout, (source, done)


@pytest.fixture(scope="module")
def pages(simulator):
    paginator = simulator.client().get_paginator("describe_aggregate_compliance_by_conformance_packs")
    return list(paginator.paginate(ConfigurationAggregatorName=ORG, PaginationConfig={"PageSize": 30}))


def forms(pages):
    items = [item for page in pages for item in page["AggregateComplianceByConformancePacks"]]
    one = json.dumps({"AggregateComplianceByConformancePacks": items}, indent=4)
    yield "the AWS CLI's output", {"a.json": one.encode()}
    yield "the same, gzip", {"a.json.gz": gzip.compress(one.encode())}
    yield "a page a file", {f"page{n}.json": json.dumps(page).encode() for n, page in enumerate(pages)}
    yield "a list of pages", {"a.json": json.dumps(pages).encode()}
    yield "a page a line", {"a.jsonl": "\n".join(map(json.dumps, pages)).encode()}
    yield "an item a line", {"a.jsonl": "\n".join(map(json.dumps, items)).encode()}


def test_import_takes_what_boto3_and_the_cli_give_and_has_the_same_set(tmp_path, simulator, pages):
    expected = {(item["AccountId"], item["AwsRegion"], item["ConformancePackName"], item["Compliance"]["ComplianceType"])
                for page in pages for item in page["AggregateComplianceByConformancePacks"]}
    assert len(expected) > 500
    for number, (form, files) in enumerate(forms(pages)):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = [folder / name for name in files]
        for path in paths:
            path.write_bytes(files[path.name])
        file = pipeline(folder, [f'url = "{folder}/lake"'], simulator)
        pages = ["--pages"] if len(paths) > 1 else []
        compline("import", file, "--aggregator", "org", "--date", "2026-03-01", *pages, *paths)
        table = parquet.read_table(folder / "lake/pack_compliance/snapshot_date=2026-03-01/aggregator=org/data.parquet")
        columns = ["account_id", "aws_region", "conformance_pack_name", "compliance_type"]
        rows = list(zip(*(table[name].to_pylist() for name in columns)))
        assert len(rows) == len(expected) and set(rows) == expected, form
