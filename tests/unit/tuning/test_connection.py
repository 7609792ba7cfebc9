"""What travels to a cluster; and why one cannot be used, in a sentence."""

import json
import platform
from pathlib import Path

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.exceptions import AuthenticationError

from raycolor.tuning.connection import _travelling, unreached

MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.49.0
    Python: 3.12.1
This process on node 10.0.0.1:6379 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def test_other_releases() -> None:
    assert unreached("auto", RuntimeError(MISMATCH)) == (
        "--address auto: the cluster runs Ray 2.49.0 and Python 3.12.1, this is Ray "
        f"{ray.__version__} and Python {platform.python_version()}; both have to be the same on "
        "all machines, to the last number: install those of the cluster here, or start it with "
        "these"
    )


def test_the_token() -> None:
    said = unreached("10.0.0.1:6379", AuthenticationError("no token"))
    token = "~/.ray/auth_token has to be a copy of its head node's, and RAY_AUTH_MODE not disabled"
    assert said == f"--address 10.0.0.1:6379: the cluster asks for a token; {token}"
    refused = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    assert unreached("auto", refused).endswith(f"; it has ended, or asks for a token: {token}")


def test_nobody_there() -> None:
    said = unreached("auto", ConnectionError("Could not find any running Ray instance.\nMore"))
    assert said == (
        "--address auto: Ray is not reached there (Could not find any running Ray instance.); "
        "start a cluster, or leave --address out to use this machine"
    )


def test_the_package_travels_with_what_a_job_was_given() -> None:
    package = str(Path(__file__).parents[3] / "raycolor")
    assert _travelling({})["py_modules"] == [package]
    for runtime_env in (None, {}, {"working_dir": "gcs://a.zip", "env_vars": {"A": "1"}}):
        job = {RAY_JOB_CONFIG_JSON_ENV_VAR: json.dumps({"runtime_env": runtime_env})}
        assert _travelling(job) == _travelling({})
    given = {"py_modules": ["gcs://mine.zip"], "excludes": ["*.jpg"]}
    job = {RAY_JOB_CONFIG_JSON_ENV_VAR: json.dumps({"runtime_env": given})}
    assert _travelling(job)["py_modules"] == ["gcs://mine.zip", package]
    assert _travelling(job)["excludes"][0] == "*.jpg"
