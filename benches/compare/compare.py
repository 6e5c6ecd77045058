"""A whole night at several sizes: Compline, and what people would do in its place, on one simulator and one machine.

    cargo build --release && cargo build --release -p compline-sink --example floor
    .venv/bin/python benches/compare/compare.py --rows 100000 1000000

Each contender is a process of its own, in rounds whose order alternates. Fails if they do not write the same rows.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
RELEASE = HERE.parent.parent / "target/release"
TODAY, YESTERDAY = "2026-03-02", "2026-03-01"
REGIONS, PACKS = 17, 20
# The simulator leaves some accounts and packs out on any day, and the aggregator covers four accounts of five.
ROWS_PER_ACCOUNT = 265
PARTITION = f"snapshot_date={TODAY}/aggregator=org"
SNAPSHOT = f"pack_compliance/{PARTITION}/data.parquet"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    "AWS_ACCESS_KEY_ID": "simulated", "AWS_SECRET_ACCESS_KEY": "simulated", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "127.0.0.1",
}
COLUMNS = ["rows/CPU s", "CPU s", "wall s", "peak MB", "left MB", "written MB", "simulator CPU s"]
# Whatever order they are in: a sum of hashes is the same for the same rows, each as often.
SAME = """
    SELECT count(*), sum(hash(account_id, aws_region, conformance_pack_name, pack_group, compliance_type, compliant_rule_count,
        non_compliant_rule_count, insufficient_data_rule_count, total_rule_count, source_status, source_updated_at)::HUGEINT)::TEXT,
        list_sort(list(DISTINCT aws_region)) FROM '{}'"""


def rows_of(file):
    """Count, checksum and regions of a snapshot. In another process: a child's peak memory begins at that of its parent."""
    script = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchone()))"
    return json.loads(subprocess.run([sys.executable, "-c", script, SAME.format(file)], check=True, stdout=subprocess.PIPE).stdout)


def cpu_of(pid):
    """User and system time of a process that runs."""
    return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) / TICKS_PER_SECOND


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def pipeline(path, lake, url, more="", reconcile="fail"):
    path.write_text(f"""
        version = 1
        [lake]
        url = "{lake}"
        [[aggregator]]
        id = "org"
        name = "org-aggregator"
        region = "eu-west-1"
        {more}
        [check]
        reconcile = "{reconcile}"
        [fetch]
        endpoint_url = "{url}"
        """)
    return path


def facts_only(regions):
    """Filters for every region, and for one type of a region that is not there: that makes the day one without trends, for an empty page."""
    return f"""
        [[aggregator.filter]]
        aws_region = {json.dumps(regions)}
        [[aggregator.filter]]
        aws_region = "xx-none-1"
        compliance_type = "NON_COMPLIANT" """


class Night:
    """A simulator with about so many rows, and what each contender starts with."""

    def __init__(self, rows, folder, options):
        self.folder, self.options = folder, options
        arguments = ["--port", "0", "--accounts", str(-(-rows // ROWS_PER_ACCOUNT)), "--regions", str(REGIONS), "--packs", str(PACKS)]
        self.simulator = subprocess.Popen([options.compline, "simulate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.simulator.stdout.readline().strip()

    def prepare(self):
        """Two nights: the day before, and this one, which has the simulator make its rows and says what they must be."""
        before, reference = self.folder / "before", self.folder / "reference"
        self.compline(before, YESTERDAY)
        shutil.copytree(before, reference)
        self.compline(reference, TODAY)
        self.rows, self.checksum, self.regions = rows_of(reference / SNAPSHOT)

    def compline(self, lake, date):
        file = pipeline(self.folder / "prepare.toml", lake, self.url + "/{date}")
        subprocess.run([self.options.compline, "run", file, "--date", date], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def command(self, contender, out):
        """What to run, its folder made ready."""
        if contender == "compline, with trends":
            shutil.copytree(self.folder / "before", out)
            return [self.options.compline, "run", pipeline(self.folder / "trends.toml", out, self.url + "/{date}"), "--date", TODAY]
        out.mkdir()
        url = f"{self.url}/{TODAY}"
        if contender == "compline":
            file = pipeline(self.folder / "facts.toml", out, self.url + "/{date}", facts_only(self.regions), "off")
            return [self.options.compline, "run", file, "--date", TODAY]
        if contender == "floor":
            (out / SNAPSHOT).parent.mkdir(parents=True)
            return [self.options.floor, "--url", url, "--aggregator", "org-aggregator", "--regions", ",".join(self.regions),
                    "--rows", self.folder / "reference" / SNAPSHOT, "--out", out / SNAPSHOT]
        return [sys.executable, HERE / f"with_{contender}.py", url, out, TODAY]

    def measure(self, contender):
        out = self.folder / "out"
        command = self.command(contender, out)
        before, simulator = size_of(out), cpu_of(self.simulator.pid)
        with open(self.folder / "said", "w+") as said:
            started = time.monotonic()
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
            _, status, usage = os.wait4(process.pid, 0)
            wall, cpu = time.monotonic() - started, usage.ru_utime + usage.ru_stime
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, f"{contender} ended with {process.returncode}"
            said.seek(0)
            split = json.load(said) if contender == "floor" else None
        found = {"CPU s": cpu, "wall s": wall, "peak MB": usage.ru_maxrss / 1000, "left MB": size_of(out) - before,
                 "written MB": usage.ru_oublock * 512 / 1e6, "simulator CPU s": cpu_of(self.simulator.pid) - simulator}
        if split:
            # Without the start, and without reading the rows that are to be in memory.
            found.update({f"{name} s": split["read"][name.lower()] + split["write"][name.lower()] for name in ("CPU", "wall")})
            found["split"] = split
        found["rows/CPU s"] = self.rows / found["CPU s"]
        rows = rows_of(out / SNAPSHOT)
        assert rows == [self.rows, self.checksum, self.regions], f"{contender} wrote other rows: {rows[:2]} instead of {self.rows, self.checksum}"
        shutil.rmtree(out)
        return found


CONTENDERS = ["compline", "compline, with trends", "boto3", "cli", "floor"]


def compare(rows, options):
    """The medians of each contender."""
    with tempfile.TemporaryDirectory() as folder:
        night = Night(rows, pathlib.Path(folder), options)
        try:
            night.prepare()
            contenders = [name for name in options.contenders if name != "cli" or rows <= options.cli_rows]
            found = {name: [] for name in contenders}
            for round in range(options.rounds):
                for name in contenders[:: 1 if round % 2 == 0 else -1]:
                    found[name].append(night.measure(name))
        finally:
            night.simulator.terminate()
            night.simulator.wait()
        medians = {name: {column: statistics.median(one[column] for one in each) for column in COLUMNS} for name, each in found.items()}
        return {"rows": night.rows, "medians": medians, "rounds": found}


def print_table(found):
    medians = found["medians"]
    base = medians.get("compline")
    print(f"\n{found['rows']:,} rows\n")
    print("| | " + " | ".join(COLUMNS) + " | CPU, of Compline's | wall | peak |")
    print("| --- |" + " ---: |" * (len(COLUMNS) + 3))
    for name, one in medians.items():
        ratios = [f"{one[column] / base[column]:.2f}" if base else "" for column in ("CPU s", "wall s", "peak MB")]
        values = [f"{one[column]:,.{0 if column in ('rows/CPU s', 'peak MB') else 2}f}" for column in COLUMNS]
        print("| " + " | ".join([name, *values, *ratios]) + " |")
    for step in ("read", "write") if "floor" in medians else ():
        wall, cpu = (statistics.median(one["split"][step][name] for one in found["rounds"]["floor"]) for name in ("wall", "cpu"))
        print(f"\nfloor, {step}: {cpu:.3f} CPU s, {wall:.3f} s wall", end="")
    print(flush=True)


def first_request(command_for):
    """Seconds from exec until something is asked; what asked is ended then, and whatever it had started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        command = command_for(f"http://127.0.0.1:{listener.getsockname()[1]}")
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True)
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                return time.monotonic() - started
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start_up(options):
    """Medians of 20 of the time to the first request, and of doing nothing."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def command_for(name, url):
            out = pathlib.Path(tempfile.mkdtemp(dir=folder))
            if name == "compline":
                return [options.compline, "run", pipeline(folder / "first.toml", out, url + "/{date}")]
            return [sys.executable, HERE / f"with_{name}.py", url, out, TODAY]

        for name in ("compline", "boto3", "cli"):
            if name in options.contenders:
                seconds = [first_request(lambda url: command_for(name, url)) for _ in range(20)]
                found[f"{name}, to the first request"] = statistics.median(seconds)
    seconds = []
    for _ in range(20):
        started = time.monotonic()
        subprocess.run([options.compline, "--version"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - started)
    return {**found, "compline --version": statistics.median(seconds)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 3_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--cli-rows", type=int, default=1_000_000, help="the AWS CLI is left out above so many rows")
    parser.add_argument("--compline", type=pathlib.Path, default=RELEASE / "compline")
    parser.add_argument("--floor", type=pathlib.Path, default=RELEASE / "examples/floor")
    parser.add_argument("--json", type=pathlib.Path, help="everything that was measured, as JSON")
    options = parser.parse_args()

    found = {"start_up": start_up(options), "sizes": []}
    for name, seconds in found["start_up"].items():
        print(f"{name}: {seconds * 1000:.1f} ms")
    for rows in options.rows:
        found["sizes"].append(compare(rows, options))
        print_table(found["sizes"][-1])
        # After each size, so that a long run that is stopped has what it measured.
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
