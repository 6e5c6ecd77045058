"""What the program is made of, and how it is built and published: by other people's tools and schemas."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

REPOSITORY = pathlib.Path(__file__).parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").iterdir())
MANIFEST = (REPOSITORY / "Cargo.toml").read_text()
DEPENDENCIES = tomllib.loads(MANIFEST)["workspace"]["dependencies"]


def reasons(manifest):
    """What is said of each dependency, behind it on the line where it begins."""
    section = re.search(r"^\[workspace\.dependencies\]\n(.*?)^\[", manifest, re.MULTILINE | re.DOTALL).group(1)
    lines = re.findall(r"^([a-z0-9_-]+) = ([^#\n]*)(?:# ?(.*))?$", section, re.MULTILINE)
    return {name: reason for name, _, reason in lines}


def test_each_direct_dependency_has_its_reason():
    said = reasons(MANIFEST)
    assert set(said) == set(DEPENDENCIES), "each begins a line"
    assert not [name for name, reason in said.items() if len(reason) < 5]
    # One without a reason is found.
    assert reasons(MANIFEST.replace('anyhow = "1" #', 'anyhow = "1"\n#'))["anyhow"] == ""


def test_no_crate_has_a_dependency_of_its_own():
    for path in REPOSITORY.glob("crates/*/Cargo.toml"):
        crate = tomllib.loads(path.read_text())
        for table in (crate, *crate.get("target", {}).values()):
            for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                own = [name for name, value in table.get(kind, {}).items() if not value.get("workspace")]
                assert not own, (path, own)


def sbom(platform, **variables):
    # What is compiled here is downloaded already; another platform has more.
    done = subprocess.run([REPOSITORY / ".ci/sbom", platform], capture_output=True, text=True, timeout=300, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
    return done.stdout


def fault(bill):
    """What the published schema finds in a bill. The addresses of a few components stand for all: each takes it 60 ms."""
    few = [one if at < 5 else {name: one[name] for name in one if name != "externalReferences"} for at, one in enumerate(bill["components"])]
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps({**bill, "components": few}))


def test_the_bill_of_materials_is_one_by_the_published_schema_and_the_same_each_time():
    text = sbom("x86_64-unknown-linux-gnu", SOURCE_DATE_EPOCH="1764201600")
    bill = json.loads(text)
    assert fault(bill) is None
    addresses = [one["externalReferences"][0]["url"] for one in bill["components"] if "externalReferences" in one]
    assert len(addresses) > 300 and all(re.fullmatch(r"https?://[a-z.]+/[\w./#-]*", one) for one in addresses), addresses
    bill["components"][-1]["scope"] = "compiled"
    assert fault(bill) is not None, "what is wrong is found"
    assert text == sbom("x86_64-unknown-linux-gnu", SOURCE_DATE_EPOCH="1764201600")
    assert json.loads(text)["metadata"]["timestamp"] == "2025-11-27T00:00:00Z"


def test_another_platform_has_a_bill_of_its_own():
    one, other = (json.loads(sbom(f"{processor}-unknown-linux-gnu")) for processor in ("x86_64", "aarch64"))
    assert one["serialNumber"] != other["serialNumber"] and len(other["components"]) > 300


def test_the_bill_of_materials_has_what_is_in_the_program_with_checksum_and_licence():
    bill = json.loads(sbom("x86_64-unknown-linux-gnu"))
    scopes = {}
    for one in bill["components"]:
        scopes.setdefault(one["name"], set()).add(one["scope"])
        assert one["licenses"], one
        assert one["name"].startswith("compline-") or len(one["hashes"][0]["content"]) == 64, one
    lock = {(one["name"], one["version"]) for one in tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]}
    assert {(one["name"], one["version"]) for one in bill["components"]} < lock
    # In the program, at compile time alone, in the tests alone, on another system.
    for name in ("aws-sdk-s3", "polars", "rustls", "aws-lc-sys", "compline-sink", "libc"):
        assert scopes[name] == {"required"}, name
    assert scopes["cc"] == scopes["serde_derive"] == {"excluded"}
    for name in ("s3s", "criterion", "insta", "proptest", "windows-sys"):
        assert name not in scopes and any(name == one for one, _ in lock), name
    direct = next(one["dependsOn"] for one in bill["dependencies"] if one["ref"].startswith("pkg:cargo/compline@"))
    assert any(one.startswith("pkg:cargo/clap@") for one in direct) and not any("insta@" in one for one in direct)


def schema_finds(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_by_the_published_schema(path, tmp_path):
    done = schema_finds(path)
    assert done.returncode == 0, done
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text().replace("runs-on:", "run-on:"))
    assert schema_finds(wrong).returncode != 0


def zizmor_finds(*paths):
    command = [pathlib.Path(sys.executable).parent / "zizmor", "--offline", "--no-progress", "--min-severity", "medium", "--format", "json", *paths]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)


def test_no_workflow_has_a_weakness_that_zizmor_knows(tmp_path):
    assert zizmor_finds(*WORKFLOWS) == []
    # An action by a tag that its owner can move is one.
    weak = tmp_path / ".github/workflows/ci.yaml"
    weak.parent.mkdir(parents=True)
    weak.write_text(re.sub(r"(actions/checkout)@[0-9a-f]{40}", r"\1@v6", WORKFLOWS[0].read_text()))
    assert {one["ident"] for one in zizmor_finds(weak)} == {"unpinned-uses"}


def test_every_action_is_pinned_by_its_commit_and_may_do_what_its_job_needs():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert job["permissions"].get("contents") in ("read", "write")
            for step in job.get("steps", []):
                assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]), step
    publish = yaml.safe_load((REPOSITORY / ".github/workflows/release.yaml").read_text())["jobs"]
    assert [name for name, job in publish.items() if job["permissions"]["contents"] == "write"] == ["publish"]


def test_the_workflows_use_the_compiler_that_the_image_is_built_with():
    (compiler,) = re.findall(r"^FROM rust:(\S+)-bookworm", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert {yaml.safe_load(path.read_text())["env"]["RUST_VERSION"] for path in WORKFLOWS} == {compiler}
