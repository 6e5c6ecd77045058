"""A Trino of our own, on this machine alone, and what it is asked over HTTP."""

import datetime
import json
import os
import pathlib
import secrets
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass

STARTS_WITHIN = 240  # seconds
ANSWERS_WITHIN = 180


@dataclass
class Answer:
    """The rows of a query, its columns as (name, type), and what the engine counted while it read."""

    columns: list
    rows: list
    rows_read: int
    bytes_read: int


class Trino:
    """One server. `catalogs` are its properties by the catalog's name."""

    def __init__(self, folder: pathlib.Path, catalogs: dict):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        etc = folder / "etc"
        (etc / "catalog").mkdir(parents=True)
        write(etc / "node.properties", {"node.environment": "test", "node.id": secrets.token_hex(8), "node.data-dir": folder / "data"})
        write(etc / "config.properties", {
            "coordinator": "true", "node-scheduler.include-coordinator": "true", "discovery.uri": f"http://127.0.0.1:{self.port}",
            "http-server.http.port": self.port, "node.internal-address": "127.0.0.1", "query.max-memory": "600MB",
            "query.max-memory-per-node": "600MB", "query.max-execution-time": "3m", "catalog.management": "static"})
        # Queries that are made once: the second compiler and a parallel collector would take a third of the CPU time for nothing.
        (etc / "jvm.config").write_text("-server\n-Xmx2G\n-XX:+UseSerialGC\n-XX:TieredStopAtLevel=1\n-XX:+ExitOnOutOfMemoryError\n-Djdk.attach.allowAttachSelf=true\n")
        write(etc / "log.properties", {"io.trino": "WARN"})
        for name, properties in catalogs.items():
            write(etc / "catalog" / f"{name}.properties", properties)
        home, java = os.environ["TRINO_HOME"], os.environ["TRINO_JAVA_HOME"]
        self.log = folder / "log"
        environment = {**os.environ, "JAVA_HOME": java, "PATH": f"{java}/bin:{os.environ['PATH']}"}
        self.process = subprocess.Popen([f"{home}/bin/launcher", "run", "--etc-dir", etc], stdout=self.log.open("w"), stderr=subprocess.STDOUT,
                                        env=environment, start_new_session=True)

    def wait(self):
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                if json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/info", timeout=5))["starting"] is False:
                    self.ask("SELECT 1")
                    return
            except (OSError, AssertionError):
                pass
            log = self.log.read_text()[-3000:]
            assert self.process.poll() is None, f"Trino did not start:\n{log}"
            assert time.monotonic() < deadline, f"Trino did not start in {STARTS_WITHIN} s:\n{log}"
            time.sleep(0.5)

    def stop(self):
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait(timeout=30)

    def ask(self, sql, zone="UTC") -> Answer:
        headers = {"X-Trino-User": "test", "X-Trino-Time-Zone": zone}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/statement", sql.encode(), headers)
        deadline, rows, columns = time.monotonic() + ANSWERS_WITHIN, [], []
        while True:
            page = json.load(urllib.request.urlopen(request, timeout=60))
            assert "error" not in page, "\n".join([sql, page["error"]["errorName"], *causes(page["error"]["failureInfo"])])
            columns = page.get("columns") or columns
            rows.extend(page.get("data") or [])
            if "nextUri" not in page:
                break
            assert time.monotonic() < deadline, f"no answer in {ANSWERS_WITHIN} s: {sql}"
            request = urllib.request.Request(page["nextUri"], headers=headers)
        columns = [(column["name"], column["type"]) for column in columns]
        rows = [tuple(value(field, kind) for field, (_, kind) in zip(row, columns)) for row in rows]
        stats = page["stats"]
        return Answer(columns, rows, stats["processedRows"], stats.get("physicalInputBytes", stats["processedBytes"]))


def causes(failure):
    """What failed, why, why that, and so on."""
    while failure:
        yield f"{failure['type']}: {failure.get('message')}"
        failure = failure.get("cause")


def write(file, properties):
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def value(field, kind):
    """A field as Python has it, times in UTC without a zone."""
    if field is None:
        return None
    if kind == "date":
        return datetime.date.fromisoformat(field)
    if kind.startswith("timestamp"):
        return datetime.datetime.fromisoformat(field)
    return field
