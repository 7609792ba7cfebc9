"""The cluster files: Ray takes them, and what Ray does not look at is right too."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "cluster.yaml", *sorted((ROOT / "clusters").glob("*.yaml"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED = {
    match[1]: match[2]
    for text in PROJECT["dependencies"]
    if (match := re.fullmatch(r"([a-z0-9-]+)(?:\[\w+\])?==([\d.]+)", text))
}

INSTANCE = re.compile(r"[a-z][a-z0-9-]*\.(?:\d*x?large|metal|medium)")
IMAGE = re.compile(r"ami-[0-9a-f]{17}|resolve:ssm:/aws/service/[\w./-]+")
GROUP = re.compile(r"sg-[0-9a-f]{17}")
REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return found


def commands(cluster: dict[str, Any]) -> list[str]:
    """All commands that a file has run on machines."""
    keys = [key for key in cluster if key.endswith("_commands")]
    return [command for key in keys for command in cluster[key]]


def starts(cluster: dict[str, Any]) -> dict[str, str]:
    """The command that starts Ray, by the role of the machine."""
    found = {}
    for role in ("head", "worker"):
        (found[role],) = [c for c in cluster[f"{role}_start_ray_commands"] if "ray start" in c]
    return found


def aws_kinds() -> list[Any]:
    kinds = load(ROOT / "cluster.yaml")["available_node_types"]
    return [pytest.param(name, kind, id=name) for name, kind in kinds.items()]


@pytest.fixture(params=FILES, ids=[path.name for path in FILES])
def cluster(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


def test_ray_takes_it(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_ray_is_the_project_s(cluster: dict[str, Any]) -> None:
    (install,) = [command for command in cluster["setup_commands"] if "ray[" in command]
    assert re.findall(r"ray\[default\]==([\d.]+)", install) == [PINNED["ray"]]
    assert "--editable ~/raycolor-source " in install


def test_python_is_given_to_the_last_digit_and_one_that_the_project_takes() -> None:
    found = {
        version
        for path in FILES
        for command in commands(load(path))
        for version in re.findall(r"--python (\d[\d.]*)", command)
    }
    (version,) = found
    numbers = [int(number) for number in version.split(".")]
    assert len(numbers) == 3
    needed = PROJECT["requires-python"].removeprefix(">=").split(".")
    assert numbers >= [int(number) for number in needed]


def test_every_command_of_ray_asks_for_the_token(cluster: dict[str, Any]) -> None:
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    used = [command for command in commands(cluster) if re.search(r"/ray (?:start|stop)", command)]
    assert len(used) == 4
    for command in used:
        assert re.search(r"RAY_AUTH_MODE=token [^;&|]*/ray (?:start|stop)", command), command


def test_the_head_trains_nothing_and_shows_nothing_to_the_network(cluster: dict[str, Any]) -> None:
    head = starts(cluster)["head"]
    for flag in ("--num-cpus=0", "--num-gpus=0", "--dashboard-host=127.0.0.1", "--port=6379"):
        assert flag in head.split(), flag
    assert "0.0.0.0" not in "".join(commands(cluster))


def test_a_refused_limit_does_not_keep_ray_from_starting(cluster: dict[str, Any]) -> None:
    for command in starts(cluster).values():
        assert command.startswith("ulimit -n 65536; ")


def test_what_is_installed_already_is_not_installed_again(cluster: dict[str, Any]) -> None:
    guards = (
        r"test -[xe] \S+ \|\||grep -q \S+ \S+ \|\||~/\.local/bin/uv pip install|sudo iptables -C"
    )
    for key in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        for command in cluster.get(key, []):
            assert re.match(guards, command), command


def test_no_environment_and_no_study_travels(cluster: dict[str, Any]) -> None:
    assert cluster["file_mounts"]["~/raycolor-source"] == "."
    # `ray submit` runs its script in the home folder, where a folder of this name would hide the
    # package.
    assert "~/raycolor" not in cluster["file_mounts"]
    assert {".venv", ".git", "results", "runs"} <= set(cluster["rsync_exclude"])


def test_it_scales_from_nothing_and_back() -> None:
    cluster = load(ROOT / "cluster.yaml")
    kinds = cluster["available_node_types"]
    workers = {name: kind for name, kind in kinds.items() if name != cluster["head_node_type"]}
    assert all(kind["min_workers"] == 0 for kind in workers.values())
    assert kinds["gpu_spot"]["max_workers"] == cluster["max_workers"] > 1
    assert 0 < cluster["idle_timeout_minutes"] <= 30
    assert cluster["upscaling_speed"] >= cluster["max_workers"]
    assert cluster["provider"]["cache_stopped_nodes"] is False
    assert kinds[cluster["head_node_type"]]["resources"] == {"CPU": 0}


@pytest.mark.parametrize(("name", "kind"), aws_kinds())
def test_machines_of_aws(name: str, kind: dict[str, Any]) -> None:
    node = kind["node_config"]
    assert INSTANCE.fullmatch(node["InstanceType"])
    assert IMAGE.fullmatch(node["ImageId"])
    assert set(node["IamInstanceProfile"]) == {"Name"}
    (disk,) = node["BlockDeviceMappings"]
    # PyTorch, the image itself, and room for data.
    assert disk["Ebs"]["VolumeSize"] >= 150
    assert node["MetadataOptions"] == {"HttpTokens": "required"}
    market = node.get("InstanceMarketOptions")
    if name == "gpu_spot":
        assert market["MarketType"] == "spot"
        assert market["SpotOptions"] == {
            "SpotInstanceType": "one-time",
            "InstanceInterruptionBehavior": "terminate",
        }
    else:
        assert market is None
    if name != "head":
        assert kind["resources"] == {"CPU": 4, "GPU": 1}
        assert node["InstanceType"] == "g5.xlarge"
        assert node["IamInstanceProfile"]["Name"].endswith("worker")


def test_ports_of_aws_are_open_to_no_stranger() -> None:
    cluster = load(ROOT / "cluster.yaml")
    provider = cluster["provider"]
    assert REGION.fullmatch(provider["region"])
    zones = provider["availability_zone"].split(",")
    assert len(set(zones)) == len(zones) > 1
    assert all(re.fullmatch(rf"{provider['region']}[a-f]", zone) for zone in zones)
    # Without groups of the user's own, or with `security_group`, Ray opens ssh to everybody.
    assert "security_group" not in provider
    for kind in cluster["available_node_types"].values():
        groups = kind["node_config"]["SecurityGroupIds"]
        assert groups
        assert all(GROUP.fullmatch(group) for group in groups)
    (rule,) = cluster["head_setup_commands"]
    assert rule.count("-p tcp --dport 10001 ! -i lo -j REJECT") == 2
    assert "--ray-client-server-port=10001" in starts(cluster)["head"].split()


def test_all_machines_of_one_s_own_are_taken_in() -> None:
    cluster = load(ROOT / "clusters" / "on_prem.yaml")
    provider = cluster["provider"]
    number = len(provider["worker_ips"])
    assert provider["head_ip"] not in provider["worker_ips"]
    assert (cluster["min_workers"], cluster["max_workers"]) == (number, number)
    # The newer autoscaler counts the head among them, and leaves one out.
    assert "RAY_enable_autoscaler_v2=0" in starts(cluster)["head"]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_choice_is_explained(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = sum(line.lstrip().startswith("#") for line in lines)
    assert comments >= 0.3 * len(lines)
