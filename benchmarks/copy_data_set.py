"""What a trial does that needs a data set from shared storage; `cluster.py` starts it.

It says when it is ready, waits for a line, and prints begin, end and bytes written as JSON.
"""

import json
import sys
import time
from pathlib import Path

from raycolor.remote.data_sets import local_copy


def bytes_written() -> int:
    """Count what this process has written to files."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


def main() -> None:
    """Copy the data set of the given address to this machine's cache folder."""
    print("ready", flush=True)
    sys.stdin.readline()
    before, began = bytes_written(), time.time()
    local_copy(sys.argv[1])
    print(json.dumps({"began": began, "ended": time.time(), "bytes": bytes_written() - before}))


if __name__ == "__main__":
    main()
