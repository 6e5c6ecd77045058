"""The container image, by its parts: what the program needs of the base that the Dockerfile names, and how it runs where there
is nothing else. No container engine is needed: an empty root is made of namespaces, as an engine makes one.

By itself it tries the program that the tests are built with, and says which parts that cannot prove. What is shipped is tried by

    export COMPLINE_DIST=target/dist/compline
    COMPLINE=$COMPLINE_DIST .venv/bin/python -m pytest tests/readers/test_image.py
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import warnings

import boto3
import pytest
import yaml

from conftest import COMPLINE, Simulator
from test_tls import server  # noqa: F401: a fixture

REPOSITORY = pathlib.Path(__file__).parents[2]
DIST = os.environ.get("COMPLINE_DIST")
PROGRAM = pathlib.Path(DIST or COMPLINE).resolve()
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()

USER = 65532
# Libraries of libc6, which distroless/base-nossl-debian12 has, and the one that the Dockerfile adds.
LIBRARIES = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2", "libgcc_s.so.1",
             "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
GLIBC = (2, 36)
# libc6, base-files, netbase, media-types, tzdata, ca-certificates and libgcc-s1 have 17.0 MB by their Installed-Size.
BASE_BYTES = 17_000_000
IMAGE_BYTES = 90_000_000
MEMORY_BYTES = 512 * 1024 * 1024


def elf(*options):
    return subprocess.run(["readelf", "--wide", *options, PROGRAM], capture_output=True, text=True, check=True, timeout=60).stdout


def is_dist(what):
    if not DIST:
        warnings.warn(f"{what} of what is shipped is not proved here: set COMPLINE_DIST", stacklevel=2)
    return bool(DIST)


def version(text):
    return tuple(int(part) for part in text.split("."))


def test_the_program_needs_no_library_that_the_base_has_not():
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", elf("--dynamic")))
    assert needed and needed <= LIBRARIES, needed - LIBRARIES
    assert re.search(r"program interpreter: /lib(64)?/ld-linux-", elf("--program-headers"))


def test_the_program_needs_no_newer_glibc_than_the_base_has():
    needed = max(version(one) for one in re.findall(r"GLIBC_([0-9.]+)", elf("--version-info")))
    machine = version(os.confstr("CS_GNU_LIBC_VERSION").removeprefix("glibc "))
    # What the tests are built with is linked with this machine's.
    assert needed <= (GLIBC if is_dist("the glibc") else max(GLIBC, machine))


def test_the_image_has_less_than_it_may_have():
    size = PROGRAM.stat().st_size
    if is_dist("the size"):
        assert BASE_BYTES + size < IMAGE_BYTES, size
    profile = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["profile"]
    dist = {**profile["release"], **profile["dist"]}
    assert dist["inherits"] == "release" and dist["strip"] is True and dist["lto"] == "fat", "nobody debugs in the image"


def test_the_image_is_built_on_the_debian_and_by_the_compiler_that_are_meant():
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    compiler = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert stages[0].startswith(f"rust:{compiler}.") and stages[0].endswith("-bookworm")
    assert stages[-1] == "gcr.io/distroless/base-nossl-debian12:nonroot", "bookworm is Debian 12"
    assert "/out/libgcc_s.so.1 /usr/lib/" in DOCKERFILE
    assert f"USER {USER}:{USER}" in DOCKERFILE and 'ENTRYPOINT ["/usr/local/bin/compline"]' in DOCKERFILE
    assert "cargo build --locked --profile dist" in DOCKERFILE
    for file in ("run", "maintain", "verify"):
        job = yaml.safe_load((REPOSITORY / f"pipelines/nightly/kubernetes/{file}.yaml").read_text())
        assert job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == USER


def test_the_build_context_has_all_that_is_compiled_in():
    admitted = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)
    assert all(path == "." or path in admitted for path in copied)
    included = {"Cargo.toml", "Cargo.lock"}
    for source in (REPOSITORY / "crates").rglob("*.rs"):
        for path in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            included.add(str((source.parent / path).resolve().relative_to(REPOSITORY)))
    assert len(included) > 2, "views and the demo's pipeline are compiled in"
    missing = [path for path in included if path.split("/")[0] not in admitted]
    assert not missing, missing


COPIED = {}


class Container:
    """A root with the program, its libraries, authorities, a pipeline file and a place for a lake, and nothing else: no shell,
    no /tmp, /home, /proc or /dev. It is mounted read-only, and the program runs in it as another user and as process 1."""

    def __init__(self, folder, authorities="/etc/ssl/certs/ca-certificates.crt"):
        self.root, self.lake = folder / "root", folder / "lake"
        for path in ("lake", "etc/compline"):
            (self.root / path).mkdir(parents=True)
        self.lake.mkdir()
        self.lake.chmod(0o777)
        self.root.chmod(0o755)
        listed = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True, timeout=60).stdout
        for library in re.findall(r"(/\S+)", listed):
            # Where the Dockerfile puts it.
            self.put(library, "/usr/lib/libgcc_s.so.1" if "libgcc_s" in library else library)
        self.put(PROGRAM, "/usr/local/bin/compline")
        self.put(authorities, "/etc/ssl/certs/ca-certificates.crt")
        # An engine writes this one.
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")

    def put(self, source, path):
        place = self.root / str(path).removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A program with what debuggers need has hundreds of megabytes.
            os.link(pathlib.Path(source).resolve(), place)
        except OSError:
            # On another file system one copy is enough for all.
            first = COPIED.setdefault(source, place)
            shutil.copy(source, place) if first is place else os.link(first, place)

    def pipeline(self, simulator, lake='url = "/lake"', more=""):
        (self.root / "etc/compline/pipeline.toml").write_text(f"""
            version = 1
            [lake]
            {lake}
            [[aggregator]]
            id = "org"
            name = "org-aggregator"
            region = "eu-west-1"
            [fetch]
            endpoint_url = "{simulator.url}/{{date}}"
            {more}
            """)

    def start(self, *arguments, **variables):
        mounts = """set -e
            mount --bind "$1" "$1"
            mount --bind "$2" "$1/lake"
            mount -o remount,bind,ro "$1"
            shift 2
            exec "$@" """
        namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        if os.getuid() == 0:
            enter = ["setpriv", "--no-new-privs", shutil.which("chroot"), "--groups=", f"--userspec={USER}:{USER}", self.root]
        else:
            namespaces.append("--map-root-user")
            enter = ["unshare", "--user", f"--map-user={USER}", f"--map-group={USER}", f"--root={self.root}"]
        environment = [f"{name}={value}" for name, value in variables.items()]
        inside = [shutil.which("env"), "-i", *environment, *map(absolute, enter), "/usr/local/bin/compline", *arguments]
        command = [*namespaces, "bash", "-c", mounts, "bash", self.root, self.lake, *inside]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)

    def run(self, *arguments, **variables):
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def night(self, *arguments, **variables):
        return self.run("run", "/etc/compline/pipeline.toml", "--date", "2026-03-01", *arguments, **variables)


def absolute(word):
    """The first word is looked for by whoever has a PATH."""
    return shutil.which(word) if word in ("setpriv", "unshare") else word


def inner(process):
    """The number of process 1 of a container, outside of it."""
    return int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def wait_until(what, so):
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def test_it_runs_as_another_user_in_a_read_only_root_with_nothing_else_in_it(tmp_path, simulator):
    container = Container(tmp_path)
    container.pipeline(simulator)
    before = sorted(container.root.rglob("*"))
    assert not {"tmp", "home", "proc", "dev", "root", "var"} & {path.name for path in container.root.iterdir()}
    assert re.fullmatch(r"compline \S+ \(\S+ \d{4}-\d\d-\d\d\)\n", container.run("--version").stdout)
    for arguments in (["run", "--date", "2026-03-01"], ["maintain", "--apply"], ["trends"], ["history"], ["verify"]):
        command, *options = arguments
        done = container.run(command, "/etc/compline/pipeline.toml", *options)
        assert done.returncode == 0, done
    assert "OK: no problems found" in done.stdout
    assert sorted(container.root.rglob("*")) == before, "nothing was written beside the lake"
    owners = {path.stat().st_uid for path in container.lake.rglob("*")}
    assert owners == {USER if os.getuid() == 0 else os.getuid()}
    # The root is one that cannot be written.
    container.pipeline(simulator, 'url = "/elsewhere"')
    done = container.night()
    assert done.returncode == 1 and "Read-only file system" in done.stderr, done


def s3(url):
    return f'url = "s3://tls/lake"\nregion = "us-east-1"\nendpoint_url = "{url}"\npath_style = true\nmax_attempts = 1'


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


def test_it_finds_the_authorities_where_the_base_has_them(tmp_path, simulator, server):  # noqa: F811
    (url, _), authority = server
    for folder in ("known", "unknown"):
        (tmp_path / folder).mkdir()
    container = Container(tmp_path / "known", authority)
    container.pipeline(simulator, s3(url))
    # The base sets the variable.
    for variables in ({}, {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}):
        done = container.night(**KEYS, **variables)
        assert done.returncode == 0, done
    container = Container(tmp_path / "unknown")
    container.pipeline(simulator, s3(url))
    done = container.night(**KEYS)
    assert done.returncode == 1 and "an authority that this machine does not trust" in done.stderr, done


def test_as_process_1_it_ends_at_sigterm_with_143_and_leaves_no_lease(tmp_path, server):  # noqa: F811
    (url, _), authority = server
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=url, verify=str(authority))

    def objects(prefix):
        return [one["Key"] for one in client.list_objects_v2(Bucket="tls", Prefix=prefix).get("Contents", [])]

    slow = Simulator("--accounts", "40", "--fault", "latency_millis=200")
    try:
        container = Container(tmp_path, authority)
        container.pipeline(slow, s3(url).replace("/lake", "/stopped"), "max_in_flight = 1")
        process = container.start("run", "/etc/compline/pipeline.toml", "--date", "2026-03-01", **KEYS)
        wait_until("a checkpoint", lambda: process.poll() is not None or objects("stopped/_compline/checkpoints/"))
        assert process.poll() is None, process.communicate()
        assert objects("stopped/_compline/lease/")
        stopped = time.monotonic()
        os.kill(inner(process), signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        # Kubernetes gives it 30 seconds, and kills it then.
        assert process.returncode == 143 and time.monotonic() - stopped < 10, (process.returncode, out, err)
        assert not objects("stopped/pack_compliance/")
        # Exit code 5 for a minute if the lease had been left there.
        done = container.night(**KEYS)
        assert done.returncode == 0, done
    finally:
        slow.stop()


def peak_bytes(process):
    """The most memory that process 1 of a container ever had, read until it ends."""
    peak, status, deadline = 0, None, time.monotonic() + 900
    while process.poll() is None:
        assert time.monotonic() < deadline, "it hangs"
        try:
            status = status or pathlib.Path(f"/proc/{inner(process)}/status")
            # What the shell took before is not counted: a new program has a new count.
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1)) * 1024
        except (OSError, IndexError, AttributeError):
            pass
        time.sleep(0.02)
    return peak


def test_a_night_of_100_000_packs_and_its_trends_take_less_than_512_mib(tmp_path):
    many = Simulator("--accounts", "6500")
    try:
        container = Container(tmp_path)
        container.pipeline(many)
        for date in ("2026-02-28", "2026-03-01"):
            process = container.start("run", "/etc/compline/pipeline.toml", "--date", date, "--json")
            peak = peak_bytes(process)
            out, err = process.communicate(timeout=600)
            assert process.returncode == 0, err
            rows = json.loads(out)["aggregators"][0]["rows"]
            assert rows >= 100_000 and 0 < peak < MEMORY_BYTES, (rows, peak)
            print(f"{PROGRAM.name} {date}: {rows} packs, at most {peak / 1024 / 1024:.0f} MiB", file=sys.stderr)
    finally:
        many.stop()
