"""Hosts on one machine: namespaces with a network, processes, folders and a name of their own.

They share the kernel, the clock and what is shown to them on purpose: the Python environment and
the source, read-only, and one folder that stands for a shared disk. Their network is a bridge that
lives in the namespace of an operator, from which no way leads out. The machine's own network, its
mounts and its processes are left as they are.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
SHARED = "/mnt"
"""Where every host but the operator sees the shared disk."""
NETWORK = "10.213.7"
"""The bridge's, in namespaces of its own: nobody else can meet it."""
OPERATOR = f"{NETWORK}.1"
HIDDEN = {"/tmp": "2g", "/dev/shm": "1g", "/run": "16m", "/var/tmp": "16m", str(HOME): "1g"}
"""Folders that are empty and its own on every host, with their size. The home is on its disk."""
TOOLS = {
    "/usr/sbin/sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""Programs that are needed, with Debian's packages that have them."""
SPACES = ("--mount", "--pid", "--net", "--ipc", "--uts")


def missing() -> str | None:
    """Say what this machine lacks; None if hosts can be had."""
    if sys.platform != "linux":
        return "hosts are namespaces of Linux"
    if os.getuid() != 0:
        return "hosts are namespaces, which only root may make"
    packages = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if packages:
        return f"needs {' '.join(packages)}: apt-get install {' '.join(packages)}"
    words = ["unshare", *SPACES, "--fork", "--kill-child", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"namespaces are not allowed here ({done.stderr.strip()})"
    return None


class Host:
    """One host, up from its making until it is killed."""

    def __init__(self, name: str, folder: Path, settings: dict[str, object]) -> None:
        """Bring it up.

        Args:
            name: of the host.
            folder: for its settings and its log, outside of the host.
            settings: see `host_init`.

        Raises:
            RuntimeError: it does not come up.
        """
        self.name = name
        self._log = folder / f"{name}.log"
        path = folder / f"{name}.json"
        # Of the environment only what every login has.
        environment = {"PATH": os.environ["PATH"], "HOME": str(HOME), "LANG": "C.UTF-8"}
        path.write_text(json.dumps({"name": name, **settings}), encoding="utf-8")
        init = Path(__file__).with_name("host_init.py")
        words = ["unshare", *SPACES, "--fork", "--kill-child", sys.executable, str(init), str(path)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"up\n":
            self.kill()
            raise RuntimeError(f"{name}: {self._log.read_text(encoding='utf-8')}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self.pid = int(children.read_text().split()[0])
        self.space = str(Path(f"/proc/{self.pid}/ns/pid").readlink())
        """Name of its pid namespace."""
        # While it is open no other namespace of the machine gets this name.
        self._held = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY)

    def enter(self, words: Sequence[str]) -> list[str]:
        """Write the command that runs another one on this host, in the home folder."""
        spaces = [space.replace("--", "-")[:2] for space in SPACES]
        assert spaces == ["-m", "-p", "-n", "-i", "-u"]
        # The folder by `env`, once inside: outside it is another one.
        home = ["env", "-i", "-C", str(HOME), f"HOME={HOME}", f"PATH={os.environ['PATH']}"]
        return ["nsenter", "-t", str(self.pid), *spaces, *home, "LANG=C.UTF-8", *words]

    def run(self, *words: str, timeout: float = 120) -> str:
        """Run a command on this host and return what it says."""
        done = subprocess.run(
            self.enter(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{self.name}: {' '.join(words)}\n{done.stdout}"
        return done.stdout

    def processes(self) -> list[int]:
        """List its processes, by their numbers on the machine."""
        return processes_in(self.space) if self.alive else []

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End all its processes at once, as a machine does whose power fails."""
        if hasattr(self, "pid") and self.alive:
            os.kill(self.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait(timeout=30)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def processes_in(space: str) -> list[int]:
    """List the processes of a pid namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str((entry / "ns" / "pid").readlink()) == space:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


class Network:
    """An operator, and hosts that it reaches by ssh."""

    def __init__(self, count: int) -> None:
        """Bring all of them up.

        Args:
            count: of hosts besides the operator.

        Raises:
            RuntimeError: one does not come up.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="hosts-"))
        self.shared = self._folder / "shared"
        """The shared disk, as this machine sees it."""
        self.shared.mkdir()
        self._keys()
        self.ips = [f"{NETWORK}.{10 + number}" for number in range(count)]
        self.hosts: list[Host] = []
        self._all: list[Host] = []
        try:
            self.operator = self._start("operator", self._settings_of_operator())
            self.hosts += [self.start(number) for number in range(count)]
        except BaseException:
            self.close()
            raise

    def start(self, number: int) -> Host:
        """Bring up a host, or bring it up again, and plug it in; only its home is kept."""
        name, port = f"host{number}", f"port{number}"
        host = self._start(name, self._settings_of_host(name))
        self._plug(host, port, number)
        return host

    def _plug(self, host: Host, port: str, number: int) -> None:
        """Lay a cable from a host to the bridge."""
        ip = self.ips[number]
        # Only the network is entered, so that process numbers are the machine's.
        wire = ["nsenter", "-t", str(self.operator.pid), "-n"]
        end = ["nsenter", "-t", str(host.pid), "-n"]
        # Of a host before it, whose network the kernel has not put away yet.
        subprocess.run([*wire, "ip", "link", "delete", port], capture_output=True, check=False)
        peer = ["type", "veth", "peer", "name", "eth0", "netns", str(host.pid)]
        # The same again after a new start, as of a real card: others keep it in mind for a while.
        card = f"02:00:00:00:00:{number:02x}"
        for words in (
            [*wire, "ip", "link", "add", port, *peer],
            [*wire, "ip", "link", "set", port, "master", "bridge", "up"],
            [*end, "ip", "link", "set", "lo", "up"],
            [*end, "ip", "link", "set", "eth0", "address", card],
            [*end, "ip", "address", "add", f"{ip}/24", "dev", "eth0"],
            [*end, "ip", "link", "set", "eth0", "up"],
            # Without one Ray takes 127.0.0.1 for the host's address.
            [*end, "ip", "route", "add", "default", "via", OPERATOR],
        ):
            subprocess.run(words, check=True)

    def cut(self, number: int) -> None:
        """Pull out a host's cable; what is sent is lost."""
        self.operator.run("ip", "link", "set", f"port{number}", "down")

    def mend(self, number: int) -> None:
        """Put it in again."""
        self.operator.run("ip", "link", "set", f"port{number}", "up")

    def close(self) -> None:
        """End all hosts, and with them all that runs on them."""
        for host in self._all:
            if host.alive:
                host.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, name: str, settings: dict[str, object]) -> Host:
        host = Host(name, self._folder, settings)
        self._all.append(host)
        return host

    def _keys(self) -> None:
        for name in ("id", "host"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / name)]
            subprocess.run(words, check=True, capture_output=True)
        self._id = (self._folder / "id").read_text(encoding="utf-8")
        self._public = (self._folder / "id.pub").read_text(encoding="utf-8")
        self._host_key = (self._folder / "host").read_text(encoding="utf-8")

    def _shown(self) -> list[tuple[str, str, bool]]:
        """What a host may see of folders that are hidden from it."""
        wanted = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
        return [(str(path), str(path), True) for path in sorted(wanted)]

    def _settings_of_operator(self) -> dict[str, object]:
        return {
            "shown": self._shown(),
            "hidden": HIDDEN,
            "files": {str(HOME / ".ssh" / "id_cluster"): (self._id, 0o600)},
            "commands": [
                ["ip", "link", "set", "lo", "up"],
                ["ip", "link", "add", "bridge", "type", "bridge"],
                ["ip", "address", "add", f"{OPERATOR}/24", "dev", "bridge"],
                ["ip", "link", "set", "bridge", "up"],
            ],
        }

    def _settings_of_host(self, name: str) -> dict[str, object]:
        home = self._folder / "homes" / name
        home.mkdir(parents=True, exist_ok=True)
        configuration = (
            "HostKey /run/sshd_key\nPidFile none\nUsePAM no\nStrictModes no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "AuthorizedKeysFile .ssh/authorized_keys\nMaxStartups 100\nUseDNS no\n"
        )
        return {
            "shown": [
                (str(home), str(HOME), False),
                *self._shown(),
                (str(self.shared), SHARED, False),
            ],
            "hidden": HIDDEN,
            "files": {
                "/run/sshd/.here": ("", 0o600),
                "/run/sshd_key": (self._host_key, 0o600),
                "/run/sshd_config": (configuration, 0o600),
                str(HOME / ".ssh" / "authorized_keys"): (self._public, 0o600),
                # The head reaches the workers with it.
                str(HOME / ".ssh" / "id_cluster"): (self._id, 0o600),
            },
            "commands": [
                ["touch", str(HOME / ".bashrc")],
                ["/usr/sbin/sshd", "-f", "/run/sshd_config"],
            ],
        }
