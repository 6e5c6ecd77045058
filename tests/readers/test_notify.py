"""What is told of a day, as SNS, SQS and EventBridge of moto deliver it."""

import http.server
import json
import os
import subprocess
import threading
import time

import boto3
import pytest

from conftest import COMPLINE

DAYS = ["2026-02-27", "2026-02-28"]
REGION = "eu-central-1"


class Scene:
    """A pipeline over a folder, with a topic or a bus."""

    def __init__(self, folder, simulator, notify, lake=None, **environment):
        self.folder, self.environment = folder, environment
        (folder / "pipeline.toml").write_text(f"""
            version = 1
            [lake]
            {lake or f'url = "{folder / "lake"}"'}
            [[aggregator]]
            id = "org"
            name = "org-aggregator"
            region = "eu-west-1"
            [fetch]
            endpoint_url = "{simulator.url}/{{date}}"
            [notify]
            {notify}
            timeout_secs = {2 if "timeout" in environment else 20}
            """)
        self.environment.pop("timeout", None)

    def compline(self, *arguments):
        done = subprocess.run([COMPLINE, *arguments], capture_output=True, text=True, timeout=120, cwd=self.folder,
                              env=os.environ | self.environment)
        assert done.returncode == 0, done
        return done.stdout

    def run(self, day):
        return json.loads(self.compline("run", "pipeline.toml", "--date", day, "--json"))["aggregators"][0]


class Queue:
    """A queue that others send to."""

    def __init__(self, moto_server, name):
        self.client = boto3.client("sqs", region_name=REGION, endpoint_url=moto_server)
        self.url = self.client.create_queue(QueueName=name)["QueueUrl"]
        self.arn = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def bodies(self):
        got = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in got]


@pytest.mark.parametrize("name", ["compline", "compline.fifo"])
def test_a_topic_gets_the_document_once_with_a_subject_and_attributes_to_filter_by(tmp_path, simulator, moto_server, name):
    sns = boto3.client("sns", region_name=REGION, endpoint_url=moto_server)
    topic = sns.create_topic(Name=name, Attributes={"FifoTopic": "true"} if name.endswith(".fifo") else {})["TopicArn"]
    wanted, other = (Queue(moto_server, f"{name.replace('.', '-')}-{which}") for which in ("wanted", "other"))
    for queue, kind in ((wanted, "changes"), (other, "failed")):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn,
                      Attributes={"FilterPolicy": json.dumps({"kind": [kind], "aggregator": ["org"]})})
    scene = Scene(tmp_path, simulator, f'sns_topic_arn = "{topic}"', AWS_ENDPOINT_URL_SNS=moto_server)
    assert scene.run(DAYS[0])["not_notified"] == []
    assert wanted.bodies() == []
    for _ in range(2):
        done = scene.run(DAYS[1])
        assert done["not_notified"] == []
    (envelope,) = wanted.bodies()
    assert envelope["Subject"].startswith("Compline: org 2026-02-28: ") and len(envelope["Subject"]) <= 100
    document = json.loads(envelope["Message"])
    assert document["kind"] == "changes" and document["changes"] == done["trends"]["changes"]
    assert document["regressed"]["count"] == done["trends"]["changes"].get("regressed", 0)
    assert other.bodies() == []


def test_a_bus_gets_an_event_that_a_rule_matches_by_source_and_detail_type(tmp_path, simulator, moto_server):
    events = boto3.client("events", region_name=REGION, endpoint_url=moto_server)
    bus = events.create_event_bus(Name="alerts")["EventBusArn"]
    wanted, other = (Queue(moto_server, f"events-{name}") for name in ("wanted", "other"))
    for name, queue, detail_type in (("wanted", wanted, "Compline Day Changed"), ("other", other, "Compline Day Held")):
        pattern = {"source": ["compline"], "detail-type": [detail_type]}
        events.put_rule(Name=name, EventBusName="alerts", EventPattern=json.dumps(pattern), State="ENABLED")
        events.put_targets(Rule=name, EventBusName="alerts", Targets=[{"Id": name, "Arn": queue.arn}])
    # The mark is put on S3 here.
    boto3.client("s3", region_name="us-east-1", endpoint_url=moto_server).create_bucket(Bucket="notified")
    lake = f'url = "s3://notified/lake"\nregion = "us-east-1"\nendpoint_url = "{moto_server}"\npath_style = true'
    scene = Scene(tmp_path, simulator, f'event_bus_arn = "{bus}"', lake, AWS_ENDPOINT_URL_EVENTBRIDGE=moto_server)
    scene.run(DAYS[0])
    for _ in range(2):
        done = scene.run(DAYS[1])
        assert done["not_notified"] == []
    (event,) = wanted.bodies()
    assert (event["source"], event["detail-type"]) == ("compline", "Compline Day Changed")
    detail = event["detail"]
    assert (detail["snapshot_date"], detail["aggregator"], detail["run_id"] != "") == (DAYS[1], "org", True)
    assert detail["changes"] == done["trends"]["changes"]
    assert other.bodies() == []
    assert scene.compline("verify", "pipeline.toml").endswith("OK: no problems found\n")


class Answers(http.server.BaseHTTPRequestHandler):
    """A server that answers each call in the same way, and counts them."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.calls += 1
        if self.server.answer is None:
            return time.sleep(30)
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("service, answer, why", [
    ("events", (200, b'{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"slow"}]}'),
     "the event was not taken: ThrottlingException: slow"),
    ("events", (400, b'{"__type":"AccessDeniedException","message":"not you"}'), "allow events:PutEvents"),
    ("events", (500, b"trouble"), "HTTP 500: the answer starts: trouble"),
    ("sns", (403, b"<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"),
     "allow sns:Publish"),
    ("sns", (503, b"<html>down</html>"), "down"),
    ("sns", None, "it did not answer within 2 s"),
    ("events", None, "it did not answer within 2 s"),
])
def test_what_is_not_taken_is_said_once_and_not_tried_again(tmp_path, simulator, service, answer, why):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.answer, server.calls = answer, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    notify = {
        "sns": f'sns_topic_arn = "arn:aws:sns:{REGION}:123456789012:compline"',
        "events": f'event_bus_arn = "arn:aws:events:{REGION}:123456789012:event-bus/default"',
    }[service]
    timeout = {"timeout": "short"} if answer is None else {}
    scene = Scene(tmp_path, simulator, notify, AWS_ENDPOINT_URL_SNS=url, AWS_ENDPOINT_URL_EVENTBRIDGE=url, **timeout)
    scene.run(DAYS[0])
    done = scene.run(DAYS[1])
    (said,) = done["not_notified"]
    assert said.startswith("not notified: changes: the ") and why in said, said
    assert done["outcome"] == "succeeded" and done["undone"] == []
    scene.run(DAYS[1])
    assert server.calls == 1
    server.shutdown()
