"""Whether a file of tensors is still what was written; without torch, which a driver may lack.

`raycolor.checkpoint` writes and reads such files; here only their seal is compared.
"""

import hashlib
import json
from pathlib import Path

DTYPES = {
    "BOOL": "torch.bool",
    "U8": "torch.uint8",
    "I8": "torch.int8",
    "I16": "torch.int16",
    "I32": "torch.int32",
    "I64": "torch.int64",
    "F16": "torch.float16",
    "BF16": "torch.bfloat16",
    "F32": "torch.float32",
    "F64": "torch.float64",
}
"""Names of kinds of numbers in a file's header, and in the seal."""


def is_intact(path: Path) -> bool:
    """Tell whether a file's tensors and description match the SHA-256 in it.

    Args:
        path: of a file that `save_tensors` wrote.

    Raises:
        OSError: it cannot be read; that says nothing of its contents.
    """
    content = path.read_bytes()
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length].decode("utf-8"))
        metadata = header.pop("__metadata__")
        digest = hashlib.sha256(f"{metadata['about']}\0".encode())
        data = memoryview(content)[8 + length :]
        for name in sorted(header):
            begin, end = header[name]["data_offsets"]
            shape = tuple(header[name]["shape"])
            digest.update(f"{name}\0{DTYPES[header[name]['dtype']]}\0{shape}\0".encode())
            digest.update(data[begin:end])
        # The tensors lie one behind the other and fill the file.
        spans = sorted(tuple(tensor["data_offsets"]) for tensor in header.values())
        borders = [0, *(end for _, end in spans)]
        gapless = borders == [*(begin for begin, _ in spans), len(data)]
        return bool(gapless and digest.hexdigest() == metadata["sha256"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
