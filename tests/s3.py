"""A server of S3 on this machine."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest

KEYS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
"""It ends with its standard input. In this process it would wait for the interpreter's lock, which
pyarrow holds while it closes a forgotten stream."""


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server with the bucket `bucket`; yield its host and port, with keys that it takes."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in KEYS.items():
            patched.setenv(name, value)
        with subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            host, port = process.stdout.readline().split()
            address = f"http://{host}:{port}"
            client = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
            client.create_bucket(Bucket="bucket")
            client.close()
            yield f"{host}:{port}"
            process.communicate()
