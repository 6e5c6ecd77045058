"""The lake in a Glue catalog that nobody here wrote (moto's), read with boto3."""

import base64
import datetime
import hashlib
import http.server
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request

import boto3
import pytest
import sqlglot

from conftest import COMPLINE, RULE_TABLES, TABLES, WITHOUT_RULES, Simulator, pipeline_text

DAYS = ["2026-02-27", "2026-02-28", "2026-03-01"]
VIEWS = ["latest_snapshot", "latest_posture", "accounts_worst_first", "trend_weekly", "trend_monthly", "open_regressions",
         "packs_vanished", "coverage", "time_to_remediate_monthly", "latest_rule_snapshot", "rules_worst_first", "rules_failing_longest",
         "why_regressed"]
KEPT = ("Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters",
        "ViewOriginalText", "ViewExpandedText")


class Scene:
    """A pipeline with a lake and a catalog of its own on moto."""

    def __init__(self, folder, simulator, moto_server, name, catalog="", more=""):
        self.folder, self.name = folder, name
        options = dict(region_name="us-east-1", endpoint_url=moto_server)
        self.s3, self.glue = boto3.client("s3", **options), boto3.client("glue", **options)
        self.s3.create_bucket(Bucket=name)
        self.file = folder / "pipeline.toml"
        of_lake = f'region = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true'
        of_glue = f'[catalog]\ndatabase = "{name}"\nendpoint_url = "{moto_server}"\n{catalog}'
        more = f'[fetch]\nendpoint_url = "{simulator.url}/{{date}}"\n{of_glue}\n{more}'
        self.text = pipeline_text(f"s3://{name}/compline", of_lake, more)
        self.file.write_text(self.text)

    def compline(self, *arguments, code=0):
        done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=120, cwd=self.folder)
        assert done.returncode == code, done
        return done.stdout

    def catalog_is_down(self):
        """From now on the pipeline file names a catalog that nobody answers for."""
        before, after = self.text.split("[catalog]\n")
        down, changed = re.subn(r'(?m)^endpoint_url = ".*"$', 'endpoint_url = "http://127.0.0.1:9"', after, count=1)
        assert changed == 1, self.text
        self.file.write_text(f"{before}[catalog]\n{down}")

    def catalog(self, *arguments):
        return self.compline("catalog", self.file, *arguments).splitlines()

    def night(self, day, code=0):
        return self.compline("run", self.file, "--date", day, code=code)

    def table(self, name):
        return self.glue.get_table(DatabaseName=self.name, Name=name)["Table"]

    def tables(self):
        return {name: table for name, table in self.everything().items() if table["TableType"] == "EXTERNAL_TABLE"}

    def views(self):
        return {name: table for name, table in self.everything().items() if table["TableType"] == "VIRTUAL_VIEW"}

    def everything(self):
        return {table["Name"]: table for table in self.glue.get_tables(DatabaseName=self.name)["TableList"]}

    def values(self):
        """What the projections list as aggregators."""
        return {table["Parameters"]["projection.aggregator.values"] for table in self.tables().values()}

    def first_days(self):
        return {table["Parameters"]["projection.snapshot_date.range"] for table in self.tables().values()}

    def versions(self):
        return {name: table["VersionId"] for name, table in self.everything().items()}

    def change(self, name, **changes):
        """What somebody else does to a table."""
        table = self.table(name)
        changed = {**{key: table[key] for key in KEPT if key in table}, **changes}
        self.glue.update_table(DatabaseName=self.name, TableInput=changed)

    def rewrite(self, old, new):
        assert old in self.text, old
        self.text = self.text.replace(old, new)
        self.file.write_text(self.text)

    def partitions(self, table):
        found = self.glue.get_partitions(DatabaseName=self.name, TableName=table)["Partitions"]
        return {tuple(partition["Values"]): partition["StorageDescriptor"] for partition in found}


@pytest.fixture
def scene(tmp_path, simulator, moto_server, request):
    name = "".join(letter for letter in request.node.name.lower() if letter.isalnum())[:60]
    return lambda catalog="", more="": Scene(tmp_path, simulator, moto_server, name, catalog, more)


def test_a_dry_run_says_what_is_missing_and_makes_nothing(scene):
    scene = scene()
    first, *rest = scene.catalog("--dry-run")
    assert first == "would create the database"
    expected = [*(f"would create the table {table}" for table in TABLES), *(f"would create the view {view}" for view in VIEWS)]
    assert sorted(rest) == sorted(expected)
    assert scene.name not in [database["Name"] for database in scene.glue.get_databases()["DatabaseList"]]


def test_the_tables_have_the_columns_comments_and_projection_of_the_schema(scene):
    scene = scene()
    scene.catalog()
    assert scene.catalog() == ["the catalog is up to date"]
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
        assert parameters["projection.snapshot_date.range"] == "2020-01-01,NOW", "an empty lake has no first day"
        assert parameters["storage.location.template"] == location + "snapshot_date=${snapshot_date}/aggregator=${aggregator}/"


def test_only_what_differs_is_changed_and_what_others_added_stays(scene):
    scene = scene()
    scene.catalog()
    before = scene.tables()
    table = scene.table("runs")
    changed = {key: table[key] for key in KEPT if key in table}
    changed["Owner"] = "governance"
    changed["Parameters"] = {**table["Parameters"], "team": "audit", "projection.aggregator.values": "org"}
    columns = [column for column in table["StorageDescriptor"]["Columns"] if column["Name"] != "rows"]
    columns[0] = {**columns[0], "Comment": "something else"}
    changed["StorageDescriptor"] = {**table["StorageDescriptor"], "Columns": [*columns, {"Name": "theirs", "Type": "string"}]}
    scene.glue.update_table(DatabaseName=scene.name, TableInput=changed)
    expected = "update the table runs: column run_id has another comment, column rows is missing, projection.aggregator.values"
    assert scene.catalog("--dry-run") == [f"would {expected}"]
    assert scene.catalog() == [expected]
    after = scene.tables()
    right, now = before["runs"], after["runs"]
    assert now["Owner"] == "governance" and now["Parameters"] == {**right["Parameters"], "team": "audit"}
    assert now["StorageDescriptor"]["Columns"] == [*right["StorageDescriptor"]["Columns"], {"Name": "theirs", "Type": "string"}]
    for name in TABLES:
        if name != "runs":
            assert after[name] == before[name], "untouched"
    assert scene.catalog() == ["the catalog is up to date"]


def test_a_new_aggregator_is_projected_after_the_next_run(scene):
    scene = scene()
    scene.night(DAYS[0])
    assert set(scene.tables()) == set(TABLES) and set(scene.views()) == set(VIEWS), "a run makes them"
    scene.rewrite("[fetch]", '[[aggregator]]\nid = "third"\nname = "org-aggregator"\nregion = "eu-west-1"\n[fetch]')
    scene.night(DAYS[1])
    assert scene.values() == {"org,security,third"}


def test_f02_two_pipelines_on_one_lake_hide_nothing_from_each_other(scene):
    scene = scene()
    both = scene.text
    without = lambda id, region: both.replace(f'[[aggregator]]\nid = "{id}"\nname = "{id}-aggregator"\nregion = "{region}"\n', "")
    of_security, of_org = without("org", "eu-west-1"), without("security", "us-east-1")
    assert both not in (of_security, of_org)
    for text in (of_org, of_security):
        scene.file.write_text(text)
        scene.night(DAYS[0])
    assert scene.values() == {"org,security"}
    before = scene.versions()
    for day, text in [(DAYS[1], of_org), (DAYS[1], of_security), (DAYS[2], of_org)]:
        scene.file.write_text(text)
        scene.night(day)
        assert scene.catalog() == ["the catalog is up to date"]
    assert scene.versions() == before, "nothing differs, so no version of a table is made"
    # What the table lists stays, whoever listed it; what the lake has comes back, whoever took it away.
    parameters = scene.table("runs")["Parameters"]
    scene.change("runs", Parameters={**parameters, "projection.aggregator.values": "elsewhere,org"})
    assert scene.catalog() == ["update the table runs: projection.aggregator.values"]
    assert scene.table("runs")["Parameters"]["projection.aggregator.values"] == "elsewhere,org,security"
    # So does the SQL of `compline athena` name the lake's; without the lake, the file's alone.
    assert "'projection.aggregator.values' = 'org,security'" in scene.compline("athena", scene.file)
    assert "'projection.aggregator.values' = 'org'," in scene.compline("athena", scene.file, "--offline")


class Between(http.server.BaseHTTPRequestHandler):
    """In front of moto's Glue: an update of a version that is not the newest is refused, as Glue does and moto does not."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target", "").split(".")[-1]
        self.server.asked.append((target, json.loads(body or b"{}")))
        if target in self.server.refused:
            return self.answer(400, json.dumps({"__type": "AccessDeniedException", "Message": "not this one"}).encode())
        if target == "UpdateTable":
            asked = json.loads(body)
            self.server.before_update(asked)
            there = self.server.glue.get_table(DatabaseName=asked["DatabaseName"], Name=asked["TableInput"]["Name"])["Table"]["VersionId"]
            self.server.updates.append((asked["TableInput"]["Name"], asked.get("VersionId") == there))
            if asked.get("VersionId") != there:
                return self.answer(400, json.dumps({"__type": "ConcurrentModificationException", "Message": "another version"}).encode())
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length", "connection")}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.server.moto, body, headers)) as answer:
                return self.answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return self.answer(error.code, error.read())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def between(scene, moto_server):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.moto, server.updates, server.before_update = moto_server, [], lambda asked: None
    server.asked, server.refused = [], set()
    scene = scene()
    server.glue = scene.glue
    # Glue alone: S3 has a line of its own before it.
    scene.rewrite(f'database = "{scene.name}"\nendpoint_url = "{moto_server}"',
                  f'database = "{scene.name}"\nendpoint_url = "http://127.0.0.1:{server.server_port}"')
    yield server, scene
    server.shutdown()
    server.server_close()


def test_f02_an_update_that_came_second_is_tried_again_on_what_the_first_left(between):
    server, scene = between
    scene.night(DAYS[0])
    scene.rewrite("[fetch]", '[[aggregator]]\nid = "third"\nname = "org-aggregator"\nregion = "eu-west-1"\n[fetch]')

    def first(asked):
        """Another pipeline is first, once."""
        server.before_update = lambda asked: None
        parameters = scene.table("runs")["Parameters"]
        scene.change("runs", Parameters={**parameters, "projection.aggregator.values": "org,security,theirs"})

    server.before_update = lambda asked: first(asked) if asked["TableInput"]["Name"] == "runs" else None
    scene.night(DAYS[1])
    assert [was_newest for name, was_newest in server.updates if name == "runs"] == [False, True]
    assert scene.table("runs")["Parameters"]["projection.aggregator.values"] == "org,security,theirs,third"

    # One that is always second gives up and says so.
    def always(asked):
        scene.change("runs", Owner=f"{len(server.updates)}")

    server.before_update = always
    scene.rewrite('id = "third"', 'id = "fourth"')
    assert "cannot update the table" in scene.night(DAYS[2], code=3)
    assert len([1 for _, was_newest in server.updates if not was_newest]) == 1 + 3 * 5, "five times for each aggregator's day"


def test_f21_a_projection_begins_with_the_first_day_of_the_lake_and_an_older_one_moves_it(scene):
    scene = scene()
    scene.catalog()
    assert scene.first_days() == {"2020-01-01,NOW"}, "an empty lake has no first day"
    scene.night(DAYS[1])
    assert scene.first_days() == {f"{DAYS[1]},NOW"}
    scene.night(DAYS[2])
    assert scene.first_days() == {f"{DAYS[1]},NOW"}
    scene.night(DAYS[0])
    assert scene.first_days() == {f"{DAYS[0]},NOW"}
    assert f"'projection.snapshot_date.range' = '{DAYS[0]},NOW'" in scene.compline("athena", scene.file)
    # A table of before the lake was asked.
    parameters = scene.table("runs")["Parameters"]
    scene.change("runs", Parameters={**parameters, "projection.snapshot_date.range": "2020-01-01,NOW"})
    assert scene.catalog() == ["update the table runs: projection.snapshot_date.range"]
    assert scene.first_days() == {f"{DAYS[0]},NOW"}


def test_f21_days_before_a_first_day_that_is_set_are_told_of(scene):
    scene = scene(f'first_day = "{DAYS[2]}"')
    hidden = f"catalog.first_day is {DAYS[2]}; set it to {DAYS[0]} or take it out"
    done = subprocess.run([COMPLINE, "run", scene.file, "--date", DAYS[0]], capture_output=True, text=True, timeout=120, cwd=scene.folder)
    assert done.returncode == 0 and f"Athena shows none of 1 day of the lake, {DAYS[0]}: {hidden}" in done.stderr, done
    scene.night(DAYS[1])
    assert scene.first_days() == {f"{DAYS[2]},NOW"}
    assert scene.catalog() == [f"Athena shows none of 2 days of the lake, {DAYS[0]} to {DAYS[1]}: {hidden}", "the catalog is up to date"]


def test_f22_views_are_in_the_catalog_and_those_that_others_changed_are_left(scene):
    scene = scene()
    scene.catalog()
    decoded = lambda view: json.loads(base64.b64decode(view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")))
    views = scene.views()
    assert set(views) == set(VIEWS)
    for view in views.values():
        document = decoded(view)
        assert view["Parameters"]["presto_view"] == "true" and view["Parameters"]["comment"] == "Presto View"
        assert document["catalog"] == "awsdatacatalog" and document["schema"] == scene.name
        query = sqlglot.parse_one(document["originalSql"], read="trino")
        assert query.named_selects == [column["name"] for column in document["columns"]] == [
            column["Name"] for column in view["StorageDescriptor"]["Columns"]]
        assert not query.find(sqlglot.exp.Star) or view["Name"] in ("coverage", "time_to_remediate_monthly", "why_regressed"), "count(*) alone"

    # An older one of ours is renewed.
    text = "/* Presto View: " + base64.b64encode(json.dumps({**decoded(views["coverage"]), "originalSql": "SELECT 1"}).encode()).decode() + " */"
    checksum = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    parameters = views["coverage"]["Parameters"]
    scene.change("coverage", ViewOriginalText=text, Parameters={**parameters, "compline.view_sha256": checksum, "theirs": "stays"})
    assert scene.catalog("--dry-run") == ["would update the view coverage: query"]
    assert scene.catalog() == ["update the view coverage: query"]
    assert scene.views()["coverage"]["ViewOriginalText"] == views["coverage"]["ViewOriginalText"]
    assert scene.views()["coverage"]["Parameters"] == {**parameters, "theirs": "stays"}

    # One that others replaced is not, also not by a run.
    scene.change("coverage", ViewOriginalText=text, Parameters=parameters)
    left = "leave the view coverage as it is: others changed it; drop it, and the next run makes compline's again"
    assert scene.catalog("--dry-run") == scene.catalog() == [left, "the catalog is up to date"]
    scene.night(DAYS[0])
    assert scene.views()["coverage"]["ViewOriginalText"] == text
    scene.glue.delete_table(DatabaseName=scene.name, Name="coverage")
    assert scene.catalog() == ["create the view coverage"]


def test_f25_partitions_follow_a_lake_that_moved_and_those_of_dropped_days_go(scene):
    scene = scene('partitions = "registered"')
    for day in DAYS:
        scene.night(day)
    moved = f"{scene.name[:50]}-moved"
    scene.s3.create_bucket(Bucket=moved)
    for item in scene.s3.list_objects_v2(Bucket=scene.name, Prefix="compline/")["Contents"]:
        scene.s3.copy_object(Bucket=moved, Key=item["Key"], CopySource={"Bucket": scene.name, "Key": item["Key"]})
    scene.rewrite(f"s3://{scene.name}/", f"s3://{moved}/")
    # The next run moves every day.
    scene.night(DAYS[2])
    locations = lambda table: {values: files["Location"] for values, files in scene.partitions(table).items()}
    assert scene.catalog() == ["the catalog is up to date"]
    for table in WITHOUT_RULES:
        assert {location.split("/")[2] for location in locations(table).values()} == {moved}
    # Columns that came since, or have another type.
    files = scene.partitions("runs")[DAYS[0], "org"]
    columns = [{**column, "Type": "string"} if column["Name"] == "rows" else column for column in files["Columns"][:-1]]
    changed = {**files, "Columns": [*columns, {"Name": "theirs", "Type": "string"}]}
    scene.glue.update_partition(DatabaseName=scene.name, TableName="runs", PartitionValueList=[DAYS[0], "org"],
                                PartitionInput={"Values": [DAYS[0], "org"], "StorageDescriptor": changed})
    # A day that was dropped, and partitions of others at places that are not this lake's.
    scene.s3.delete_object(Bucket=moved, Key=f"compline/pack_compliance/snapshot_date={DAYS[0]}/aggregator=org/data.parquet")
    elsewhere = {**files, "Location": f"s3://{scene.name}/compline/pack_compliance/snapshot_date=2019-01-01/aggregator=org/"}
    scene.glue.create_partition(DatabaseName=scene.name, TableName="pack_compliance",
                                PartitionInput={"Values": ["2019-01-01", "org"], "StorageDescriptor": elsewhere})
    expected = [f"remove 1 partition from pack_compliance, {DAYS[0]}/org first", f"update 1 partition of runs, {DAYS[0]}/org first"]
    assert scene.catalog("--dry-run") == [f"would {line}" for line in expected] and scene.catalog() == expected
    assert scene.partitions("runs")[DAYS[0], "org"]["Columns"] == [*files["Columns"], {"Name": "theirs", "Type": "string"}]
    partitions = set(scene.partitions("pack_compliance"))
    assert (DAYS[0], "org") not in partitions and ("2019-01-01", "org") in partitions
    assert scene.catalog() == ["the catalog is up to date"]


def test_f11_a_day_that_failed_or_is_held_has_its_ledger_in_the_catalog(scene, simulator):
    scene = scene('partitions = "registered"')
    scene.rewrite('name = "org-aggregator"', 'name = "no-such-aggregator"')
    scene.night(DAYS[0], code=3)
    assert set(scene.partitions("runs")) == {(DAYS[0], "org"), (DAYS[0], "security")}
    assert set(scene.partitions("pack_compliance")) == {(DAYS[0], "security")}
    assert scene.catalog() == ["the catalog is up to date"]
    # With most of the accounts gone it is held.
    scene.rewrite('name = "no-such-aggregator"', 'name = "org-aggregator"')
    scene.night(DAYS[1])
    smaller = Simulator("--accounts", "10")
    try:
        scene.rewrite(simulator.url, smaller.url)
        scene.night(DAYS[2], code=4)
    finally:
        smaller.stop()
    assert (DAYS[2], "org") in scene.partitions("runs") and (DAYS[2], "org") not in scene.partitions("pack_compliance")


def test_f27_both_is_projected_for_athena_and_registered_for_everybody_else(scene):
    scene = scene('partitions = "both"')
    for day in DAYS[:2]:
        scene.night(day)
    assert scene.values() == {"org,security"} and scene.first_days() == {f"{DAYS[0]},NOW"}
    for table in WITHOUT_RULES:
        # As a Glue client asks that knows nothing of projection.
        found = scene.glue.get_partitions(DatabaseName=scene.name, TableName=table, Expression=f"snapshot_date >= '{DAYS[1]}'")["Partitions"]
        assert {tuple(partition["Values"]) for partition in found} == {(DAYS[1], "org"), (DAYS[1], "security")}
        assert "Redshift" not in scene.table(table)["Description"]
    assert scene.catalog() == ["the catalog is up to date"]
    # Back to one of them: what is registered stays, and does no harm to a table that is projected.
    scene.rewrite('partitions = "both"', 'partitions = "projection"')
    assert len(scene.catalog()) == len(TABLES) and scene.catalog() == ["the catalog is up to date"]
    assert "Redshift Spectrum" in scene.table("runs")["Description"]
    scene.rewrite('partitions = "projection"', 'partitions = "registered"')
    scene.catalog()
    assert scene.catalog() == ["the catalog is up to date"]
    assert [name for name in scene.table("runs")["Parameters"] if "projection" in name or "template" in name] == ["projection.enabled"]


def with_rules_of_org(scene, simulator, small_simulator):
    """The same pipeline, of a smaller organization that is asked for rules by one of its aggregators."""
    scene.rewrite(simulator.url, small_simulator.url)
    scene.rewrite('id = "org"', 'id = "org"\ndatasets = ["packs", "rules"]')
    return scene


def test_registered_partitions_are_those_of_the_lake_and_each_night_adds_its_own(scene, simulator, small_simulator):
    scene = with_rules_of_org(scene('partitions = "registered"'), simulator, small_simulator)
    for day in DAYS:
        scene.night(day)
    expected = {(day, aggregator) for day in DAYS for aggregator in ("org", "security")}
    for table in TABLES:
        partitions = scene.partitions(table)
        assert set(partitions) == {(day, aggregator) for day, aggregator in expected if table not in RULE_TABLES or aggregator == "org"}
        for (day, aggregator), files in partitions.items():
            assert files["Location"] == f"s3://{scene.name}/compline/{table}/snapshot_date={day}/aggregator={aggregator}/"
            assert [column["Name"] for column in files["Columns"]] == [column["Name"] for column in scene.table(table)["StorageDescriptor"]["Columns"]]
        assert scene.table(table)["Parameters"]["projection.enabled"] == "false"
    scene.night(DAYS[1])
    assert scene.catalog() == ["the catalog is up to date"]
    scene.glue.delete_partition(DatabaseName=scene.name, TableName="runs", PartitionValues=[DAYS[0], "org"])
    assert scene.catalog("--dry-run") == [f"would add 1 partition to runs, {DAYS[0]}/org first"]
    scene.catalog()
    assert set(scene.partitions("runs")) == expected


YEARS_AGO = "2024-03-01"


def ago(days):
    """A day by this machine's clock: a run of a day that is longer ago than half a year looks at the whole catalog, and so does the next."""
    return str(datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days))


def test_a_run_looks_at_the_last_days_alone_where_all_was_in_order_not_long_ago(scene):
    scene = scene('partitions = "both"')
    weeks_ago, today = ago(59), ago(40)
    for day in (YEARS_AGO, weeks_ago):
        scene.night(day)
    everything = {table: set(scene.partitions(table)) for table in WITHOUT_RULES}
    for day in (YEARS_AGO, weeks_ago):
        scene.glue.delete_partition(DatabaseName=scene.name, TableName="runs", PartitionValues=[day, "org"])
    scene.night(today)
    of_today = {(today, "org"), (today, "security")}
    # What happened in the weeks before is made good; what is older is left as it is, and nothing of it goes.
    assert set(scene.partitions("runs")) == everything["runs"] - {(YEARS_AGO, "org")} | of_today
    assert set(scene.partitions("pack_compliance")) == everything["pack_compliance"] | of_today
    assert scene.first_days() == {f"{YEARS_AGO},NOW"}
    assert scene.catalog("--dry-run") == [f"would add 1 partition to runs, {YEARS_AGO}/org first"]
    # A table that is made again knows the whole lake.
    scene.glue.delete_table(DatabaseName=scene.name, Name="runs")
    scene.night(today)
    assert set(scene.partitions("runs")) == everything["runs"] | of_today
    assert scene.first_days() == {f"{YEARS_AGO},NOW"}
    # And after a month all of it is looked at.
    scene.glue.delete_partition(DatabaseName=scene.name, TableName="runs", PartitionValues=[YEARS_AGO, "org"])
    scene.night(ago(11))
    assert (YEARS_AGO, "org") not in scene.partitions("runs")
    scene.night(ago(10))
    assert (YEARS_AGO, "org") in scene.partitions("runs")


def test_a_run_that_cannot_name_all_partitions_of_a_changed_table_has_the_next_one_look_at_everything(between):
    server, scene = between
    scene.rewrite(f'database = "{scene.name}"', f'database = "{scene.name}"\npartitions = "both"')
    first, second, third, last = map(ago, (4, 3, 2, 1))
    for day in (YEARS_AGO, first):
        scene.night(day)
    scene.glue.delete_table(DatabaseName=scene.name, Name="runs")
    server.refused.add("BatchCreatePartition")
    assert "cannot add partitions to" in scene.night(second, code=3)
    assert "runs" in scene.tables() and not scene.partitions("runs")
    server.refused.clear()
    scene.night(third)
    expected = {(day, aggregator) for day in (YEARS_AGO, first, second, third) for aggregator in ("org", "security")}
    assert set(scene.partitions("runs")) == expected
    # The night after that looks at the last days alone.
    server.asked.clear()
    scene.night(last)
    expressions = {asked.get("Expression") for target, asked in server.asked if target == "GetPartitions"}
    assert expressions == {f"snapshot_date >= '{ago(181)}'"}


def test_a_catalog_that_was_down_on_a_day_of_years_ago_has_it_after_the_next_run(scene):
    scene = scene('partitions = "both"')
    scene.night(ago(3))
    scene.catalog_is_down()
    scene.night(YEARS_AGO, code=3)
    scene.file.write_text(scene.text)
    scene.night(ago(2))
    assert scene.first_days() == {f"{YEARS_AGO},NOW"}
    assert (YEARS_AGO, "org") in scene.partitions("pack_compliance")
    # So has one that a file without a catalog collected.
    before, _ = scene.text.split("[catalog]\n")
    scene.file.write_text(before)
    scene.night("2023-03-01")
    scene.file.write_text(scene.text)
    scene.night(ago(1))
    assert scene.first_days() == {"2023-03-01,NOW"}
    assert ("2023-03-01", "org") in scene.partitions("pack_compliance")


def test_an_older_day_that_was_copied_into_the_lake_moves_the_first_day_of_a_projection(scene):
    scene = scene()
    scene.night(ago(3))
    key = "compline/{}/snapshot_date={}/aggregator=org/data.parquet"
    for table in WITHOUT_RULES:
        source = {"Bucket": scene.name, "Key": key.format(table, ago(3))}
        scene.s3.copy_object(Bucket=scene.name, Key=key.format(table, YEARS_AGO), CopySource=source)
    scene.night(ago(2))
    assert scene.first_days() == {f"{YEARS_AGO},NOW"}


def test_days_of_years_ago_whose_trends_a_run_computes_are_named(scene):
    scene = scene('partitions = "registered"')
    for day in (YEARS_AGO, ago(3), ago(2)):
        scene.night(day)
    derived = ["pack_changes", "compliance_trends", "pack_status"]
    keys = [f"compline/{table}/snapshot_date={YEARS_AGO}/aggregator=org/data.parquet" for table in derived]
    for table, key in zip(derived, keys):
        scene.s3.delete_object(Bucket=scene.name, Key=key)
        scene.glue.delete_partition(DatabaseName=scene.name, TableName=table, PartitionValues=[YEARS_AGO, "org"])
    marker = {"from": YEARS_AGO}
    scene.s3.put_object(Bucket=scene.name, Key="compline/_compline/redo/aggregator=org.json", Body=json.dumps(marker).encode())
    scene.night(ago(1))
    for table, key in zip(derived, keys):
        scene.s3.head_object(Bucket=scene.name, Key=key)
        assert (YEARS_AGO, "org") in scene.partitions(table), table


def test_a_run_names_every_day_that_another_mode_or_a_catalog_that_was_down_left_out(scene):
    scene = scene()
    scene.night(DAYS[0])
    scene.rewrite(f'database = "{scene.name}"', f'database = "{scene.name}"\npartitions = "registered"')
    scene.catalog_is_down()
    scene.night(DAYS[1], code=3)
    scene.file.write_text(scene.text)
    scene.night(DAYS[2])
    expected = {(day, aggregator) for day in DAYS for aggregator in ("org", "security")}
    for table in WITHOUT_RULES:
        assert set(scene.partitions(table)) == expected, table
    assert scene.catalog() == ["the catalog is up to date"]


def test_trends_and_repair_name_what_they_made_again(scene, simulator, small_simulator):
    scene = with_rules_of_org(scene('partitions = "registered"'), simulator, small_simulator)
    for day in DAYS:
        scene.night(day)
    derived = ["pack_changes", "compliance_trends", "pack_status", "rule_changes", "rule_trends", "rule_status"]
    for command in (["trends", scene.file], ["verify", scene.file, "--repair"]):
        for table in derived:
            scene.s3.delete_object(Bucket=scene.name, Key=f"compline/{table}/snapshot_date={DAYS[1]}/aggregator=org/data.parquet")
        scene.catalog()
        assert all((DAYS[1], "org") not in scene.partitions(table) for table in derived)
        scene.compline(*command)
        assert all((DAYS[1], "org") in scene.partitions(table) for table in derived), command
        assert scene.catalog() == ["the catalog is up to date"]


def test_maintain_says_what_it_did_though_the_catalog_is_down_and_the_next_run_names_its_months(scene):
    scene = scene('partitions = "registered"', '[maintain]\ncompact = ["pack_compliance", "source_status"]\nsnapshot_days = 5')
    for day in DAYS:
        scene.night(day)
    scene.catalog_is_down()
    said = scene.compline("maintain", scene.file, "--apply", code=3)
    assert "org: dropped pack_compliance of 2 days" in said and "`compline catalog FILE` completes it" in said
    scene.file.write_text(scene.text)
    scene.night(DAYS[2])
    assert {month for month, _ in scene.partitions("pack_compliance_monthly")} == {"2026-02", "2026-03"}
    assert {day for day, _ in scene.partitions("pack_compliance")} == {DAYS[2]}
    assert scene.catalog() == ["the catalog is up to date"]


def test_months_are_tables_of_their_own(scene):
    scene = scene(more='[maintain]\ncompact = ["pack_compliance"]')
    for day in DAYS:
        scene.night(day)
    scene.compline("maintain", scene.file, "--apply")
    table = scene.table("pack_compliance_monthly")
    assert [key["Name"] for key in table["PartitionKeys"]] == ["snapshot_month", "aggregator"]
    assert table["StorageDescriptor"]["Columns"][0]["Name"] == "snapshot_date"
    # Trino reads no projection with a step of a month: F23.
    assert {name: value for name, value in table["Parameters"].items() if "projection" in name} == {"projection.enabled": "false"}
    months = {(month, aggregator) for month in ("2026-02", "2026-03") for aggregator in ("org", "security")}
    assert set(scene.partitions("pack_compliance_monthly")) == months
    assert "MSCK REPAIR TABLE" in scene.compline("athena", scene.file)
    keys = [item["Key"] for item in scene.s3.list_objects_v2(Bucket=scene.name, Prefix="compline/pack_compliance_monthly/")["Contents"]]
    assert keys == [f"compline/pack_compliance_monthly/snapshot_month={month}/aggregator={aggregator}/data.parquet"
                    for month in ("2026-02", "2026-03") for aggregator in ("org", "security")]


def test_a_catalog_that_cannot_be_reached_leaves_the_day_kept_and_says_so(scene):
    scene = scene()
    scene.catalog_is_down()
    said = scene.night(DAYS[0], code=3)
    assert "the catalog does not know of the day: cannot read the database" in said
    assert "`compline catalog FILE` completes it" in said
    lines = [json.loads(line) for line in scene.compline("history", scene.file, "--json").splitlines()]
    assert {line["outcome"] for line in lines} == {"succeeded"} and all("catalog" in line["error"] for line in lines)
    assert scene.compline("verify", scene.file).endswith("OK: no problems found\n")


def test_check_tries_the_catalog(scene):
    scene = scene()
    assert "✓ catalog: the database" in scene.compline("check", scene.file)
