"""What `--json` prints, against the schemas that are published in docs/json."""

import copy
import datetime
import json
import os
import pathlib
import re
import subprocess

import boto3
import jsonschema
import pytest

from conftest import COMPLINE, Simulator, pipeline_text

ROOT = pathlib.Path(__file__, "../../..").resolve()
SCHEMAS = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in (ROOT / "docs/json").glob("*.schema.json")}
TODAY = datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def simulated(simulator):
    """The end of a pipeline file whose AWS Config is a simulator."""
    return f'[fetch]\nendpoint_url = "{simulator.url}/{{date}}"'


def closed(schema):
    """The schema without room for what it does not name: published ones have it, so that fields can be added."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    elif isinstance(schema, list):
        schema = [closed(value) for value in schema]
    return schema


def check(name, document):
    schema = SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, closed(schema))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Two days, of which one is held, in a lake whose file says where the simulator is."""
    folder = tmp_path_factory.mktemp("json")
    large, small = Simulator("--accounts", "40"), Simulator("--accounts", "10")
    file = folder / "pipeline.toml"
    for simulator, day, code in [(large, "2026-03-01", 0), (large, "2026-03-02", 0), (small, "2026-03-03", 4)]:
        file.write_text(pipeline_text(folder / "lake", more=simulated(simulator)))
        run = subprocess.run([COMPLINE, "run", file, "--date", day], capture_output=True, text=True, timeout=120)
        assert run.returncode == code, run.stderr
    yield file
    large.stop()
    small.stop()


def said(*arguments, codes=(0,), environment=None):
    command = [COMPLINE, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **(environment or {})})
    assert ended.returncode in codes, ended
    return ended.stdout


@pytest.mark.parametrize("name, arguments, codes", [
    ("check", ["check"], (0,)),
    ("plan", ["plan"], (0,)),
    ("plan", ["plan", "--discover"], (0,)),
    ("run", ["run", "--date", "2026-03-03"], (4,)),
    ("run", ["run", "--date", "2026-03-03", "--reject"], (0,)),
    ("run", ["run", "--date", "2026-02-27"], (0, 4)),
    ("status", ["status"], (1,)),
    ("verify", ["verify"], (0,)),
    ("verify", ["verify", "--repair"], (0,)),
    ("trends", ["trends"], (0,)),
    ("maintain", ["maintain"], (0,)),
    ("maintain", ["maintain", "--apply"], (0,)),
    ("report", ["report", "--format", "json", "--date", "2026-03-02"], (0,)),
])
def test_what_a_command_prints_is_as_its_schema_says(pipeline, name, arguments, codes):
    command, *more = arguments
    json_argument = [] if name == "report" else ["--json"]
    document = json.loads(said(command, pipeline, *more, *json_argument, codes=codes))
    assert document, "a document with nothing in it shows nothing"
    check(name, document)


def test_a_line_of_the_history_is_as_its_schema_says(pipeline):
    lines = [json.loads(line) for line in said("history", pipeline, "--json").splitlines()]
    assert {line["outcome"] for line in lines} >= {"succeeded", "held"}
    for line in lines:
        check("history", line)


def test_the_outcome_in_the_log_is_the_document_that_is_printed(pipeline):
    command = [COMPLINE, "run", pipeline, "--date", "2026-03-02", "--json", "--log", "json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    last = json.loads(ended.stderr.splitlines()[-1])
    assert last["outcome"] == json.loads(ended.stdout)
    check("run", last["outcome"])


def test_a_run_to_which_no_aggregator_falls_prints_a_document_with_none(pipeline):
    printed = [json.loads(said("run", pipeline, "--date", "2026-02-26", "--shard", f"{index}/8", "--json", codes=(0, 4))) for index in range(8)]
    for document in printed:
        check("run", document)
    assert len([document for document in printed if document["aggregators"] == []]) >= 6


def test_schema_demo_and_init_print_what_their_schemas_say(tmp_path):
    tables = json.loads(said("schema", "--json"))
    check("schema", tables)
    assert {table["name"] for table in tables["tables"]} >= {"pack_compliance", "compliance_trends"}
    demo = json.loads(said("demo", "--days", "2", "--accounts", "5", "--lake", tmp_path / "lake", "--json"))
    check("demo", demo)
    assert pathlib.Path(demo["report"]).exists()
    simulator = Simulator("--accounts", "5")
    try:
        where = {"AWS_ENDPOINT_URL_CONFIG_SERVICE": simulator.url}
        written = json.loads(said("init", tmp_path / "p.toml", "--region", "eu-west-1", "--json", environment=where))
    finally:
        simulator.stop()
    check("init", written)
    assert [one["name"] for one in written["aggregators"]] == ["org-aggregator"]


def test_a_catalog_s_changes_are_as_their_schema_says(tmp_path, moto_server):
    folder, bucket = tmp_path, "json-catalog"
    boto3.client("s3", endpoint_url=moto_server, region_name="us-east-1").create_bucket(Bucket=bucket)
    simulator = Simulator("--accounts", "5")
    try:
        of_lake = f'endpoint_url = "{moto_server}"\nregion = "us-east-1"\n[catalog]\ndatabase = "compline"'
        (folder / "p.toml").write_text(pipeline_text(f"s3://{bucket}/lake", of_lake, simulated(simulator)))
        where = {"AWS_ENDPOINT_URL_GLUE": moto_server, "AWS_ENDPOINT_URL_STS": moto_server}
        said("run", folder / "p.toml", "--date", "2026-03-01", environment=where)
        for arguments in (["--dry-run"], []):
            document = json.loads(said("catalog", folder / "p.toml", *arguments, "--json", environment=where))
            check("catalog", document)
            assert document["applied"] == (not arguments)
    finally:
        simulator.stop()


def test_a_document_with_another_field_or_without_one_is_found(pipeline):
    document = json.loads(said("status", pipeline, "--json", codes=(1,)))
    more, less = copy.deepcopy(document), copy.deepcopy(document)
    more[0]["new"] = 1
    del less[0]["rows"]
    for changed in (more, less):
        with pytest.raises(jsonschema.ValidationError):
            check("status", changed)


def test_each_command_that_has_json_has_a_schema_and_each_schema_a_command():
    names = re.findall(r"^  (\w+) ", said("--help").split("Commands:")[1].split("Options:")[0], re.M)
    with_json = {name for name in names if name != "help" and "--json" in said(name, "--help")}
    # An import prints what a run does, a report has formats.
    assert with_json - {"import"} | {"report"} == set(SCHEMAS)
