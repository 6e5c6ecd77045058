"""The shipped Terraform module: sound by its own language and by the AWS provider's schema, of the same values as the Kubernetes base,
and with rights that are written once, in the shipped policy."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import boto3
import hcl2
import pytest
from moto import mock_aws
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.mocking.mock_config import MockedResponseReturn, MockedResponseThrow

from test_kubernetes import CRON_JOBS, container
from test_systemd import SERVICES, seconds, setting

NIGHTLY = pathlib.Path(__file__).parents[2] / "pipelines" / "nightly"
MODULE = NIGHTLY / "terraform"
SOURCES = sorted(MODULE.rglob("*.tf"))
SHIPPED = json.loads((NIGHTLY / "iam-policy.json").read_text())
SHIPPED_BY_SID = {statement["Sid"]: statement for statement in SHIPPED["Statement"]}
# Arguments and blocks of the resources that are used, as version 6.25.0 of hashicorp/aws has them.
PROVIDER = json.loads((pathlib.Path(__file__).parent / "aws_provider.json").read_text())
# What Terraform itself has in a resource.
META = {"for_each", "count", "depends_on", "lifecycle", "provider", "dynamic"}
TERRAFORM = pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform evaluates its own language")

# It asks nobody whether it is the newest.
WITHOUT_NETWORK = {**os.environ, "CHECKPOINT_DISABLE": "1"}

ACCOUNT = "444455556666"
HERE = {"name": "compline", "partition": "aws", "region": "eu-west-1", "account_id": ACCOUNT, "bucket": "lake", "prefix": "of/ours",
        "kms_key_arn": None, "database": None, "aggregator_arns": [], "aggregator_role_arns": [], "name_accounts": False, "sns_topic_arns": [], "event_bus_arns": [],
        "irsa": None, "pod_identity": None, "ecs": False}
ALL = {**HERE, "kms_key_arn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/ours", "database": "packs", "name_accounts": True,
       "aggregator_role_arns": ["arn:aws:iam::111122223333:role/reader"],
       "sns_topic_arns": [f"arn:aws:sns:eu-west-1:{ACCOUNT}:ours"],
       "event_bus_arns": [f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/ours"],
       "irsa": {"oidc_provider_arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.example.com/id/A", "namespace": "n", "service_account": "s"},
       "pod_identity": {"cluster_name": "main", "namespace": "n", "service_account": "s"}, "ecs": True}


def plain(value):
    """What the parser has, without the quotes of strings, and without its comments and marks."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value[1:-1] if isinstance(value, str) and value.startswith('"') else value


def parsed(path):
    return plain(hcl2.loads(path.read_text()))


JOBS = next(block["jobs"] for block in parsed(MODULE / "schedule.tf")["locals"] if "jobs" in block)


def resources(sources=SOURCES):
    for path in sources:
        for block in parsed(path).get("resource", []):
            for kind, named in block.items():
                for name, body in named.items():
                    yield kind, name, body


def unknown(body, known, where):
    """What the provider has not, and what it requires that is not there."""
    blocks = known.get("blocks", {})
    given = {key: value for key, value in body.items() if key not in META}
    for dynamic in body.get("dynamic", []):
        for name, inner in dynamic.items():
            given[name] = given.get(name, []) + inner["content"]
    for name, value in given.items():
        if name in blocks:
            for inner in value:
                yield from unknown(inner, blocks[name], f"{where}.{name}")
        elif name not in known["arguments"]:
            yield f"{where}.{name}"
    required = [name for name, need in known["arguments"].items() if need == "required"]
    required += [name for name, block in blocks.items() if block.get("required")]
    yield from (f"no {where}.{name}" for name in required if name not in given)


def test_every_argument_is_one_that_the_provider_has_and_none_that_it_requires_is_missing():
    seen = set()
    for kind, name, body in resources():
        assert kind in PROVIDER, f"{kind} is not in aws_provider.json"
        assert list(unknown(body, PROVIDER[kind], f"{kind}.{name}")) == []
        seen.add(kind)
    assert seen == set(PROVIDER)
    # What is wrong is found.
    wrong = plain(hcl2.loads('resource "aws_scheduler_schedule" "a" {\n schedule = "x"\n target {\n role_arn = "y"\n }\n}\n'))
    body = wrong["resource"][0]["aws_scheduler_schedule"]["a"]
    assert sorted(unknown(body, PROVIDER["aws_scheduler_schedule"], "a")) == [
        "a.schedule", "no a.flexible_time_window", "no a.schedule_expression", "no a.target.arn"]


def test_every_variable_and_output_is_described_and_every_variable_has_a_type():
    for path in SOURCES:
        document = parsed(path)
        for block in document.get("variable", []):
            for name, body in block.items():
                assert body["description"].endswith(".") and body["type"], name
        for block in document.get("output", []):
            for name, body in block.items():
                assert body["description"], name
        assert "provider" not in document, "a module with a provider of its own cannot be removed"


def test_the_calls_in_the_readme_name_variables_that_there_are():
    variables = {name for block in parsed(MODULE / "variables.tf")["variable"] for name in block}
    readme = (MODULE / "README.md").read_text()
    called = [plain(hcl2.loads(text)) for text in re.findall(r"```hcl\n(.*?)```", readme, re.DOTALL)]
    calls = [body for document in called for block in document["module"] for body in block.values()]
    assert calls and all(set(body) - {"source"} <= variables for body in calls)
    assert all(body["source"].endswith("//pipelines/nightly/terraform") for body in calls), "the policy is beside the module"
    assert len(readme.splitlines()) <= 30


@TERRAFORM
def test_terraform_finds_the_module_formatted():
    checked = subprocess.run(["terraform", "fmt", "-check", "-recursive", MODULE], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0 and checked.stdout == "", checked


def evaluated(expression, folder):
    """What an expression is, by Terraform."""
    said = subprocess.run(["terraform", "console"], input=f"jsonencode({expression})\n", cwd=folder, env=WITHOUT_NETWORK,
                          capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said
    return json.loads(json.loads(said.stdout))


def terraform(folder, *arguments):
    return subprocess.run(["terraform", *arguments, "-no-color"], cwd=folder, env=WITHOUT_NETWORK, capture_output=True, text=True, timeout=120)


def laid_out(folder, policy=SHIPPED):
    """The part of the module that needs no provider, as it lies beside the policy."""
    (folder / "iam-policy.json").write_text(json.dumps(policy))
    shutil.copytree(MODULE / "iam", folder / "terraform" / "iam")
    iam = folder / "terraform" / "iam"
    assert terraform(iam, "init").returncode == 0
    return iam


def applied(iam, variables):
    (iam / "terraform.tfvars.json").write_text(json.dumps(variables))
    done = terraform(iam, "apply", "-auto-approve")
    if done.returncode != 0:
        return None, " ".join(re.sub(r"[│╷╵]", "", done.stderr).split())
    outputs = json.loads(terraform(iam, "output", "-json").stdout)
    return {name: output["value"] for name, output in outputs.items()}, None


@TERRAFORM
def test_the_policy_has_the_shipped_actions_on_resources_of_ones_own(tmp_path):
    outputs, _ = applied(laid_out(tmp_path), ALL)
    made = json.loads(outputs["policy"])
    assert made["Version"] == SHIPPED["Version"]
    assert {one["Sid"]: (one["Effect"], one["Action"]) for one in made["Statement"]} == {
        sid: (one["Effect"], one["Action"]) for sid, one in SHIPPED_BY_SID.items()}
    resources = {one["Sid"]: one["Resource"] for one in made["Statement"]}
    assert resources.pop("ListTheAggregators") == resources.pop("NameTheAccounts") == ["*"]
    assert resources.pop("AskTheAggregators") == [f"arn:aws:config:*:{ACCOUNT}:config-aggregator/*"]
    assert resources["ReadAndWriteTheLake"] == ["arn:aws:s3:::lake/of/ours/*"]
    assert resources["ListTheLake"] == resources["FindUploadsThatNobodyFinished"] == ["arn:aws:s3:::lake"]
    assert resources["UseTheKeyOfTheLake"] == [ALL["kms_key_arn"]]
    assert resources["AssumeTheRolesOfAggregators"] == ALL["aggregator_role_arns"]
    assert resources["UpdateTheCatalog"] == [
        f"arn:aws:glue:eu-west-1:{ACCOUNT}:{name}" for name in ("catalog", "database/packs", "table/packs/*")]
    one = f"arn:aws:config:eu-west-1:{ACCOUNT}:config-aggregator/ours"
    outputs_of_one, _ = applied(tmp_path / "terraform" / "iam", {**ALL, "aggregator_arns": [one]})
    assert f'"Resource":["{one}"]' in outputs_of_one["policy"]
    # Nothing of the example is left, and nothing is of any account.
    assert "example" not in outputs["policy"] and not any("*:" in arn or ":*" in arn for arns in resources.values() for arn in arns)
    assert {one["Sid"]: one["Condition"] for one in made["Statement"] if "Condition" in one} == {
        "ListTheLake": {"StringLike": {"s3:prefix": "of/ours/*"}}}


@TERRAFORM
def test_a_statement_whose_resources_are_not_given_is_left_out(tmp_path):
    outputs, _ = applied(laid_out(tmp_path), HERE)
    assert [one["Sid"] for one in json.loads(outputs["policy"])["Statement"]] == [
        "ListTheAggregators", "AskTheAggregators", "ReadAndWriteTheLake", "ListTheLake", "FindUploadsThatNobodyFinished"]
    assert outputs["trust"] == {}


@TERRAFORM
def test_a_policy_of_another_release_is_refused(tmp_path):
    more = {**SHIPPED, "Statement": [*SHIPPED["Statement"], {**SHIPPED["Statement"][0], "Sid": "DoWhatIsNew"}]}
    (tmp_path / "more").mkdir()
    _, error = applied(laid_out(tmp_path / "more", more), ALL)
    assert "does not know: DoWhatIsNew" in error, error
    less = {**SHIPPED, "Statement": [one for one in SHIPPED["Statement"] if one["Sid"] != "ListTheLake"]}
    (tmp_path / "less").mkdir()
    _, error = applied(laid_out(tmp_path / "less", less), ALL)
    assert "no statement of the name ListTheLake" in error, error


@TERRAFORM
def test_a_role_is_trusted_to_one_service_account_or_to_the_tasks_of_this_account(tmp_path):
    outputs, _ = applied(laid_out(tmp_path), ALL)
    trust = {way: json.loads(text)["Statement"] for way, text in outputs["trust"].items()}
    assert trust == {
        "irsa": [{"Effect": "Allow", "Principal": {"Federated": ALL["irsa"]["oidc_provider_arn"]}, "Action": "sts:AssumeRoleWithWebIdentity",
                  "Condition": {"StringEquals": {"oidc.example.com/id/A:aud": "sts.amazonaws.com",
                                                 "oidc.example.com/id/A:sub": "system:serviceaccount:n:s"}}}],
        "pod-identity": [{"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"},
                          "Action": ["sts:AssumeRole", "sts:TagSession"],
                          "Condition": {"StringEquals": {
                              "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/main",
                              "aws:RequestTag/kubernetes-namespace": "n", "aws:RequestTag/kubernetes-service-account": "s"}}}],
        "ecs": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole",
                 "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT},
                               "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:eu-west-1:{ACCOUNT}:*"}}}],
    }
    for service, text in outputs["service_trust"].items():
        (statement,) = json.loads(text)["Statement"]
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT


def actions_of(text):
    return set(re.findall(r"(?<![:\w])(?:config|s3|kms|glue|sts|sns|events|organizations):(?:\*|[A-Z]\w+)", text))


def test_what_compline_may_do_is_written_in_one_file():
    lists = ([one["Action"]] if isinstance(one["Action"], str) else one["Action"] for one in SHIPPED["Statement"])
    assert {action for actions in lists for action in actions} <= actions_of((NIGHTLY / "iam-policy.json").read_text())
    files = [path for path in NIGHTLY.parent.rglob("*") if path.is_file() and ".terraform" not in path.parts]
    elsewhere = {path.relative_to(NIGHTLY.parent).as_posix(): actions_of(path.read_text()) for path in files}
    del elsewhere["nightly/iam-policy.json"]
    assert {name: found for name, found in elsewhere.items() if found} == {
        # Who may be Compline.
        "nightly/terraform/iam/trust.tf": {"sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession"},
        # What is denied to everybody without TLS.
        "nightly/terraform/lake.tf": {"s3:*"},
        # What Step Functions does to learn that a task has ended.
        "nightly/terraform/schedule.tf": {"events:PutTargets", "events:PutRule", "events:DescribeRule"},
        # What a job on Spark may do, which Compline is not.
        "spark/README.md": {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "kms:Decrypt",
                            "kms:GenerateDataKey"},
    }


def test_nothing_is_allowed_on_every_resource_but_what_has_no_resource_level():
    for path in SOURCES:
        for statement in re.findall(r"\{[^{}]*\bAction\s*=[^{}]*\}", path.read_text()):
            if re.search(r'Resource\s*=\s*\[?"\*"', statement):
                assert re.search(r'Action\s*=\s*\["ecr:GetAuthorizationToken"\]', statement), (path, statement)
    assert 'resources = ["*"]' in (MODULE / "iam" / "policy.tf").read_text()
    assert (MODULE / "iam" / "policy.tf").read_text().count('"*"') == 2, "config:DescribeConfigurationAggregators and organizations:ListAccounts"


def spec(name):
    return CRON_JOBS[f"compline-{name}"]["spec"]


def test_the_schedules_commands_deadlines_and_tries_are_those_of_kubernetes():
    assert set(JOBS) == {name.removeprefix("compline-") for name in CRON_JOBS}
    schedules = {name: body for kind, name, body in resources() if kind == "aws_scheduler_schedule"}
    (schedule,) = schedules.values()
    (target,) = schedule["target"]
    assert schedule["schedule_expression_timezone"] == "UTC" and schedule["flexible_time_window"] == [{"mode": "OFF"}]
    for name, job in JOBS.items():
        cron = spec(name)
        minute, hour, *_, weekday = cron["schedule"].split()
        # EventBridge names the days of the week, and has ? for the field that the other one makes superfluous.
        assert job["schedule"] == f"cron({minute} {hour} " + {"*": "* * ? *)", "0": "? * SUN *)"}[weekday]
        assert job["command"] == container(CRON_JOBS[f"compline-{name}"])["args"]
        assert job["deadline_secs"] == cron["jobTemplate"]["spec"]["activeDeadlineSeconds"]
        assert job["retries"] == cron["jobTemplate"]["spec"]["backoffLimit"]
        (fails,) = [rule for rule in cron["jobTemplate"]["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
        assert job["final_exit_codes"] == fails["onExitCodes"]["values"]
        assert target["retry_policy"][0]["maximum_event_age_in_seconds"] == cron["startingDeadlineSeconds"]


def test_the_task_has_the_memory_the_user_and_the_time_to_stop_of_a_pod():
    text = (MODULE / "task.tf").read_text()
    (task,) = [body for kind, _, body in resources() if kind == "aws_ecs_task_definition"]
    for name in JOBS:
        pod = spec(name)["jobTemplate"]["spec"]["template"]["spec"]
        own = container(CRON_JOBS[f"compline-{name}"])
        assert f"{task['memory']}Mi" == own["resources"]["limits"]["memory"].replace("1Gi", "1024Mi")
        # Of Fargate's sizes the one that has what is asked for.
        assert task["cpu"] == 512 and own["resources"]["requests"]["cpu"] == "500m"
        assert f'user        = "{pod["securityContext"]["runAsUser"]}:{pod["securityContext"]["runAsGroup"]}"' in text
        assert re.search(r"stopTimeout = (\d+)", text).group(1) == str(pod["terminationGracePeriodSeconds"])
        assert 'readonlyRootFilesystem = true' in text and 'capabilities = { drop = ["ALL"] }' in text
        assert own["volumeMounts"][0]["mountPath"] == re.search(r'containerPath = "([^"]+)", readOnly = true', text).group(1)


@TERRAFORM
def test_the_pipeline_file_arrives_as_it_was(tmp_path):
    pipeline = NIGHTLY / "pipeline.toml"
    command = re.search(r'command\s+= \["(printf .*)"\]', (MODULE / "task.tf").read_text()).group(1).replace('\\"', '"')
    packed = evaluated(f'base64gzip(file("{pipeline}"))', tmp_path)
    there = tmp_path / "pipeline.toml"
    command = command.replace("/etc/compline/pipeline.toml", str(there))
    subprocess.run(["sh", "-c", command], check=True, timeout=60, env={"PIPELINE_FILE": packed, "PATH": "/usr/bin:/bin"})
    assert there.read_bytes() == pipeline.read_bytes()
    # One that was cut is no success, so that Compline does not start.
    cut = {"PIPELINE_FILE": packed[: len(packed) // 8 * 4], "PATH": "/usr/bin:/bin"}
    assert subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, env=cut).returncode != 0


def ended(exit_code):
    """What Step Functions has of a task that ended. Without an exit code: one that was stopped before it ran."""
    own = {"Name": "compline"} if exit_code is None else {"Name": "compline", "ExitCode": exit_code}
    if exit_code == 0:
        return MockedResponseReturn(0, 0, {"LastStatus": "STOPPED", "Containers": [own]})
    cause = json.dumps({"Containers": [{"Name": "pipeline", "ExitCode": 0}, own], "LastStatus": "STOPPED"})
    return MockedResponseThrow(0, 0, "TaskFailed", cause)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    """The state machines, as Terraform makes them."""
    folder = tmp_path_factory.mktemp("console")
    own = {"partition": "aws", "cluster_arn": "arn:cluster", "task_definition_arn": "arn:task", "subnet_ids": ["subnet-1", "subnet-2"],
           "security_group_ids": ["sg-1"], "assign_public_ip": False}
    made = {}
    for name, job in JOBS.items():
        variables = {**own, **{key: job[key] for key in ("command", "deadline_secs", "retries", "final_exit_codes")}}
        made[name] = evaluated(
            f'jsondecode(templatefile("{MODULE}/state-machine.json.tftpl", jsondecode({json.dumps(json.dumps(variables))})))', folder)
    return made


def executed(definition, answers, monkeypatch):
    """How an execution ends, and how many tasks it ran: the engine is moto's, the tasks' ends are given."""
    ran = []

    def next_answer(_):
        ran.append(True)
        return answers[min(len(ran), len(answers)) - 1]

    monkeypatch.setattr(Environment, "is_mocked_mode", lambda environment: environment.next_state_name == "Run")
    monkeypatch.setattr(Environment, "get_current_mocked_response", next_answer)
    waits_not = {**definition, "States": {**definition["States"], "Wait": {**definition["States"]["Wait"], "Seconds": 0}}}
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client = boto3.client("stepfunctions", "eu-west-1")
        role = f"arn:aws:iam::{ACCOUNT}:role/states"
        machine = client.create_state_machine(name="m", definition=json.dumps(waits_not), roleArn=role)["stateMachineArn"]
        execution = client.start_execution(stateMachineArn=machine)["executionArn"]
        deadline = time.monotonic() + 60
        while (end := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.05)
    return end["status"], end.get("error"), len(ran)


@TERRAFORM
@pytest.mark.parametrize("name", JOBS)
def test_what_another_try_cannot_change_is_not_tried_again_by_step_functions(name, definitions, monkeypatch):
    final = JOBS[name]["final_exit_codes"]
    for code in range(1, 6):
        end = executed(definitions[name], [ended(code)], monkeypatch)
        assert end == (("FAILED", f"ExitCode{code}", 1) if code in final else ("FAILED", "GaveUp", JOBS[name]["retries"] + 1)), code
    assert executed(definitions[name], [ended(0)], monkeypatch) == ("SUCCEEDED", None, 1)


@TERRAFORM
def test_a_task_that_was_not_started_or_was_stopped_before_it_ran_is_tried_again(definitions, monkeypatch):
    no_capacity = MockedResponseThrow(0, 0, "ECS.AmazonECSException", "Capacity is unavailable at this time.")
    refused = MockedResponseThrow(0, 0, "AmazonECS.Unknown", '{"Failures": [{"Reason": "AGENT"}]}')
    assert executed(definitions["run"], [no_capacity, refused, ended(None), ended(0)], monkeypatch) == ("SUCCEEDED", None, 4)


@TERRAFORM
def test_a_state_machine_ends_a_task_at_its_deadline_and_waits_as_systemd_does(definitions):
    for name, definition in definitions.items():
        run = definition["States"]["Run"]
        assert definition["TimeoutSeconds"] == run["TimeoutSeconds"] == JOBS[name]["deadline_secs"]
        assert definition["States"]["Wait"]["Seconds"] == 60 * int(setting(SERVICES[name], "RestartSec").removesuffix("min"))
        assert run["Parameters"]["Overrides"]["ContainerOverrides"] == [{"Name": "compline", "Command": JOBS[name]["command"]}]
        # It waits for nothing that a timeout has ended.
        assert [one["ErrorEquals"] for one in run["Catch"]] == [["States.TaskFailed"]]


@TERRAFORM
def test_alarms_have_a_dimension_of_rules_and_none_of_packs(tmp_path):
    others = 'locals {\n  lake         = "s3://lake/of/ours"\n  fargate_jobs = {}\n}\nvariable "alarms" {\n  default = %s\n}\n'
    (tmp_path / "alarms.tf").write_text((MODULE / "alarms.tf").read_text().split("resource ")[0])
    # An id may end in what names the rules of another.
    (tmp_path / "others.tf").write_text(others % '{ aggregators = ["org", "org-rules", "org"], rules = ["org"], topic_arns = [] }')
    alarms = evaluated("local.alarm_days", tmp_path)
    dimensions = {name: {"aggregator": one["aggregator"], **one["dataset"]} for name, one in alarms.items()}
    assert dimensions == {"org": {"aggregator": "org"}, "org-rules": {"aggregator": "org-rules"}, "org.rules": {"aggregator": "org", "dataset": "rules"}}
    (tmp_path / "others.tf").write_text(others % "null")
    assert evaluated("local.alarm_days", tmp_path) == {}
    for kind, name, body in resources():
        if kind == "aws_cloudwatch_metric_alarm" and name != "failed":
            assert body["for_each"] == "${local.alarm_days}" and "each.value.dataset" in body["dimensions"], name


def test_an_alarm_looks_back_longer_than_a_night_takes_and_no_longer_than_cloudwatch_can():
    alarms = {name: body for kind, name, body in resources() if kind == "aws_cloudwatch_metric_alarm"}
    assert {alarms[name]["metric_name"] for name in ("no_success", "held")} == {"compline_last_success_age_seconds", "compline_held_days"}
    assert alarms["no_success"]["treat_missing_data"] == "breaching" and alarms["no_success"]["period"] == 3600
    text = (MODULE / "variables.tf").read_text()
    least, most = map(int, re.search(r"var\.alarms\.hours >= (\d+) && var\.alarms\.hours <= (\d+)", text).groups())
    default = int(re.search(r"hours\s+= optional\(number, (\d+)\)", text).group(1))
    assert 24 < least <= default and most * 3600 == 604800
    # One sample a run: what it says stays until the next.
    assert alarms["held"]["treat_missing_data"] == "ignore"
