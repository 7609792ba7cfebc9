"""The first process of a host: hides the machine's folders, then keeps the host up.

It runs inside new namespaces, as process 1 of its own. When it ends, the kernel ends every process
of the host, and with the last of them mounts and network go. It ends when it is killed, or when the
process that holds its standard input does, so a test that is killed leaves nothing behind.

    python host_init.py SETTINGS.json
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
LOOK_S = 0.2
"""Seconds between two looks for ended processes."""

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call mount(2)."""
    words = [word.encode() or None for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def hide(settings: dict[str, Any]) -> None:
    """Give the host folders of its own, and show in them what it may see."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    # Opened now: most of them lie in folders that are hidden next.
    shown = {
        place: (os.open(source, os.O_PATH), read_only)
        for source, place, read_only in settings["shown"]
    }
    for folder, size in settings["hidden"].items():
        mount("tmpfs", folder, "tmpfs", data=f"size={size},mode=1777")
    for place, (opened, read_only) in shown.items():
        Path(place).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{opened}", place, flags=MS_BIND | MS_REC)
        if read_only:
            mount("none", place, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
        os.close(opened)
    # Whatever else there is, no host may leave anything in it for another one.
    mount("none", "/", flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def keep_up() -> None:
    """Wait for the end of standard input, and meanwhile for orphans that have ended."""
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_S)
        if ready and not os.read(0, 1):
            return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue


def main() -> None:
    # Process 1 gets no signal that it does not ask for; this one ends it from inside, too.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    socket.sethostname(settings["name"])
    hide(settings)
    for path, (content, mode) in settings["files"].items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content, encoding="utf-8")
        Path(path).chmod(mode)
    for words in settings["commands"]:
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    os.write(1, b"up\n")
    keep_up()


if __name__ == "__main__":
    main()
