"""The connection to Ray: started on this machine, or a cluster that runs already.

A cluster's workers get the driver's own package with the job, so that what the user changed is what
runs everywhere. Everything else has to be installed on them, in the same releases.
"""

import json
import logging
import os
import platform
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from raycolor.errors import ConfigError

_LEFT_BEHIND = ["**/__pycache__", "**/*.pyc"]
"""What of the package does not travel."""
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable in which Ray tells the command of `ray job submit` what came with it."""
_SPARE_BYTES = 128 * 2**20
"""Of the object store of a Ray of this machine alone: little goes through it but weights."""


@contextmanager
def connected(address: str | None, *, store_bytes: int = 0) -> Iterator[None]:
    """Connect to the cluster, or start Ray on this machine; leave it in the end.

    Args:
        address: of a cluster; None starts Ray on this machine.
        store_bytes: size of what goes through Ray to all workers.

    Raises:
        ConfigError: the cluster is not reached, wants a token, or runs other releases.
    """
    import ray
    from ray.exceptions import AuthenticationError, RaySystemError

    logging.getLogger("ray").setLevel(logging.ERROR)
    common = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        with _own_sigterm():
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_SPARE_BYTES + 2 * store_bytes,
                **common,
            )
    else:
        # Ray would refuse what both the job and its driver name; here they are put together.
        os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"
        try:
            with _own_sigterm():
                ray.init(address=address, runtime_env=_travelling(os.environ), **common)
        except (
            AuthenticationError,
            RaySystemError,
            ConnectionError,
            RuntimeError,
            ValueError,
        ) as error:
            ray.shutdown()
            raise ConfigError(unreached(address, error)) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Let SIGTERM do what it did before the block, in which Ray makes it end the process at once.

    So `kill`, `ray job stop` and an orderly reboot ask a search to end; it closes its study then.
    """
    own = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # Ray sets one below Python too, which goes when one is set.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, own)


def _travelling(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Name what goes to the workers: this package, with what `ray job submit` was given.

    Args:
        environment: of this process.
    """
    job = json.loads(environment.get(_JOB, "{}")).get("runtime_env") or {}
    own = {"py_modules": [str(Path(__file__).parents[1])], "excludes": _LEFT_BEHIND}
    return {name: [*job.get(name, []), *mine] for name, mine in own.items()}


def unreached(address: str, error: Exception) -> str:
    """Say why a cluster cannot be used, and what to do.

    Args:
        address: as the user gave it.
        error: what Ray raised.
    """
    import ray
    from ray.exceptions import AuthenticationError

    said = str(error)
    if "Version mismatch" in said:
        theirs = said.partition("The cluster was started with:")[2].partition("This process")[0]
        words = theirs.replace("Ray:", "Ray").replace("Python:", "and Python").split()
        return (
            f"--address {address}: the cluster runs {' '.join(words)}, this is Ray "
            f"{ray.__version__} and Python {platform.python_version()}; both have to be the same "
            "on all machines, to the last number: install those of the cluster here, or start it "
            "with these"
        )
    token = "~/.ray/auth_token has to be a copy of its head node's, and RAY_AUTH_MODE not disabled"
    if isinstance(error, AuthenticationError) or "AuthToken" in said:
        return f"--address {address}: the cluster asks for a token; {token}"
    first = next((line.strip() for line in said.splitlines() if line.strip()), repr(error))
    if "Failed to connect" in first:
        # All that Ray tells of a cluster that refuses the token; its log, above, may tell more.
        return (
            f"--address {address}: Ray does not answer there ({first}); it has ended, or asks for "
            f"a token: {token}"
        )
    return (
        f"--address {address}: Ray is not reached there ({first}); start a cluster, or leave "
        "--address out to use this machine"
    )
