"""Weights of the networks whose features the Fréchet distance compares.

    efficientnet_lite0    come with raycolor
    inception_v3          TensorFlow's of 2015-12-05, as converted for torch-fidelity
    networks of timm      where timm's own description says, if it gives an address with a hash

What does not come with raycolor lies in `weights` in its cache folder. The driver fetches it before
the first trial (`fetch`); trials look for it there and never download (`path_of`). On a cluster the
driver hands its file to the workers (`extractor_content`), which keep it (`take_extractor`).

Neither torch nor timm is imported with this module, so that the driver can check files at once.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raycolor.cache import VARIABLE, cache_folder
from raycolor.checksums import sha256_of
from raycolor.config import EvaluationConfig
from raycolor.downloads import download
from raycolor.errors import DownloadError, WeightsError
from raycolor.files import replacing
from raycolor.problems import listed
from raycolor.weights import efficientnet_lite0_path

SETTING = "evaluation.extractor_weights"
INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_handed: list[Path] = []
"""The file that this process was handed, if it was; one study has one extractor."""
_HASHED = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
"""The end of a file's name with the beginning of its SHA-256, by the custom of torch's hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a file of weights can be had."""

    url: str
    sha256: str
    """In hex; at least its first 8 digits."""

    @property
    def place(self) -> Path:
        """Where it lies on this machine once it was fetched."""
        return cache_folder() / "weights" / self.url.rpartition("/")[2]


def path_of(evaluation: EvaluationConfig) -> Path:
    """Find the file with the weights of a study's extractor, and check it where its hash is known.

    Raises:
        WeightsError: it is missing, or not the expected one.
    """
    extractor, given = evaluation.extractor, evaluation.extractor_weights
    if extractor == "efficientnet_lite0":
        return efficientnet_lite0_path()
    if _handed:
        return _handed[0]
    if given is not None:
        return _given(extractor, Path(given).expanduser())
    origin = origin_of(extractor)
    if origin is None:
        raise WeightsError(_nowhere(extractor))
    if not origin.place.is_file():
        raise WeightsError(_missing(extractor, origin, "are not there"))
    if not sha256_of(origin.place).startswith(origin.sha256):
        raise WeightsError(_missing(extractor, origin, "are not the expected file"))
    return origin.place


def fetch(evaluation: EvaluationConfig, tell: Callable[[str], None] | None = None) -> Path:
    """Find the weights of a study's extractor, and download them once if they are not there.

    Args:
        evaluation: names the extractor.
        tell: hears of a download and of its progress.

    Raises:
        WeightsError: they are missing and cannot be had, or are not the expected ones.
    """
    extractor = evaluation.extractor
    if extractor != "efficientnet_lite0" and evaluation.extractor_weights is None:
        origin = origin_of(extractor)
        if origin is not None:
            try:
                download(origin.url, origin.place, sha256=origin.sha256, tell=tell)
            except DownloadError as error:
                said = _missing(extractor, origin, f"cannot be had ({error})")
                raise WeightsError(said) from error
    return path_of(evaluation)


def extractor_content(evaluation: EvaluationConfig) -> dict[str, bytes]:
    """Read the weights that machines of a cluster may lack, under the name of their setting.

    Args:
        evaluation: names the extractor.

    Returns:
        The file's bytes by a name that begins with the setting's; nothing for an extractor that
        comes with raycolor.

    Raises:
        WeightsError: see `path_of`.
    """
    if evaluation.extractor == "efficientnet_lite0":
        return {}
    path = path_of(evaluation)
    # The ending says how it is read.
    return {SETTING + path.suffix: path.read_bytes()}


def take_extractor(contents: Mapping[str, np.ndarray] | None) -> None:
    """Keep the extractor's weights that the driver handed over, once on each machine.

    Args:
        contents: bytes of files by their names, among them what `extractor_content` gave.
    """
    _handed.clear()
    for key in contents or ():
        if key.startswith(SETTING):
            assert contents is not None
            content = contents[key].tobytes()
            sha256 = hashlib.sha256(content).hexdigest()
            ending = key.removeprefix(SETTING)
            place = cache_folder() / "weights" / "handed" / f"{sha256}{ending}"
            if not place.is_file() or sha256_of(place) != sha256:
                with replacing(place) as beside:
                    beside.write_bytes(content)
            _handed.append(place)


def fingerprint(evaluation: EvaluationConfig) -> str:
    """Return the SHA-256 of the extractor's weights.

    Raises:
        WeightsError: see `path_of`.
    """
    return sha256_of(path_of(evaluation))


def extractor_fingerprint(evaluation: EvaluationConfig) -> dict[str, str]:
    """Return the SHA-256 of the extractor's weights by the name that a study's record has for them.

    Raises:
        WeightsError: see `path_of`.
    """
    return {extractor_entry(evaluation.extractor): fingerprint(evaluation)}


def extractor_entry(extractor: str) -> str:
    """Name an extractor's weights; a backbone of the same name may have others."""
    own = extractor == "efficientnet_lite0"
    return extractor if own else f"{extractor}, as extractor"


def origin_of(extractor: str) -> Origin | None:
    """Tell where an extractor's weights can be had; None if nobody says so with a hash.

    Raises:
        WeightsError: timm has no weights of that tag.
    """
    if extractor == "inception_v3":
        return Origin(url=INCEPTION_URL, sha256=INCEPTION_SHA256)
    url = _timm_url(extractor)
    if url is None or (found := _HASHED.search(url)) is None:
        return None
    return Origin(url=url, sha256=found[1])


def _timm_url(name: str) -> str | None:
    import timm  # here, so that a driver without need of it does not wait for torch

    network, _, tag = name.partition(".")
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{network}.*")]
    if not tags or (tag and tag not in tags):
        has = f"it has {listed(sorted(tags))}" if tags else "it has none"
        raise WeightsError(
            f"evaluation.extractor: timm has no weights {name}, {has}; take what there is, or name "
            f"a file with weights: {SETTING}: PATH"
        )
    described = timm.get_pretrained_cfg(name)
    url: str | None = described.url
    return url or None


def _given(extractor: str, path: Path) -> Path:
    """Check a file that the user names.

    Raises:
        WeightsError: it is not there, or cannot give an FID.
    """
    if not path.is_file():
        said = "is a folder" if path.is_dir() else "there is no such file"
        raise WeightsError(f"{SETTING}: {path}: {said}; name the file with the weights")
    if extractor == "inception_v3" and sha256_of(path) != INCEPTION_SHA256:
        raise WeightsError(
            f"{SETTING}: {path}: not the weights of 2015-12-05 that an FID is measured with (their "
            f"SHA-256 begins with {INCEPTION_SHA256[:8]}); fetch {INCEPTION_URL}"
        )
    return path


def _missing(extractor: str, origin: Origin, what: str) -> str:
    return (
        f"{origin.place}: the weights of {extractor} {what}. Fetch {origin.url} where there is a "
        f"connection, and put it there or name its place: {SETTING}: PATH. ${VARIABLE} names "
        "another folder than that of this user"
    )


def _nowhere(extractor: str) -> str:
    return (
        f"evaluation.extractor: {extractor}: timm gives no address with a hash for its weights, so "
        f"they are not fetched; fetch them, and name the file: {SETTING}: PATH"
    )
