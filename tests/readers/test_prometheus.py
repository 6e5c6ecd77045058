"""The shipped alerts and dashboard: sound by Prometheus' own promtool and Grafana's own schema, and about metrics that there are."""

import json
import pathlib
import re
import subprocess

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from test_kubernetes import helped

ROOT = pathlib.Path(__file__).parents[2]
NIGHTLY = ROOT / "pipelines" / "nightly"
RULES = NIGHTLY / "prometheus" / "alerts.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((NIGHTLY / "grafana" / "compline.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
# Every series has these; `instance` and `job` are Prometheus' own.
LABELS = {"lake", "aggregator"}
METRICS = {name: LABELS | set(more) for name, *more in (
    line.split() for line in (ROOT / "tests" / "readers" / "metrics.txt").read_text().splitlines() if not line.startswith("#"))}


def promtool(*arguments, text=None):
    return subprocess.run([ROOT / "tests" / "promtool", *arguments], input=text, capture_output=True, text=True, timeout=600)


def assert_metrics_are_sound(text):
    """A text file of Compline's: one that Prometheus reads, of gauges alone, with names and labels of the list. Gives its names."""
    checked = promtool("check", "metrics", text=text)
    # The days of a calendar are counted, which is no duration.
    said = [line for line in (checked.stdout + checked.stderr).splitlines()
            if line and not line.endswith('_days use base unit "seconds" instead of "days"')
            and not re.match(r'compline_\w+_days_\w+ use base unit "seconds" instead of "days"$', line)]
    # 3 is for advice alone.
    assert checked.returncode in (0, 3) and not said, checked
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    series = re.findall(r"^([a-zA-Z_:]\w*)\{(.*)\} \S+$", text, re.MULTILINE)
    assert len(series) == sum(not line.startswith("#") for line in text.splitlines() if line), "a line that is no series with labels"
    for name, labels in series:
        assert types.get(name) == "gauge" and name in METRICS, f"{name} is no gauge of metrics.txt"
        found = set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', labels))
        assert found == METRICS[name] or (found == METRICS[name] | {"dataset"} and 'dataset="rules"' in labels), (name, labels)
    return {name for name, _ in series}


def metrics_in(text):
    return set(re.findall(r"\bcompline_\w+", text))


def test_promtool_finds_nothing_wrong_with_the_alerts():
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert checked.returncode == 0 and f"{len(ALERTS)} rules found" in checked.stdout, checked


@pytest.mark.parametrize("tests", ["alerts_test.yaml", "alerts_days_test.yaml"])
def test_each_alert_fires_on_its_fault_alone(tests):
    tested = promtool("test", "rules", RULES.parent / tests)
    assert tested.returncode == 0 and "SUCCESS" in tested.stdout, tested.stdout + tested.stderr


def test_each_alert_is_tried():
    tried = "".join(path.read_text() for path in RULES.parent.glob("*_test.yaml"))
    assert {rule["alert"] for rule in ALERTS} == set(re.findall(r'alertname="(\w+)"', tried))


def test_an_alert_says_how_bad_it_is_and_what_to_do_with_commands_and_views_that_there_are():
    views = (NIGHTLY / "athena" / "views.sql").read_text() + (NIGHTLY / "athena" / "tables.sql").read_text()
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description", "action"}, rule["alert"]
        quoted = re.findall(r"`([^`]+)`", " ".join(rule["annotations"].values()))
        assert quoted or rule["alert"] == "ComplineNoMetrics", rule["alert"]
        for command in (one for one in quoted if one.startswith("compline ")):
            _, name, *options = command.split()
            assert all(option in helped(name) for option in options if option.startswith("--")), command
        for name in (one for one in quoted if re.fullmatch(r"[a-z]+_[a-z_]+", one)):
            assert re.search(rf"\b{name}\b", views) or name in ("max_loss_percent", "node_textfile_scrape_error"), name
    # As the command for whatever watches has it.
    assert "26 * 3600" in ALERTS[0]["expr"] and "[default: 26h]" in helped("status")


def test_alerts_and_dashboard_are_about_metrics_that_there_are():
    alerts = metrics_in(RULES.read_text())
    shown = metrics_in(json.dumps(DASHBOARD))
    assert len(alerts) > 8 and len(shown) > 20
    assert alerts | shown <= set(METRICS), (alerts | shown) - set(METRICS)
    for title, target in TARGETS:
        labels = set().union(*(METRICS[name] for name in metrics_in(target["expr"])))
        asked = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) | set(
            re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))
        # Which series of rules alone have.
        asked.discard("dataset")
        assert asked <= labels, (title, asked - labels)


def test_prometheus_understands_each_expression_of_the_dashboard(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": target["expr"]} for number, (_, target) in enumerate(TARGETS)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0 and f"{len(rules)} rules found" in checked.stdout, checked


def unknown(ours, known, path=""):
    """What of a document Grafana's own types do not have."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            yield from unknown(value, known[key], f"{path}/{key}") if key in known else [f"{path}/{key}"]
    elif isinstance(ours, list):
        for number, (value, other) in enumerate(zip(ours, known, strict=True)):
            yield from unknown(value, other, f"{path}/{number}")
    elif ours != known:
        yield path


def by_grafana(dashboard):
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def test_the_dashboard_is_one_by_grafanas_own_types():
    assert list(unknown(DASHBOARD, by_grafana(DASHBOARD))) == []
    # The newest that Grafana's published schema knows.
    assert DASHBOARD["schemaVersion"] == Dashboard().schema_version
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][1]["options"]["colourMode"] = "value"
    assert list(unknown(wrong, by_grafana(wrong))) == ["/panels/1/options/colourMode"]


def test_the_dashboard_can_be_imported_anywhere():
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "lake", "aggregator"] and variables["datasource"]["type"] == "datasource"
    sources = [one["datasource"] for one in [*PANELS, *(target for _, target in TARGETS), variables["lake"], variables["aggregator"]]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    # Grafana numbers a dashboard itself.
    assert "id" not in DASHBOARD and "__inputs" not in DASHBOARD
    for title, target in TARGETS:
        for name in metrics_in(target["expr"]):
            assert not re.search(rf'{name}(?!\w|\{{lake=~"\$lake", aggregator=~"\$aggregator")', target["expr"]), (title, name)


def test_panels_are_told_apart_and_do_not_cover_each_other():
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    covered = {}
    for panel in everything:
        place = panel["gridPos"]
        assert place["w"] > 0 and place["h"] > 0 and 0 <= place["x"] and place["x"] + place["w"] <= 24
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
            assert cell not in covered, (panel["title"], covered[cell])
            covered[cell] = panel["title"]
    for panel in PANELS:
        ids = [target["refId"] for target in panel["targets"]]
        assert panel["description"] and len(set(ids)) == len(ids), panel["title"]


SOUND = """\
# HELP compline_held_days Days that are held.
# TYPE compline_held_days gauge
compline_held_days{lake="s3://b/\\"p\\"",aggregator="org"} 2
# HELP compline_run_stage_seconds Seconds of a stage of the last run.
# TYPE compline_run_stage_seconds gauge
compline_run_stage_seconds{lake="s3://b/p",aggregator="org",stage="collect"} 1.5
"""


def test_metrics_that_are_sound_pass():
    assert assert_metrics_are_sound(SOUND) == {"compline_held_days", "compline_run_stage_seconds"}


@pytest.mark.parametrize("old, new", [
    ('aggregator="org"} 2', 'aggregator="or"g"} 2'), ("} 1.5", "} one"), ("# HELP compline_held_days Days that are held.\n", ""),
    (" gauge", " counter"), ("compline_held_days", "compline_days_held"), ('stage="collect"', 'step="collect"'),
    ('lake="s3://b/p",', ""), ("} 1.5\n", "} 1.5")])
def test_metrics_that_are_not_sound_are_found(old, new):
    assert old in SOUND
    with pytest.raises(AssertionError):
        assert_metrics_are_sound(SOUND.replace(old, new))
