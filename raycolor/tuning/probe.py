"""Asks each machine of a cluster, before any trial starts, whether a study can run there.

A study on the disk of one machine looks well until a trial goes on elsewhere, and does not find its
checkpoints. So the driver leaves a mark in the study's folder, and each machine looks for it, and
writes beside it. The mark stays while the session lasts: machines that join later look for it too.
"""

import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raycolor.data import open_prepared
from raycolor.errors import ConfigError, DataError
from raycolor.plan import BUILT_IN, Plan
from raycolor.problems import listed
from raycolor.remote.address import is_address
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import check_here
from raycolor.storage import Patience, StorageError

MARK = "session.mark"
"""File in a study's folder, which says that it is the driver's."""
WAITS_S = (1.0, 3.0)
"""Seconds between tries."""
LIMIT_S = 300.0
"""Longest time of a probe: a machine's first process unpacks the package and imports it."""


@contextmanager
def marked(plan: Plan) -> Iterator[str]:
    """Leave a mark in a study's folder while the block runs, and tell what stands in it.

    Raises:
        StorageError: the folder cannot be written.
    """
    place, content = Bucket(folder_address(plan)), secrets.token_hex(16)
    place.write(MARK, content.encode())
    try:
        yield content
    finally:
        with suppress(StorageError):
            place.delete(MARK)


def folder_address(plan: Plan) -> str:
    """Name a study's folder as an address, wherever it lies."""
    return plan.address_of_study or plan.folder.resolve().as_uri()


def look(address: str, mark: str, where: str) -> str | None:
    """Look for the mark of a study on this machine, and try to write beside it.

    Args:
        address: of the study's folder.
        mark: what should stand in it.
        where: the folder as the user named it.

    Returns:
        What is wrong, in a sentence; None if nothing is.
    """
    place = Bucket(address, patience=Patience(WAITS_S))
    try:
        # Network folders show a new file with a delay of some seconds.
        for wait_s in (*WAITS_S, 0.0):
            if _read(place) == mark:
                own = f"{MARK}.{secrets.token_hex(4)}"
                place.write(own, mark.encode())
                place.delete(own)
                return None
            time.sleep(wait_s)
    except StorageError as error:
        return str(error)
    return (
        f"--out {where}: is not the folder that the driver writes; give a folder that all machines "
        "share at this path, or an address, as s3://BUCKET/FOLDER"
    )


def probe(address: str, mark: str, where: str, data: str | None, fingerprint: str) -> str | None:
    """Check on this machine what trials will need; runs on each of them.

    Args:
        address: of the study's folder.
        mark: what should stand in it.
        where: the folder as the user named it.
        data: folder or address of the data set; None for what comes with raycolor.
        fingerprint: of the data set that the driver sees.

    Returns:
        What is wrong, in a sentence; None if nothing is.
    """
    problem = look(address, mark, where) or (data and _data_problem(data, fingerprint))
    return f"{platform.node()}: {problem}" if problem else None


def _data_problem(data: str, fingerprint: str) -> str | None:
    """Say what is wrong with a data set on this machine; None if nothing is."""
    if is_address(data):
        return _problem_there(data, fingerprint)
    remedy = "put the data set on storage that all machines share at this path"
    try:
        found = open_prepared(Path(data)).fingerprint
    except (DataError, OSError) as error:
        return f"--data {data}: cannot be read there ({error}); {remedy}"
    if found != fingerprint:
        return f"--data {data}: is another data set there than on the driver's machine; {remedy}"
    return None


def _problem_there(data: str, fingerprint: str) -> str | None:
    """Say why this machine cannot copy a data set from shared storage; None if it can."""
    try:
        check_here(data, fingerprint)
    except (DataError, StorageError) as error:
        said = str(error)
        return f"--data {said}" if is_address(said) else said
    return None


def check_machines(plan: Plan, mark: str, fingerprint: str) -> None:
    """Run the probe on every machine that may get a trial.

    A machine that is lost meanwhile is left out: what it would have done, others do.

    Args:
        plan: of the study.
        mark: that the driver left in its folder.
        fingerprint: of the data set.

    Raises:
        ConfigError: what is wrong, a line for each machine.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    data = None if plan.data == BUILT_IN else plan.data
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(probe)
            asked[node["NodeManagerAddress"]] = remote.remote(
                folder_address(plan), mark, plan.where, data, fingerprint
            )
    problems, silent = [], []
    for name, answer in asked.items():
        try:
            problems.append(ray.get(answer, timeout=LIMIT_S))
        except GetTimeoutError:
            silent.append(name)
        except RayError as error:
            if not _is_lost(error):
                lines = [line for line in str(error).splitlines() if line.strip()]
                problems.append(f"{name}: cannot run raycolor ({lines[-1].strip()})")
    if silent:
        problems.append(f"{listed(silent)}: no answer within {LIMIT_S:g} s; see `ray status`")
    if found := [problem for problem in problems if problem is not None]:
        raise ConfigError("\n".join(found))


def _read(place: Bucket) -> str | None:
    """Read the mark; None if it is not there."""
    try:
        return place.read(MARK).decode()
    except FileNotFoundError:
        return None


def _is_lost(error: Exception) -> bool:
    """Tell whether it is the machine that is gone."""
    from ray.exceptions import NodeDiedError, TaskUnschedulableError, WorkerCrashedError

    return isinstance(error, NodeDiedError | TaskUnschedulableError | WorkerCrashedError)
