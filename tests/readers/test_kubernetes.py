"""The shipped Kubernetes base: sound by the published schemas, as strict as the restricted pod security standard, and of the
same values as the program and its pipeline file."""

import pathlib
import re
import shutil
import subprocess
import tomllib

import kubernetes_validate
import pytest
import yaml

from conftest import COMPLINE

NIGHTLY = pathlib.Path(__file__).parents[2] / "pipelines" / "nightly"
BASE = NIGHTLY / "kubernetes"
KUSTOMIZATION = yaml.safe_load((BASE / "kustomization.yaml").read_text())
RESOURCES = [document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((BASE / name).read_text())]
CRON_JOBS = {one["metadata"]["name"]: one for one in RESOURCES if one["kind"] == "CronJob"}


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def container(job):
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def helped(command):
    return " ".join(subprocess.run([COMPLINE, command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout.split())


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: f"{one['kind']}/{one['metadata']['name']}")
def test_a_resource_is_one_by_the_published_schema(resource):
    kubernetes_validate.validate(resource, "1.32", strict=True)


def test_the_schema_finds_what_is_wrong():
    wrong = {**CRON_JOBS["compline-run"], "spec": {**CRON_JOBS["compline-run"]["spec"], "timezone": "Etc/UTC"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.32", strict=True)


def test_the_commands_are_ones_that_the_program_has():
    assert {name: container(job)["args"][0] for name, job in CRON_JOBS.items()} == {
        "compline-run": "run", "compline-maintain": "maintain", "compline-verify": "verify"}
    for job in CRON_JOBS.values():
        command, file, *options = container(job)["args"]
        assert file == "/etc/compline/pipeline.toml" and "<FILE>" in helped(command)
        assert all(option in helped(command) for option in options if option.startswith("--")), options


def test_the_pipeline_file_is_the_nightly_one_and_is_mounted_where_it_is_read():
    assert (BASE / "pipeline.toml").read_text() == (NIGHTLY / "pipeline.toml").read_text()
    assert KUSTOMIZATION["configMapGenerator"] == [{"name": "compline", "files": ["pipeline.toml"]}]
    for job in CRON_JOBS.values():
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["volumes"] == [{"name": "pipeline", "configMap": {"name": "compline"}}]
        assert container(job)["volumeMounts"] == [{"name": "pipeline", "mountPath": "/etc/compline", "readOnly": True}]
    plan = subprocess.run([COMPLINE, "plan", BASE / "pipeline.toml"], capture_output=True, text=True, timeout=60)
    assert plan.returncode == 0, plan


def test_what_another_try_cannot_change_is_not_tried_again():
    said = helped("run")
    codes = {code: re.search(rf"\b{code} ([a-z ]+)", said).group(1) for code in (1, 2, 3, 4, 5)}
    assert "usage" in codes[2] and "lost" in codes[4] and "another run" in codes[5], codes
    not_again = {name: rule["onExitCodes"] for name, job in CRON_JOBS.items()
                 for rule in job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"}
    assert {name: rule["values"] for name, rule in not_again.items()} == {
        "compline-run": [2, 4, 5], "compline-maintain": [2, 5], "compline-verify": [1, 2]}
    assert all(rule["operator"] == "In" and rule["containerName"] == "compline" for rule in not_again.values())
    assert "Exit code 1 if there is a problem" in helped("verify")


def test_a_job_lasts_longer_than_what_it_runs_and_ends_before_the_next():
    fetch = tomllib.loads((BASE / "pipeline.toml").read_text())["fetch"]
    job = CRON_JOBS["compline-run"]
    deadline = job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    arguments = container(job)["args"]
    wait = seconds(arguments[arguments.index("--wait") + 1])
    # An hour for the trends and for what is left to be written.
    assert fetch["run_deadline_secs"] + wait + 3600 <= deadline < 24 * 3600
    for job in CRON_JOBS.values():
        spec = job["spec"]
        assert spec["concurrencyPolicy"] == "Forbid" and spec["timeZone"] == "Etc/UTC"
        minute, hour, *_ = spec["schedule"].split()
        # A start that is late is still of the day that it was meant for.
        assert int(hour) * 3600 + int(minute) * 60 + spec["startingDeadlineSeconds"] < 24 * 3600
        assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_a_pod_may_do_nothing_that_it_need_not():
    for job in CRON_JOBS.values():
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False and pod["serviceAccountName"] == "compline"
        own = container(job)["securityContext"]
        assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        resources = container(job)["resources"]
        assert "memory" in resources["limits"] and {"cpu", "memory"} <= set(resources["requests"])


def sharded():
    """What the overlay makes of the nightly run, as its patch says it."""
    (patch,) = yaml.safe_load_all((NIGHTLY / "kubernetes-sharded" / "run.yaml").read_text())
    return patch["spec"]["jobTemplate"]["spec"]


def test_an_indexed_job_deals_the_aggregators_to_as_many_pods_as_it_has():
    job = sharded()
    (own,) = job["template"]["spec"]["containers"]
    base = container(CRON_JOBS["compline-run"])["args"]
    count = job["completions"]
    assert own["args"] == [*base, "--shard", f"$(JOB_COMPLETION_INDEX)/{count}"] and "--shard" in helped("run")
    assert job["completionMode"] == "Indexed" and job["parallelism"] == count
    # What another try cannot change ends its own pod, and not those of the others.
    (fails,) = [rule for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailIndex"]
    (of_base,) = [rule for rule in CRON_JOBS["compline-run"]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
                  if rule["action"] == "FailJob"]
    assert fails["onExitCodes"] == of_base["onExitCodes"]
    assert job["backoffLimit"] == count * (1 + job["backoffLimitPerIndex"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl builds the overlay")
def test_kustomize_builds_the_overlay_and_it_is_one_by_the_published_schema():
    built = subprocess.run(["kubectl", "kustomize", NIGHTLY / "kubernetes-sharded"], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built
    jobs = {one["metadata"]["name"]: one for one in yaml.safe_load_all(built.stdout) if one["kind"] == "CronJob"}
    for job in jobs.values():
        kubernetes_validate.validate(job, "1.32", strict=True)
    spec = jobs["compline-run"]["spec"]["jobTemplate"]["spec"]
    assert spec["completions"] == sharded()["completions"] and spec["activeDeadlineSeconds"] == 43200
    assert spec["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl builds the base")
def test_kustomize_builds_the_base_with_the_file_and_the_image_in_it():
    built = subprocess.run(["kubectl", "kustomize", BASE], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built
    documents = list(yaml.safe_load_all(built.stdout))
    config = next(one for one in documents if one["kind"] == "ConfigMap")
    assert config["data"]["pipeline.toml"] == (BASE / "pipeline.toml").read_text()
    jobs = [one for one in documents if one["kind"] == "CronJob"]
    assert len(jobs) == 3
    for job in jobs:
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"], "the name has the content's hash"
        assert pod["containers"][0]["image"] == "registry.example.com/compline:0.1.0"
        assert job["metadata"]["namespace"] == "compline"
