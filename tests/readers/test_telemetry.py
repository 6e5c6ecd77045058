"""What a run measured, read by those who watch: Prometheus, CloudWatch by its published schema, an OTLP receiver over HTTP."""

import http.server
import json
import os
import pathlib
import re
import stat
import subprocess
import threading

import jsonschema
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from test_prometheus import METRICS, assert_metrics_are_sound

from conftest import COMPLINE

# The schema that AWS publishes with the specification of the embedded metric format, as far as it allows less than any object:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
NAME = {"type": "string", "minLength": 1, "maxLength": 255}
PER_SECOND = [f"{size}{kind}" for size in ["", "Kilo", "Mega", "Giga", "Tera"] for kind in ["Bytes", "Bits"]]
PER_SECOND = [unit.replace("oB", "ob").replace("aB", "ab") for unit in PER_SECOND] + ["Count"]
UNITS = ["Seconds", "Microseconds", "Milliseconds", "Percent", "None", *PER_SECOND, *(f"{unit}/Second" for unit in PER_SECOND)]
EMBEDDED = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": NAME,
                            "Dimensions": {"type": "array", "minItems": 1, "items": {"type": "array", "maxItems": 9, "items": NAME}},
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "properties": {"Name": NAME, "Unit": {"enum": UNITS}},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


class Scene:
    """A pipeline over two aggregators whose source answers for any day."""

    def __init__(self, folder, url):
        self.folder, self.url = folder, url
        self.textfile = folder / "metrics" / "compline.prom"
        self.textfile.parent.mkdir()

    def pipeline(self, metrics, url=None, datasets=("packs",)):
        file = self.folder / "pipeline.toml"
        file.write_text(f"""
version = 1
[lake]
url = "{self.folder}/lake"
[[aggregator]]
id = "org"
name = "org-aggregator"
region = "eu-west-1"
fan_out = "region"
datasets = {json.dumps(datasets)}
[[aggregator]]
id = "security"
name = "security-aggregator"
region = "us-east-1"
[fetch]
endpoint_url = "{url or self.url}/{{date}}"
max_attempts = 1
[metrics]
{metrics}
""")
        return file

    def run(self, *arguments, code=0, **variables):
        ended = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=120, env={**os.environ, **variables})
        assert ended.returncode == code, ended
        return ended

    def samples(self):
        """Each sample of the text file: by its name, and its labels but the lake."""
        found = {}
        for family in text_string_to_metric_families(self.textfile.read_text()):
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if name != "lake"}
                found[(sample.name, *sorted(labels.values()))] = sample.value
        return found


@pytest.fixture
def scene(tmp_path, simulator):
    return Scene(tmp_path, simulator.url)


def test_the_text_file_has_every_metric_of_every_aggregator_whichever_command_wrote_it(scene):
    file = scene.pipeline(f'textfile = "{scene.textfile}"')
    for day in range(1, 9):
        scene.run("run", file, "--date", f"2026-02-{day:02}")
    names = assert_metrics_are_sound(scene.textfile.read_text())
    never = {"compline_last_verify_timestamp_seconds", "compline_last_verify_problems"} | {name for name in METRICS if "dataset" in METRICS[name]}
    assert set(METRICS) - names == never, set(METRICS) - names
    assert stat.S_IMODE(scene.textfile.stat().st_mode) == 0o644
    assert [path.name for path in scene.textfile.parent.iterdir()] == ["compline.prom"]
    before = scene.samples()
    assert before["compline_last_run_success", "security"] == 1
    rate = before["compline_pack_compliance_rate", "org"]
    assert 0 < rate < 1 and before["compline_run_rows", "org"] == before["compline_packs", "org"] > 0

    # One aggregator's run takes no other's series out of the file, and a verification comes into it.
    scene.run("run", file, "--date", "2026-02-09", "--only", "org")
    scene.run("verify", file)
    after = scene.samples()
    assert after["compline_last_success_timestamp_seconds", "org"] > before["compline_last_success_timestamp_seconds", "org"]
    assert after["compline_last_success_timestamp_seconds", "security"] == before["compline_last_success_timestamp_seconds", "security"]
    assert after["compline_last_verify_problems", "security"] == 0
    assert_metrics_are_sound(scene.textfile.read_text())


def test_a_run_that_fails_says_so_and_when_the_last_one_did_not(scene):
    metrics = f'textfile = "{scene.textfile}"'
    scene.run("run", scene.pipeline(metrics), "--date", "2026-02-01")
    before = scene.samples()
    scene.run("run", scene.pipeline(metrics, url="http://127.0.0.1:9"), "--date", "2026-02-02", code=1)
    after = scene.samples()
    assert (before["compline_last_run_success", "org"], after["compline_last_run_success", "org"]) == (1, 0)
    name = "compline_last_success_timestamp_seconds"
    assert after[name, "org"] == before[name, "org"]
    assert after["compline_last_run_timestamp_seconds", "org"] > before["compline_last_run_timestamp_seconds", "org"]


def test_an_old_day_that_is_committed_now_is_no_success_of_now(scene):
    file = scene.pipeline(f'textfile = "{scene.textfile}"')
    scene.run("run", file, "--date", "2026-02-05")
    before = scene.samples()["compline_last_success_timestamp_seconds", "org"]
    assert before == 1770336000, "the end of its day"
    scene.run("run", file, "--date", "2026-02-01")
    assert scene.samples()["compline_last_success_timestamp_seconds", "org"] == before


def test_rules_have_their_own_metrics_which_are_what_their_trends_say(scene):
    file = scene.pipeline(f'textfile = "{scene.textfile}"', datasets=["packs", "rules"])
    for day in range(1, 4):
        scene.run("run", file, "--date", f"2026-02-{day:02}")
    text = scene.textfile.read_text()
    names = assert_metrics_are_sound(text)
    assert {name for name in METRICS if "dataset" in METRICS[name]} <= names
    trends = pq.ParquetFile(scene.folder / "lake/rule_trends/snapshot_date=2026-02-03/aggregator=org/data.parquet").read().to_pylist()
    (total,) = [row for row in trends if row["dimension"] == "aggregator"]
    groups = {row["dimension_value"]: row for row in trends if row["dimension"] == "rule_group"}
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("dataset") == "rules":
                assert sample.labels["aggregator"] == "org"
                found[sample.name, sample.labels.get("rule_group")] = sample.value
    assert found["compline_rules", None] == found["compline_run_rows", None] == total["rules_total"] > 0
    assert found["compline_rule_compliance_rate", None] == total["rule_compliance_rate"]
    assert found["compline_open_non_compliant_rules", None] == total["open_non_compliant_rules"] > 0
    assert found["compline_open_non_compliant_days_max", None] == total["open_non_compliant_max_days"]
    of_groups = {group: value for (name, group), value in found.items() if name == "compline_rule_group_compliance_rate"}
    assert 0 < len(of_groups) <= 50 and all(groups[group]["rule_compliance_rate"] == value for group, value in of_groups.items())
    smallest = min(groups[group]["rules_total"] for group in of_groups)
    assert all(row["rules_total"] <= smallest for group, row in groups.items() if group not in of_groups and row["rule_compliance_rate"] is not None)
    assert found["compline_rule_groups_omitted", None] == max(len(groups) - 50, 0)


def test_a_run_on_another_lake_leaves_the_metrics_of_the_file_s_lake_alone(scene):
    file = scene.pipeline(f'textfile = "{scene.textfile}"')
    scene.run("run", file, "--date", "2026-02-01")
    before = scene.textfile.read_bytes()
    scene.run("run", file, "--date", "2026-02-02", "--lake", scene.folder / "other")
    assert scene.textfile.read_bytes() == before


def test_what_is_wrong_with_an_otlp_endpoint_is_said_without_it(scene):
    url = "http://user:TOPSECRET@otel.example.com/a b?key=TOPSECRET"
    ended = scene.run("run", scene.pipeline(""), "--date", "2026-02-01", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert "nothing is sent by OTLP" in ended.stderr and "TOPSECRET" not in ended.stderr
    ended = scene.run("run", scene.pipeline(""), "--date", "2026-02-02", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
                      OTEL_BSP_MAX_QUEUE_SIZE="18446744073709551615")
    assert "panic" not in ended.stderr


def test_a_file_that_cannot_be_written_costs_a_warning_and_not_the_day(scene):
    ended = scene.run("run", scene.pipeline(f'textfile = "{scene.folder}/nowhere/compline.prom"'), "--date", "2026-02-01")
    assert "cannot write the metrics to" in ended.stderr and "nowhere" in ended.stderr


def test_the_embedded_metric_format_is_as_cloudwatch_publishes_it(scene):
    ended = scene.run("run", scene.pipeline('emf_namespace = "Compline"'), "--date", "2026-02-01")
    objects = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert len(objects) > 4
    found = set()
    for embedded in objects:
        jsonschema.validate(embedded, EMBEDDED)
        (directive,) = embedded["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Compline"
        # What the schema cannot say: dimensions and metrics name members of the object.
        assert all(isinstance(embedded[name], str) and embedded[name] for name in directive["Dimensions"][0])
        assert all(isinstance(embedded[metric["Name"]], float) for metric in directive["Metrics"])
        found |= {(metric["Name"], *directive["Dimensions"][0]) for metric in directive["Metrics"]}
    labels = {name: ("lake", "aggregator", *sorted(more - {"lake", "aggregator"})) for name, more in METRICS.items()}
    assert {(name, *labels[name]) for name, *_ in found if name != "compline_build_info"} <= found
    assert ("compline_last_run_success", "lake", "aggregator") in found
    # A document stays one.
    ended = scene.run("run", scene.pipeline('emf_namespace = "Compline"'), "--date", "2026-02-02", "--json")
    assert json.loads(ended.stdout)["aggregators"] and '"_aws"' in ended.stderr
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"_aws": {"Timestamp": 1.5, "CloudWatchMetrics": []}}, EMBEDDED)


class Receiver(http.server.ThreadingHTTPServer):
    """An OTLP receiver, which answers with a status and after a while."""

    def __init__(self, status=200):
        self.status, self.received, self.headers = status, [], []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def of(self, path, kind):
        requests = []
        for received, body in self.received:
            if received == path:
                request = kind()
                request.ParseFromString(body)
                requests.append(request)
        return requests


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body))
        self.server.headers.append(dict(self.headers.items()))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_an_otlp_receiver_gets_each_metric_and_a_span_of_the_run_each_aggregator_shard_and_commit(scene):
    receiver = Receiver()
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer very-secret-token"}
    ended = scene.run("run", scene.pipeline(""), "--date", "2026-02-01", RUST_LOG="trace", **variables)
    assert "very-secret-token" not in ended.stderr + ended.stdout
    assert all(headers["authorization"] == "Bearer very-secret-token" for headers in receiver.headers)

    points = {}
    for request in receiver.of("/v1/metrics", ExportMetricsServiceRequest):
        for resource in request.resource_metrics:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert attributes["service.name"] == "compline"
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.gauge.data_points:
                    labels = {one.key: one.value.string_value for one in point.attributes}
                    assert set(labels) == METRICS[metric.name], (metric.name, labels)
                    points.setdefault(metric.name, {})[labels["aggregator"]] = point.as_double
    assert len(points) > 20 and points["compline_last_run_success"] == {"org": 1, "security": 1}

    spans = [span for request in receiver.of("/v1/traces", ExportTraceServiceRequest) for resource in request.resource_spans
             for scope in resource.scope_spans for span in scope.spans]
    by_id = {span.span_id: span for span in spans}

    def path(span):
        return [*path(by_id[span.parent_span_id]), span.name] if span.parent_span_id else [span.name]

    paths = {" ".join(path(span)) for span in spans}
    assert {"run aggregator collect shard", "run aggregator commit", "run aggregator trends"} <= paths, paths
    assert len({span.trace_id for span in spans}) == 1
    shards = [span for span in spans if span.name == "shard"]
    assert len(shards) >= 3 and all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)


@pytest.mark.parametrize("status", [200, 500, None])
def test_a_receiver_that_refuses_or_is_not_there_costs_a_warning_and_not_the_day(scene, status):
    url = Receiver(status).url if status else "http://127.0.0.1:9"
    ended = scene.run("run", scene.pipeline(""), "--date", "2026-02-01", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    warned = re.findall(r"OTLP.*", ended.stderr)
    assert bool(warned) == (status != 200), ended.stderr
    assert all(str(status or "not reached") in line for line in warned), warned


def test_a_lake_s_status_says_when_it_was_verified(scene):
    file = scene.pipeline("")
    scene.run("run", file, "--date", "2026-02-01")
    status = lambda code=0: json.loads(scene.run("status", file, "--json", "--max-age", "10000d", code=code).stdout)[0]
    assert status()["last_verification"] is None
    scene.run("verify", file, "--from", "2026-02-01")
    assert status()["last_verification"] is None, "a part of it says nothing of the whole"
    scene.run("verify", file)
    assert status()["last_verification"]["problems"] == 0
    (trends,) = pathlib.Path(scene.folder).glob("lake/compliance_trends/*/aggregator=org/data.parquet")
    trends.unlink()
    scene.run("verify", file, code=1)
    found = status(1)
    assert found["last_verification"]["problems"] >= 1 and "compliance_trends of 2026-02-01 is not in the lake" in found["unread"][0]
