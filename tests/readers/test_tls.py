"""A company's certificate authority: an S3 server whose certificate the system does not trust."""

import datetime
import os
import socket
import subprocess
import sys
import time

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conftest import COMPLINE

NOW = datetime.datetime.now(datetime.UTC)


def certificate(name, key, issuer, issuer_key, days, is_authority):
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (x509.CertificateBuilder().subject_name(names).issuer_name(issuer or names).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(NOW - datetime.timedelta(days=400))
            .not_valid_after(NOW + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True))
    if not is_authority:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return made.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Moto's S3 over TLS, and the file of its authority; another over a certificate that has ended."""
    folder = tmp_path_factory.mktemp("tls")
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = certificate("A Company", authority_key, None, authority_key, 400, True)
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    urls, processes = [], []
    for name, days in (("good", 400), ("ended", -1)):
        key = ec.generate_private_key(ec.SECP256R1())
        own = certificate("localhost", key, authority.subject, authority_key, days, False)
        (folder / f"{name}.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                               serialization.NoEncryption()))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port), "-c", folder / f"{name}.pem", "-k", folder / f"{name}.key"]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline and processes[-1].poll() is None, "moto did not start"
                time.sleep(0.1)
        urls.append(f"https://localhost:{port}")
    boto3.client("s3", region_name="us-east-1", endpoint_url=urls[0], verify=str(folder / "authority.pem")).create_bucket(Bucket="tls")
    yield urls, folder / "authority.pem"
    for process in processes:
        process.terminate()
        process.wait(timeout=10)


def run(folder, simulator, url, **variables):
    file = folder / "pipeline.toml"
    file.write_text(f"""
        version = 1
        [lake]
        url = "s3://tls/lake"
        region = "us-east-1"
        endpoint_url = "{url}"
        path_style = true
        max_attempts = 1
        [[aggregator]]
        id = "org"
        name = "org-aggregator"
        region = "eu-west-1"
        [fetch]
        endpoint_url = "{simulator.url}/{{date}}"
        """)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SSL_"))}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder)}
    return subprocess.run([COMPLINE, "run", file, "--date", "2026-03-01"], capture_output=True, text=True, timeout=120,
                          env={**clean, **keys, **variables}, cwd=folder)


def test_f16_a_companys_authority_is_trusted_when_it_is_named_as_for_the_aws_cli(tmp_path, simulator, server):
    (url, _), authority = server
    config = tmp_path / "config"
    config.write_text(f"[default]\nca_bundle = {authority}\n")
    for variables in ({"AWS_CA_BUNDLE": str(authority)}, {"AWS_CONFIG_FILE": str(config)}, {"SSL_CERT_FILE": str(authority)}):
        done = run(tmp_path, simulator, url, **variables)
        assert done.returncode == 0, (variables, done)


def test_f16_an_authority_that_is_not_known_and_a_certificate_that_has_ended_are_told_as_that(tmp_path, simulator, server):
    (url, ended), authority = server
    done = run(tmp_path, simulator, url)
    assert done.returncode == 1 and "an authority that this machine does not trust" in done.stderr and "AWS_CA_BUNDLE" in done.stderr, done
    done = run(tmp_path, simulator, ended, AWS_CA_BUNDLE=str(authority))
    assert done.returncode == 1 and "not valid at this machine's time" in done.stderr, done
    done = run(tmp_path, simulator, url.replace("localhost", "127.0.0.1"), AWS_CA_BUNDLE=str(authority))
    assert done.returncode == 1 and "its certificate is of another host" in done.stderr, done
    # A profile's bundle that is gone is an error, unless the variable names another.
    config = tmp_path / "config"
    config.write_text("[default]\nca_bundle = /gone.pem\n")
    assert run(tmp_path, simulator, url, AWS_CONFIG_FILE=str(config)).returncode == 2
    assert run(tmp_path, simulator, url, AWS_CONFIG_FILE=str(config), AWS_CA_BUNDLE=str(authority)).returncode == 0


def test_w2_a_machine_without_authorities_is_told_as_that_and_asks_servers_without_tls(tmp_path, simulator, server):
    (url, _), _ = server
    none = {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/nonexistent"}
    done = run(tmp_path, simulator, url, **none)
    assert done.returncode == 1 and "this machine has no certificate authorities" in done.stderr, done
    # Nothing listens there, and that is what is told.
    done = run(tmp_path, simulator, "http://127.0.0.1:9", **none)
    assert done.returncode == 1 and "nothing listens there" in done.stderr, done
    # PEM whose content is no certificate.
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    done = run(tmp_path, simulator, url, AWS_CA_BUNDLE=str(garbage))
    assert done.returncode == 2 and "AWS_CA_BUNDLE is" in done.stderr, done
