"""One history, three databases over it, and a Trino that has each as Athena would."""

import datetime
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import boto3
import duckdb
import pytest
import sqlglot

from trino import Trino

COMPLINE = os.environ["COMPLINE"]
TABLES = ["pack_compliance", "source_status", "pack_changes", "compliance_trends", "pack_status", "rule_compliance", "rule_changes",
          "rule_trends", "rule_status", "runs"]
VIEWS = ["latest_snapshot", "latest_posture", "accounts_worst_first", "trend_weekly", "trend_monthly", "open_regressions",
         "packs_vanished", "coverage", "time_to_remediate_monthly", "latest_rule_snapshot", "rules_worst_first",
         "rules_failing_longest", "why_regressed"]
MODES = ["projection", "registered", "both"]
# With projection an engine reads a table of both as a projected one, and without as a registered one: whole tables and views are asked
# once of each.
READ_MODES = ["projection", "registered"]
MONTHLY = ["pack_compliance", "compliance_trends"]
# A sixth more than the views of the last snapshot look back, so that it can be seen that they read no more.
DAYS = 38
# Days ago on which nobody ran.
GAPS = [3, 20]
# Days ago of which there are rules too, the oldest first: the first is older than the views of the last snapshot look back, and the
# second is compared with another snapshot than its packs.
RULE_DAYS = [35, 4, 3, 2, 1, 0]
ACCOUNTS = "24"

# No tool may find the tester's own account.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true", AWS_REGION="us-east-1")


@pytest.fixture(scope="session")
def moto_server():
    """S3 and Glue."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < deadline and process.poll() is None, "moto did not start"
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture(scope="session")
def trino(moto_server, tmp_path_factory):
    """Trino with Glue under the name that Athena has for it, and once more without projection, as other engines read it. What is made
    is in a folder: moto takes no statistics of what is written."""
    folder = tmp_path_factory.mktemp("trino")
    hive = {
        "connector.name": "hive", "hive.metastore": "glue", "hive.metastore.glue.region": "us-east-1",
        "hive.metastore.glue.endpoint-url": moto_server, "hive.metastore.glue.aws-access-key": "test",
        "hive.metastore.glue.aws-secret-key": "test", "fs.native-s3.enabled": "true", "s3.endpoint": moto_server, "s3.region": "us-east-1",
        "s3.path-style-access": "true", "s3.aws-access-key": "test", "s3.aws-secret-key": "test",
        # Moto has no statistics of partitions.
        "hive.table-statistics-enabled": "false", "hive.parquet.time-zone": "UTC",
        # A busy machine is no fault, and moto takes a hundred connections at once.
        "s3.socket-connect-timeout": "60s", "hive.split-loader-concurrency": "4",
        # Nothing changes but where a test says so: to ask again for each query is most of what moto would do.
        "hive.file-status-cache-tables": "*", "hive.file-status-cache-expire-time": "1h", "hive.metastore-cache-ttl": "1h",
        "fs.cache.enabled": "true", "fs.cache.max-sizes": "1GB",
    }

    def reads(projection):
        cache = tmp_path_factory.mktemp("cache")
        return {**hive, "hive.partition-projection-enabled": projection, "fs.cache.directories": cache}

    trino = Trino(folder, {
        "awsdatacatalog": reads("true"),
        "without_projection": reads("false"),
        "made": {"connector.name": "hive", "hive.metastore": "file", "hive.metastore.catalog.dir": "local:///metastore",
                 "fs.native-local.enabled": "true", "local.location": folder},
    })
    try:
        trino.wait()
        yield trino
    finally:
        trino.stop()


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    """The lake in a folder: the demo's days up to today, some with rules, but for two that nobody ran, with two tables in months."""
    folder = tmp_path_factory.mktemp("history")
    lake, file = folder / "lake", folder / "pipeline.toml"
    subprocess.run([COMPLINE, "demo", "--lake", lake, "--days", str(DAYS), "--accounts", ACCOUNTS], check=True, timeout=600, stdout=subprocess.DEVNULL)
    (folder / "told.json").write_text(json.dumps(collect_rules(file, lake)))
    file.write_text(pipeline(str(lake)))
    subprocess.run([COMPLINE, "maintain", file, "--apply"], check=True, timeout=300, stdout=subprocess.DEVNULL)
    for ago in GAPS:
        day = today() - datetime.timedelta(days=ago)
        for data in lake.glob(f"*/snapshot_date={day}/aggregator=org/data.parquet"):
            data.unlink()
    return lake


def collect_rules(file, lake):
    """Collects the rules of the demo's organization beside its packs. What the runs said of why packs regressed, by day and aggregator."""
    simulator = subprocess.Popen([COMPLINE, "simulate", "--port", "0", "--accounts", ACCOUNTS], stdout=subprocess.PIPE, text=True)
    try:
        url = simulator.stdout.readline().strip()
        file.write_text(pipeline(str(lake), of_each='datasets = ["packs", "rules"]') + f'[fetch]\nendpoint_url = "{url}/{{date}}"\n')
        told = []
        for ago in RULE_DAYS:
            day = str(today() - datetime.timedelta(days=ago))
            done = subprocess.run([COMPLINE, "run", file, "--date", day, "--json", "--quiet"], check=True, timeout=120, stdout=subprocess.PIPE)
            reports = json.loads(done.stdout)["aggregators"]
            told += [(day, report["aggregator"], report["regressed"]) for report in reports if report["dataset"] == "rules"]
        return told
    finally:
        simulator.terminate()
        simulator.wait(timeout=10)


@pytest.fixture(scope="session")
def told(history):
    """What the runs said of why packs regressed, of the days that the lake still has: by day and aggregator."""
    gaps = [str(today() - datetime.timedelta(days=ago)) for ago in GAPS]
    reports = json.loads((history.parent / "told.json").read_text())
    return {(day, aggregator): report for day, aggregator, report in reports if aggregator != "org" or day not in gaps}


def today():
    return datetime.datetime.now(datetime.UTC).date()


def pipeline(url, more="", of_each=""):
    compact = ", ".join(f'"{table}"' for table in MONTHLY)
    return f"""
        version = 1
        [lake]
        url = "{url}"
        {more}
        [[aggregator]]
        id = "org"
        name = "org-aggregator"
        region = "eu-west-1"
        {of_each}
        [[aggregator]]
        id = "security"
        name = "security-aggregator"
        region = "us-east-1"
        {of_each}
        [maintain]
        compact = [{compact}]
        """


@pytest.fixture(scope="session")
def databases(history, moto_server, tmp_path_factory):
    """The lake on S3, and a database of the catalog over it in each mode, named like the mode."""
    bucket = "history"
    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server)
    s3.create_bucket(Bucket=bucket)
    for path in history.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"lake/{path.relative_to(history)}")
    folder = tmp_path_factory.mktemp("databases")
    for mode in MODES:
        file = folder / f"{mode}.toml"
        s3_settings = f'region = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true\n'
        catalog = f'[catalog]\ndatabase = "{mode}"\npartitions = "{mode}"\nendpoint_url = "{moto_server}"\n'
        file.write_text(pipeline(f"s3://{bucket}/lake", s3_settings) + catalog)
        subprocess.run([COMPLINE, "catalog", file], check=True, timeout=300)
    return boto3.client("glue", region_name="us-east-1", endpoint_url=moto_server)


@pytest.fixture(scope="session")
def duck(history):
    """The same lake in DuckDB, with the same views."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute("CREATE SCHEMA compline")
    for table in [*TABLES, *(f"{table}_monthly" for table in MONTHLY)]:
        period = "snapshot_month" if table.endswith("_monthly") else "snapshot_date"
        kind = "VARCHAR" if table.endswith("_monthly") else "DATE"
        database.execute(f"""CREATE TABLE compline.{table} AS SELECT * REPLACE (CAST({period} AS {kind}) AS {period})
            FROM read_parquet('{history}/{table}/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false)""")
        for column, kind, *_ in database.sql(f"DESCRIBE compline.{table}").fetchall():
            # Trino has them in UTC and without a zone.
            if kind == "TIMESTAMP WITH TIME ZONE":
                database.execute(f"ALTER TABLE compline.{table} ALTER {column} TYPE TIMESTAMP USING {column} AT TIME ZONE 'UTC'")
    views = pathlib.Path(__file__, "../../../pipelines/nightly/athena/views.sql").resolve().read_text()
    for view in sqlglot.parse(views, read="trino"):
        # Trino's max_by gives a null that stands at the maximum; DuckDB has another function for that.
        database.execute(view.sql(dialect="duckdb").replace("ARG_MAX(", "ARG_MAX_NULL("))
    return database
