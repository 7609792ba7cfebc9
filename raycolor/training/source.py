"""What lies beside a study's `best/config.yaml`: where it came from, and what made its bits."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from raycolor.errors import CheckpointError
from raycolor.study.best import CONFIG, SOURCE


class Source(BaseModel):
    """Where a configuration came from; what an older study did not write down is None."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    study: str
    trial: str
    data: str | None = None
    """`photos`, or the path of the data set."""
    fingerprint: str | None = None
    """Of the data set."""
    threads: tuple[int, ...] = ()
    """That the trial trained with: one number, unless sessions gave it different ones."""
    gpus: float | None = None
    """That the trial had."""
    processor: str | None = None
    torch: str | None = None
    """Version of it."""

    @property
    def name(self) -> str:
        """Name of a run of this configuration."""
        return f"{self.study}_{self.trial}"


def source_of(config: Path) -> Source | None:
    """Read where a configuration came from; None for a file that no study wrote.

    Args:
        config: the file of the configuration.

    Raises:
        CheckpointError: what lies beside it is damaged.
    """
    path = config.with_name(SOURCE)
    if config.name != CONFIG or not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        # An older study names itself by its folder only.
        return Source.model_validate({"study": path.resolve().parent.parent.name, **tree})
    except (OSError, ValueError, TypeError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise CheckpointError(
            f"{path}: cannot be read ({said}); give the search's command again, which writes it, "
            "or copy the configuration elsewhere to train it without"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run has, to be held against what the study's trial had."""

    threads: int
    on_gpu: bool
    processor: str | None
    torch: str
    fingerprint: str


def differences_from(source: Source, machine: Machine) -> list[str]:
    """Say what keeps a run from having the bits of the study's trial, one sentence each."""
    told: list[str] = []

    def note(what: str, now: Any, then: Any) -> None:
        if then is not None and now != then:
            told.append(f"{what}: {now}; the study's trial had {then}")

    if len(source.threads) > 1:
        several = " and ".join(map(str, source.threads))
        told.append(f"threads: {machine.threads}; the study's trial had {several}, one by one")
    elif source.threads:
        note("threads", machine.threads, source.threads[0])
    else:
        told.append(f"threads: {machine.threads}; nothing tells how many the study's trial had")
    if source.gpus is not None:
        devices = {False: "no GPU", True: "a GPU"}
        note("device", devices[machine.on_gpu], devices[source.gpus > 0])
    note("processor", machine.processor, source.processor)
    note("torch", machine.torch, source.torch)
    if source.fingerprint not in (None, machine.fingerprint):
        told.append("data: another data set than the study's")
    return told
