"""What other people's tools are pointed at: the demo's lake, and a simulator."""

import datetime
import fcntl
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import boto3
import duckdb
import duckdb_extension_httpfs
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pyspark.sql import SparkSession

import spark_jars

COMPLINE = os.environ["COMPLINE"]
PACK_TABLES = ["pack_compliance", "source_status", "pack_changes", "compliance_trends", "pack_status"]
RULE_TABLES = ["rule_compliance", "rule_changes", "rule_trends", "rule_status"]
TABLES = [*PACK_TABLES, *RULE_TABLES, "runs"]
# What a lake has whose aggregators are asked for packs alone.
WITHOUT_RULES = [*PACK_TABLES, "runs"]

# No tool may find the tester's own account.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("a test that is skipped is a promise that nobody checks: this run has failed")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped"):
        session.exitstatus = 1


@pytest.fixture(scope="session")
def lake(tmp_path_factory) -> pathlib.Path:
    """The lake of the demo, and the rules of four days of its org: of all workers, who read it alone."""
    def make(folder):
        subprocess.run([COMPLINE, "demo", "--lake", folder / "lake"], check=True, timeout=300, stdout=subprocess.DEVNULL)
        import_rules(folder)

    return made_once(tmp_path_factory, "demo", make) / "lake"


def made_once(tmp_path_factory, name, make):
    """A folder that the first of a run's workers fills who asks for it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


# The types of rules on the first, third and last of the days that are imported; of the second there is no rule.
RULES = {
    "restricted-ssh-conformance-pack-ab12cd34e": ("COMPLIANT", "COMPLIANT", "NON_COMPLIANT"),
    "required-tags-conformance-pack-ab12cd34e": ("NON_COMPLIANT", "NON_COMPLIANT", "COMPLIANT"),
    "OrgConfigRule-restricted-ssh-ab12cd34": ("NON_COMPLIANT", "COMPLIANT", "gone"),
    "securityhub-vpc-flow-logs-enabled-1a2b3c4d": ("gone", "gone", "NON_COMPLIANT"),
    "s3-bucket-versioning-enabled": ("NOT_APPLICABLE", "NOT_APPLICABLE", "COMPLIANT"),
    "lambda-inside-vpc": ("INSUFFICIENT_DATA", "INSUFFICIENT_DATA", "INSUFFICIENT_DATA"),
    "iam-policy-in-use": ("COMPLIANT", "NEW_TYPE", "NEW_TYPE"),
    "Root account has MFA": ("COMPLIANT", None, "COMPLIANT"),
}


def rule_item(account, region, name, kind, contributors=None):
    """A rule as AWS Config lists it, with as many contributors as it counts, and whether there are more; without a type where that is none."""
    compliance = {} if kind is None else {"ComplianceType": kind}
    if contributors:
        compliance["ComplianceContributorCount"] = dict(zip(("CappedCount", "CapExceeded"), contributors, strict=True))
    return {"AccountId": account, "AwsRegion": region, "ConfigRuleName": name, "Compliance": compliance}


def import_rules(folder):
    """Adds the rules of four days to the lake in a folder: not in their order, the second without a rule, and the third again, with other answers."""
    places = [(account, region) for account in ("000000000001", "012345678910", "444455556666") for region in ("eu-west-1", "us-east-1")]
    newest = datetime.date.fromisoformat(max((folder / "lake/pack_compliance").iterdir()).name.partition("=")[2])
    items = lambda at: [rule_item(account, region, name, types[at], (100, True) if types[at] == "NON_COMPLIANT" else None)
                        for account, region in places for name, types in RULES.items() if types[at] != "gone"]
    (folder / "rules.toml").write_text(pipeline_text(folder / "lake", rules=True))
    for ago, rules in ((12, items(0)), (1, items(2)), (6, items(0)[:9]), (9, []), (6, items(1))):
        (folder / "rules.json").write_text(json.dumps({"AggregateComplianceByConfigRules": rules}))
        command = [COMPLINE, "import", folder / "rules.toml", "--aggregator", "org", "--dataset", "rules", "--date", str(newest - datetime.timedelta(ago)),
                   folder / "rules.json", "--replace", "--accept"]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)


def duckdb_with_httpfs():
    """DuckDB that reads over HTTP and from S3: its extension comes as a package, and is loaded from there."""
    extension = next(pathlib.Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))
    database = duckdb.connect()
    database.execute(f"LOAD '{extension}'")
    return database


class Simulator:
    def __init__(self, *arguments):
        command = [COMPLINE, "simulate", "--port", "0", "--date", "2026-03-01", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def client(self, region="eu-west-1"):
        return boto3.client("config", region_name=region, endpoint_url=self.url, config=Config(retries={"max_attempts": 0}))

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


def listed(client, operation, name="org-aggregator", **arguments):
    """Every item of an aggregator's list, by boto3's own paginator of the operation: what it lists is the first of its results."""
    paginator = client.get_paginator(operation)
    pages = paginator.paginate(ConfigurationAggregatorName=name, **arguments)
    return [item for page in pages for item in page[paginator.result_keys[0].expression]]


def every_filter_gives_what_it_says(everything, examples, names, filtered):
    """Whether the items that fit a filter of an example's values are those that are given for it."""
    def value(item, name):
        return item["Compliance"]["ComplianceType"] if name == "ComplianceType" else item[name]

    for example in examples:
        filters = {name: value(example, name) for name in names}
        expected = [item for item in everything if all(value(item, name) == filters[name] for name in names)]
        assert filtered(filters) == expected != []


def overlap_and_agree(everything, other, key):
    """Whether two aggregators have some items in common, and say the same of them."""
    ours = {key(item): item for item in everything}
    both = [item for item in other if key(item) in ours]
    assert 0 < len(both) < len(other)
    assert all(ours[key(item)] == item for item in both)


def comes_with_its_code_in_both_places(call, code):
    """Whether a call is refused with a code in the body and in the header."""
    with pytest.raises(ClientError) as raised:
        call()
    metadata = raised.value.response["ResponseMetadata"]
    assert raised.value.response["Error"]["Code"] == code == metadata["HTTPHeaders"]["x-amzn-errortype"]
    assert metadata["HTTPStatusCode"] == 400


@pytest.fixture(scope="session")
def simulator():
    simulator = Simulator("--accounts", "40")
    yield simulator
    simulator.stop()


@pytest.fixture(scope="session")
def small_simulator():
    """One whose rules are thousands and not tens of thousands, for tests that read them all more than once."""
    simulator = Simulator("--accounts", "12")
    yield simulator
    simulator.stop()


@pytest.fixture(scope="session")
def nights_of_rules(small_simulator, tmp_path_factory):
    """A lake whose nights asked both aggregators for rules as well, one of them missed and filled in."""
    folder = tmp_path_factory.mktemp("rules")
    more = f'[fetch]\nendpoint_url = "{small_simulator.url}/{{date}}"'
    (folder / "pipeline.toml").write_text(pipeline_text(folder / "lake", more=more, rules=True))
    for day in ("2026-02-20", "2026-03-01", "2026-02-28"):
        subprocess.run([COMPLINE, "run", folder / "pipeline.toml", "--date", day], check=True, timeout=120, stdout=subprocess.DEVNULL)
    return folder / "lake"


def pipeline_text(lake, of_lake="", more="", rules=False):
    """A pipeline file over both aggregators of the simulator, with more lines in `[lake]`, and after the aggregators; with their rules or without."""
    text = f"""version = 1
[lake]
url = "{lake}"
{of_lake}
[[aggregator]]
id = "org"
name = "org-aggregator"
region = "eu-west-1"
[[aggregator]]
id = "security"
name = "security-aggregator"
region = "us-east-1"
{more}
"""
    return with_rules(text) if rules else text


def with_rules(pipeline):
    """A pipeline file whose aggregators are asked for their rules too."""
    return pipeline.replace("[[aggregator]]\n", '[[aggregator]]\ndatasets = ["packs", "rules"]\n')


@pytest.fixture
def faulty_simulator():
    """Makes simulators with faults."""
    made = []

    def make(*faults):
        arguments = [argument for fault in faults for argument in ("--fault", fault)]
        made.append(Simulator("--accounts", "40", *arguments))
        return made[-1]

    yield make
    for simulator in made:
        simulator.stop()


@pytest.fixture(scope="session")
def spark(moto_server):
    """Spark, with Hadoop's way to S3 beside it; `s3a://` is moto."""
    options = {
        "spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "2",
        # As in tests/trino/trino.py.
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.jars": spark_jars.fetched(),
        "spark.hadoop.fs.s3a.endpoint": moto_server, "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true", "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.access.key": "test", "spark.hadoop.fs.s3a.secret.key": "test",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def moto_server():
    """An S3 server that nobody here wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < deadline and process.poll() is None, "moto_server did not start"
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)
