"""The lake in a Glue catalog that nobody here wrote (moto's), read with boto3."""

import json
import subprocess

import boto3
import pytest
import sqlglot

from conftest import COMPLINE, TABLES

DAYS = ["2026-02-27", "2026-02-28", "2026-03-01"]


class Scene:
    """A pipeline with a lake and a catalog of its own on moto."""

    def __init__(self, folder, simulator, moto_server, name, catalog="", more=""):
        self.folder, self.name = folder, name
        options = dict(region_name="us-east-1", endpoint_url=moto_server)
        self.s3, self.glue = boto3.client("s3", **options), boto3.client("glue", **options)
        self.s3.create_bucket(Bucket=name)
        self.file = folder / "pipeline.toml"
        self.text = f"""
            version = 1
            [lake]
            url = "s3://{name}/compline"
            region = "us-east-1"
            endpoint_url = "{moto_server}"
            path_style = true
            [[aggregator]]
            id = "org"
            name = "org-aggregator"
            region = "eu-west-1"
            [[aggregator]]
            id = "security"
            name = "security-aggregator"
            region = "us-east-1"
            [fetch]
            endpoint_url = "{simulator.url}/{{date}}"
            [catalog]
            database = "{name}"
            endpoint_url = "{moto_server}"
            {catalog}
            {more}
            """
        self.file.write_text(self.text)

    def compline(self, *arguments, code=0):
        done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=120, cwd=self.folder)
        assert done.returncode == code, done
        return done.stdout

    def catalog(self, *arguments):
        return self.compline("catalog", self.file, *arguments).splitlines()

    def night(self, day, code=0):
        return self.compline("run", self.file, "--date", day, code=code)

    def table(self, name):
        return self.glue.get_table(DatabaseName=self.name, Name=name)["Table"]

    def tables(self):
        return {table["Name"]: table for table in self.glue.get_tables(DatabaseName=self.name)["TableList"]}

    def partitions(self, table):
        found = self.glue.get_partitions(DatabaseName=self.name, TableName=table)["Partitions"]
        return {tuple(partition["Values"]): partition["StorageDescriptor"] for partition in found}


@pytest.fixture
def scene(tmp_path, simulator, moto_server, request):
    name = "".join(letter for letter in request.node.name.lower() if letter.isalnum())[:60]
    return lambda catalog="", more="": Scene(tmp_path, simulator, moto_server, name, catalog, more)


def test_a_dry_run_says_what_is_missing_and_makes_nothing(scene):
    scene = scene()
    first, *tables = scene.catalog("--dry-run")
    assert first == "would create the database"
    assert sorted(tables) == sorted(f"would create the table {table}" for table in TABLES)
    assert scene.name not in [database["Name"] for database in scene.glue.get_databases()["DatabaseList"]]


def test_the_tables_have_the_columns_comments_and_projection_of_the_schema(scene):
    scene = scene()
    scene.catalog()
    assert scene.catalog() == ["the catalog is as it must be"]
    tables = scene.tables()
    assert set(tables) == set(TABLES)
    # What `compline athena` prints is another way to the same tables.
    sql = scene.compline("athena", scene.file)
    printed = [sqlglot.parse_one(text, read="hive") for text in sql.split(";\n") if "EXTERNAL TABLE" in text]
    printed = {statement.this.this.name: statement for statement in printed}
    types = {"TEXT": "string", "INT": "int", "BIGINT": "bigint", "DOUBLE": "double", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "timestamp"}
    for name, table in tables.items():
        files = table["StorageDescriptor"]
        columns = [(column.name, types[column.kind.this.name]) for column in printed[name].this.expressions
                   if column.name not in ("snapshot_date", "aggregator")]
        assert [(column["Name"], column["Type"]) for column in files["Columns"]] == columns
        assert all(0 < len(column["Comment"]) <= 255 for column in files["Columns"]) and table["Description"]
        assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("snapshot_date", "date"), ("aggregator", "string")]
        location = f"s3://{scene.name}/compline/{name}/"
        assert files["Location"] == location and files["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")
        parameters = table["Parameters"]
        assert table["TableType"] == "EXTERNAL_TABLE" and parameters["classification"] == "parquet"
        assert parameters["projection.enabled"] == "true" and parameters["projection.aggregator.values"] == "org,security"
        assert parameters["projection.snapshot_date.range"] == "2020-01-01,NOW"
        assert parameters["storage.location.template"] == location + "snapshot_date=${snapshot_date}/aggregator=${aggregator}/"


def test_only_what_differs_is_changed_and_what_others_added_stays(scene):
    scene = scene()
    scene.catalog()
    before = scene.tables()
    table = scene.table("runs")
    kept = ("Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    changed = {key: table[key] for key in kept if key in table}
    changed["Owner"] = "governance"
    changed["Parameters"] = {**table["Parameters"], "team": "audit", "projection.aggregator.values": "org"}
    columns = [column for column in table["StorageDescriptor"]["Columns"] if column["Name"] != "rows"]
    columns[0] = {**columns[0], "Comment": "something else"}
    changed["StorageDescriptor"] = {**table["StorageDescriptor"], "Columns": [*columns, {"Name": "theirs", "Type": "string"}]}
    scene.glue.update_table(DatabaseName=scene.name, TableInput=changed)
    expected = "update the table runs: column run_id has another comment, column rows is not there, projection.aggregator.values"
    assert scene.catalog("--dry-run") == [f"would {expected}"]
    assert scene.catalog() == [expected]
    after = scene.tables()
    right, now = before["runs"], after["runs"]
    assert now["Owner"] == "governance" and now["Parameters"] == {**right["Parameters"], "team": "audit"}
    assert now["StorageDescriptor"]["Columns"] == [*right["StorageDescriptor"]["Columns"], {"Name": "theirs", "Type": "string"}]
    for name in TABLES:
        if name != "runs":
            assert after[name] == before[name], "untouched"
    assert scene.catalog() == ["the catalog is as it must be"]


def test_a_new_aggregator_is_projected_after_the_next_night(scene):
    scene = scene()
    scene.night(DAYS[0])
    assert set(scene.tables()) == set(TABLES), "a night makes them"
    scene.file.write_text(scene.text.replace("[fetch]", '[[aggregator]]\nid = "third"\nname = "org-aggregator"\nregion = "eu-west-1"\n[fetch]'))
    scene.night(DAYS[1])
    assert {table["Parameters"]["projection.aggregator.values"] for table in scene.tables().values()} == {"org,security,third"}


def test_registered_partitions_are_those_of_the_lake_and_each_night_adds_its_own(scene):
    scene = scene('partitions = "registered"')
    for day in DAYS:
        scene.night(day)
    expected = {(day, aggregator) for day in DAYS for aggregator in ("org", "security")}
    for table in TABLES:
        partitions = scene.partitions(table)
        assert set(partitions) == expected
        for (day, aggregator), files in partitions.items():
            assert files["Location"] == f"s3://{scene.name}/compline/{table}/snapshot_date={day}/aggregator={aggregator}/"
            assert [column["Name"] for column in files["Columns"]] == [column["Name"] for column in scene.table(table)["StorageDescriptor"]["Columns"]]
        assert scene.table(table)["Parameters"]["projection.enabled"] == "false"
    scene.night(DAYS[1])
    assert scene.catalog() == ["the catalog is as it must be"]
    scene.glue.delete_partition(DatabaseName=scene.name, TableName="runs", PartitionValues=[DAYS[0], "org"])
    assert scene.catalog("--dry-run") == [f"would add 1 partition to runs, {DAYS[0]}/org first"]
    scene.catalog()
    assert set(scene.partitions("runs")) == expected


def test_months_are_tables_of_their_own(scene):
    scene = scene(more='[maintain]\ncompact = ["pack_compliance"]')
    for day in DAYS:
        scene.night(day)
    scene.compline("maintain", scene.file, "--apply")
    table = scene.table("pack_compliance_monthly")
    assert [key["Name"] for key in table["PartitionKeys"]] == ["snapshot_month", "aggregator"]
    assert table["StorageDescriptor"]["Columns"][0]["Name"] == "snapshot_date"
    assert table["Parameters"]["projection.snapshot_month.format"] == "yyyy-MM"
    assert table["Parameters"]["projection.snapshot_month.interval.unit"] == "MONTHS"
    keys = [item["Key"] for item in scene.s3.list_objects_v2(Bucket=scene.name, Prefix="compline/pack_compliance_monthly/")["Contents"]]
    assert keys == [f"compline/pack_compliance_monthly/snapshot_month={month}/aggregator={aggregator}/data.parquet"
                    for month in ("2026-02", "2026-03") for aggregator in ("org", "security")]


def test_a_catalog_that_cannot_be_reached_leaves_the_day_kept_and_says_so(scene):
    scene = scene()
    scene.file.write_text(scene.text.replace(f'database = "{scene.name}"\n            endpoint_url = "', f'database = "{scene.name}"\n            endpoint_url = "http://127.0.0.1:9/#'))
    said = scene.night(DAYS[0], code=3)
    assert "the day is kept, but the catalog does not know of it: cannot read the database" in said
    assert "`compline catalog FILE` makes it good" in said
    lines = [json.loads(line) for line in scene.compline("history", scene.file, "--json").splitlines()]
    assert {line["outcome"] for line in lines} == {"succeeded"} and all("catalog" in line["error"] for line in lines)
    assert scene.compline("verify", scene.file).endswith("everything is as it must be\n")


def test_check_tries_the_catalog(scene):
    scene = scene()
    assert "✓ catalog: the database" in scene.compline("check", scene.file)
