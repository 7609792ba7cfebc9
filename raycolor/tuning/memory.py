"""GPU memory of a trial: its share, what running out of it looks like, and giving it back.

Ray shares a GPU by book-keeping only: nothing but this keeps a trial from taking its neighbours'
memory.
"""

import gc

GIB = 2**30
NOTABLE = GIB
"""Bytes on a GPU that are told as other programs'; a process takes up to half of it for CUDA
itself, which torch does not count."""
SIGNS = (
    "CUDA out of memory",
    "CUDA ran out of memory",
    "error: out of memory",
    "_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",
    # What cuDNN says when each of its algorithms was tried and none had room. Networks and types
    # here are those that it has algorithms for.
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
)
"""Words of other errors by which CUDA's libraries say the same as `torch.OutOfMemoryError`."""


def keep_to_share(gpus: float) -> None:
    """Let this process take no more of its GPU's memory than its share; before it takes any.

    The peak that trials report begins anew too: the process may have had another trial.

    Args:
        gpus: of the trial; 0 for one without, which is left alone.
    """
    import torch

    if gpus and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))
        torch.cuda.reset_peak_memory_stats()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a GPU had too little memory."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def release() -> None:
    """Give back the GPU memory that nothing refers to any more: this process is used again."""
    import torch

    if torch.cuda.is_initialized():
        # Networks and their optimisers refer to each other.
        gc.collect()
        torch.cuda.empty_cache()


def shortage(*, gpus: float, alone: bool, batch_size: int, size: int) -> str:
    """Say that a trial ran out of GPU memory, and what follows.

    Called before anything is given back: it tells what others hold.

    Args:
        gpus: of the trial.
        alone: it had run out before, and ran by itself this time.
        batch_size: of its training.
        size: of its crops, pixels.

    Returns:
        One sentence without its subject.
    """
    if alone:
        follows = (
            "take a smaller budget.batch_size, data.size or generator, or a GPU with more memory"
        )
    elif 0 < gpus < 1:
        follows = "it is to run once more, alone on a whole GPU"
    else:
        follows = "it is to run once more, in a new process"
    return (
        f"ran out of GPU memory {_where(gpus)}, with batch size {batch_size} at {size} pixels; "
        f"{follows}"
    )


def _where(gpus: float) -> str:
    """Name the GPU, its size, and what others have of it."""
    import torch

    if 0 < gpus < 1:
        words = f"in 1/{round(1 / gpus)} of a GPU"
    elif gpus:
        words = "on a whole GPU"
    else:
        words = "on a GPU that it had not asked for (study.resources.gpus: 0)"
    try:
        free, total = torch.cuda.mem_get_info()
        others = total - free - torch.cuda.memory_reserved()
    except RuntimeError:
        # CUDA itself may have found no room to begin.
        return words
    words += f" of {total / GIB:.1f} GiB"
    # In a share, the neighbours' memory is no news.
    if gpus >= 1 and others > NOTABLE:
        words += f", of which other programs held {others / GIB:.1f} GiB"
    return words
