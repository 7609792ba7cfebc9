"""`ray up` on hosts of their own, and a study that outlives some of them.

The hosts are namespaces of this machine (`hosts`); the file is `clusters/on_prem.yaml` with this
machine's addresses, and without the installation, since the Python environment is shown to them.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from raycolor.plan import Plan, make_plan
from raycolor.remote.bucket import Bucket
from raycolor.study.records import Ask, End, Fault, Record, Reported
from raycolor.study.rules import replay
from raycolor.study.segments import read_segments
from tests.cluster.hosts import ROOT, SHARED, Host, Network, missing, processes_in
from tests.ray.test_search import TINY

pytestmark = [
    pytest.mark.ray,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

BIN = Path(sys.prefix) / "bin"
WORKERS = 3
TRIALS = 24
"""So many that the last of them never begins before the head is lost, however slow the machines."""
SETTINGS = TINY | {"budget.images": 320}
OUT = f"file://{SHARED}/studies"
CUT_S = 8.0
"""Shorter than the time after which Ray gives up a machine: 5 checks, 3 s apart."""
EVERY = 32
"""Images between two reports."""

CHANGE = (
    "            metrics=report.metrics,\n",
    "            metrics={**report.metrics, 'host': _host()},\n",
)
LOST = f"{SHARED}/head_was_lost"
HELD = f"{SHARED}/reports_are_held"
PAUSE_S = 3.0
ADDED = f"""

def _host() -> float:
    import time

    time.sleep(0 if Path("{LOST}").exists() else {PAUSE_S})
    while Path("{HELD}").exists():
        time.sleep(0.1)
    return float(platform.node()[4:])
"""
"""What the user changed of the package on the head: each report says which host it is of; and none
comes so fast that the study ends before its machines were lost, or while Ray finds that out."""


def adapted(network: Network) -> dict[str, Any]:
    """The on-prem file for these hosts."""
    text = (ROOT / "clusters" / "on_prem.yaml").read_text(encoding="utf-8")
    cluster: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    cluster["provider"] |= {"head_ip": network.ips[0], "worker_ips": network.ips[1:]}
    cluster["auth"]["ssh_user"] = "root"
    # The token stays; the source is shown to the hosts.
    del cluster["file_mounts"]["~/raycolor-source"]
    cluster["setup_commands"] = [
        f"test -e ~/raycolor-venv || ln -s {sys.prefix} ~/raycolor-venv",
        cluster["setup_commands"][-1],
    ]
    for role in ("head", "worker"):
        commands = cluster[f"{role}_start_ray_commands"]
        # Four machines share this one's memory and cores.
        commands[-1] += " --object-store-memory=80000000"
        commands[-1] += " --num-cpus=1" if role == "worker" else ""
    return cluster


def change(host: Host) -> None:
    """Put a checkout that its user has changed into a home."""
    script = (
        "rm -rf changed && mkdir changed && "
        f"cp -r {ROOT}/raycolor {ROOT}/search_spaces changed/ && "
        "chmod -R u+w changed && cat > changed/raycolor/tuning/trainable.py"
    )
    source = (ROOT / "raycolor" / "tuning" / "trainable.py").read_text(encoding="utf-8")
    assert source.count(CHANGE[0]) == 1
    subprocess.run(
        host.enter(["sh", "-c", script]),
        input=source.replace(*CHANGE) + ADDED,
        text=True,
        check=True,
    )


class Cluster:
    """Hosts on which `ray up` was run, and the commands of their user."""

    def __init__(self, network: Network) -> None:
        self.network = network
        settings = json.dumps(adapted(network))
        script = f"mkdir -p ~/.ray && cat > cluster.yaml <<'END'\n{settings}\nEND"
        network.operator.run("sh", "-c", script)
        network.operator.run(str(BIN / "ray"), "get-auth-token", "--generate")

    @property
    def head(self) -> Host:
        return self.network.hosts[0]

    def up(self) -> None:
        self.network.operator.run(str(BIN / "ray"), "up", "--yes", "cluster.yaml", timeout=180)
        change(self.head)
        # In place of the installation: what a login on the head finds as raycolor.
        self.head.run("sh", "-c", "echo 'export PYTHONPATH=$HOME/changed' >> ~/.bashrc")

    def submit(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of Ray's commands where the user sits, in the folder of his checkout."""
        ray = ["env", "-C", "changed", "RAY_AUTH_MODE=token", str(BIN / "ray")]
        return subprocess.run(
            self.network.operator.enter([*ray, *words]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=200,
        )

    def down(self) -> str:
        words = [str(BIN / "ray"), "down", "--yes", "cluster.yaml"]
        return self.network.operator.run(*words, timeout=120)

    def search(self, *more: str, out: str = OUT) -> list[str]:
        """The command, on the head, that searches."""
        sets = [word for path, value in SETTINGS.items() for word in ("--set", f"{path}={value}")]
        words = ["env", "PYTHONPATH=changed", str(BIN / "python"), "-m", "raycolor.search"]
        words += ["--address", "auto", "--study", "tiny", "--out", out, "--trials", str(TRIALS)]
        return self.head.enter([*words, *sets, *more])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    network = Network(1 + WORKERS)
    spaces = [host.space for host in (network.operator, *network.hosts)]
    try:
        made = Cluster(network)
        made.up()
        yield made
    finally:
        spaces += [host.space for host in network.hosts]
        network.close()
    assert [pid for space in spaces for pid in processes_in(space)] == []
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert str(network.shared) not in mounts
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "bridge" not in links
    assert "port0" not in links


@contextmanager
def started(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, what: str
) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        said = log.read_text(encoding="utf-8")
        assert process.poll() is None, f"ended before {what}\n{said}"
        assert time.monotonic() < deadline, f"waited too long: {what}\n{said}"
        time.sleep(0.3)


def plan() -> Plan:
    return make_plan(
        space="quickstart",
        study="tiny",
        out=OUT,
        data="photos",
        trials=TRIALS,
        concurrent=None,
        overrides=SETTINGS,
        address="auto",
        time_budget_s=None,
        seed=0,
    )


def test_a_folder_that_is_not_shared_is_refused_before_any_trial(cluster: Cluster) -> None:
    for out in ("studies", "file:///tmp/studies"):
        done = subprocess.run(
            cluster.search(out=out), capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 2, done.stdout + done.stderr
        for host in range(1, 1 + WORKERS):
            assert f"host{host}: --out " in done.stderr, done.stderr
        assert "is not the folder that the driver writes" in done.stderr
        assert "Traceback" not in done.stderr
        assert "begins" not in done.stdout


def test_without_the_token_it_is_one_sentence(cluster: Cluster) -> None:
    cluster.head.run("mkdir", "-p", "/tmp/other")
    words = cluster.search()
    words.insert(words.index("PYTHONPATH=changed"), "HOME=/tmp/other")
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    # Ray's own log may stand before it.
    last = done.stderr.splitlines()[-1]
    assert last.startswith("--address auto: ")
    assert "a token" in last
    assert "~/.ray/auth_token has to be a copy of its head node's" in last
    assert "Traceback" not in done.stderr
    # The study that it would have begun has no trial; the next test begins it.
    found = read_segments(Bucket(f"file://{cluster.network.shared}/studies/tiny"))
    assert not any(isinstance(record, Ask) for record in found)


def submitted(study: str, trials: str = "1") -> list[str]:
    """Flags of a small search."""
    settings = SETTINGS | {"budget.images": 2 * EVERY}
    sets = [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
    return ["--address", "auto", "--study", study, "--out", OUT, "--trials", trials, *sets]


def assert_changed_code_trained(network: Network, study: str) -> None:
    found = read_segments(Bucket(f"file://{network.shared}/studies/{study}"))
    reports = [record for record in found if isinstance(record, Reported)]
    assert [report.images_seen for report in reports] == [EVERY, 2 * EVERY]
    assert all(report.metrics["host"] in (1, 2, 3) for report in reports)
    assert isinstance(found[-1], End)


def test_ray_submit(cluster: Cluster) -> None:
    change(cluster.network.operator)
    script = ["../cluster.yaml", "raycolor/search.py", "--"]
    done = cluster.submit("submit", *script, *submitted("submitted"))
    assert done.returncode == 0, done.stdout
    assert "Best:" in done.stdout
    assert_changed_code_trained(cluster.network, "submitted")
    done = cluster.submit("submit", *script, *submitted("submitted", trials="0"))
    assert done.returncode == 1, done.stdout
    assert "--trials 0" in done.stdout
    assert "Traceback" not in done.stdout


def test_ray_job_submit(cluster: Cluster, tmp_path: Path) -> None:
    change(cluster.network.operator)
    tunnel = cluster.network.operator.enter([str(BIN / "ray"), "dashboard", "cluster.yaml"])
    with started(tunnel, tmp_path / "tunnel.log"):
        look = "until curl --silent localhost:8265 >/dev/null; do sleep 0.5; done"
        cluster.network.operator.run("bash", "-c", look, timeout=60)
        where = ["job", "submit", "--address", "http://localhost:8265", "--working-dir", "."]
        command = ["--", "python", "-m", "raycolor.search"]
        done = cluster.submit(*where, *command, *submitted("job"))
        assert done.returncode == 0, done.stdout
        assert "Best:" in done.stdout
        assert_changed_code_trained(cluster.network, "job")
        # What a job may bring along, and the driver names too.
        modules = ["--runtime-env-json", '{"py_modules": ["raycolor"]}']
        done = cluster.submit(*where, *modules, *command, *submitted("modules"))
        assert done.returncode == 0, done.stdout
        assert_changed_code_trained(cluster.network, "modules")
        done = cluster.submit(*where, *command, *submitted("job", trials="0"))
        assert done.returncode == 1, done.stdout
        assert "failed with exit code 2" in done.stdout
        assert "--trials 0" in done.stdout
        assert "Traceback" not in done.stdout

        # One that is stopped closes its study, and the same command goes on with it.
        place = Bucket(f"file://{cluster.network.shared}/studies/stopped")
        words = [*where, "--no-wait", "--submission-id", "first", *command, *submitted("stopped")]
        assert cluster.submit(*words).returncode == 0
        deadline = time.monotonic() + 150
        while not any(isinstance(record, Reported) for record in read_segments(place)):
            assert time.monotonic() < deadline
            time.sleep(0.3)
        done = cluster.submit("job", "stop", "--address", "http://localhost:8265", "first")
        assert "was stopped" in done.stdout, done.stdout
        end = read_segments(place)[-1]
        assert isinstance(end, End)
        assert end.reason == "interrupted"
        done = cluster.submit(*where, *command, *submitted("stopped"))
        assert done.returncode == 0, done.stdout
        assert "Going on" in done.stdout
        found = read_segments(place)
        reports = [record for record in found if isinstance(record, Reported)]
        assert [report.images_seen for report in reports] == [EVERY, 2 * EVERY]


def test_a_study_outlives_its_machines(cluster: Cluster, tmp_path: Path) -> None:
    network = cluster.network
    place = Bucket(f"file://{network.shared}/studies/tiny")

    def records() -> list[Record]:
        return read_segments(place)

    def reports() -> list[Reported]:
        return [record for record in records() if isinstance(record, Reported)]

    def hosts_of(found: list[Reported]) -> set[int]:
        return {int(report.metrics["host"]) for report in found}

    def faults() -> list[Fault]:
        return [record for record in records() if isinstance(record, Fault)]

    log = tmp_path / "first.log"
    with started(cluster.search(), log) as process:
        wait_until(lambda: hosts_of(reports()) == {1, 2, 3}, process, log, "all hosts train")

        # A machine breaks, with all that runs on it.
        held = network.shared / Path(HELD).name
        held.touch()
        network.hosts[3].kill()
        wait_until(lambda: len(faults()) == 1, process, log, "its trial is taken up")
        (fault,) = faults()
        assert not fault.final
        # Ray may notice the closed connections first.
        gone = (f"its machine {network.ips[3]} was lost", "its machine was not reached")
        assert fault.text in gone
        at_loss = len(reports())
        held.unlink()

        def goes_on() -> bool:
            return fault.number in {report.number for report in reports()[at_loss:]}

        # A cable is out for a moment, while others work.
        network.cut(2)
        time.sleep(CUT_S)
        network.mend(2)
        mended = len(reports())
        wait_until(
            lambda: 2 in hosts_of(reports()[mended:]), process, log, "the cut host trains on"
        )
        wait_until(goes_on, process, log, "the lost host's trial trains on")
        assert len(faults()) == 1

        # The head breaks too.
        before = records()
        cluster.head.kill()
        process.wait(timeout=60)
    (network.shared / Path(LOST).name).touch()
    # A session that was refused may stand before it, with its end.
    assert not isinstance(before[-1], End), log.read_text(encoding="utf-8")

    network.hosts[0] = network.start(0)
    cluster.up()
    log = tmp_path / "second.log"
    with started(cluster.search(), log) as process:
        process.wait(timeout=240)
    said = log.read_text(encoding="utf-8")
    assert process.returncode == 0, said
    assert "Going on" in said
    assert "Traceback" not in said

    found = records()
    assert isinstance(found[-1], End)
    assert found[-1].reason == "finished"
    assert repr(found[: len(before)]) == repr(before)
    assert replay(plan(), found) == []
    assert len([record for record in found if isinstance(record, Ask)]) == TRIALS
    # Every report once, and none between two others lost.
    for number in range(TRIALS):
        seen = [report.images_seen for report in reports() if report.number == number]
        assert seen == [EVERY * (1 + place) for place in range(len(seen))], number
    assert not any(fault.final for fault in faults())

    assert "No nodes remaining" in cluster.down()
    deadline = time.monotonic() + 90
    for host in (host for host in network.hosts if host.alive):
        while left := host.run("sh", "-c", "ps -eo args | grep -E '[r]aylet|[g]cs_server' || true"):
            assert time.monotonic() < deadline, left
            time.sleep(1)
