"""What is checked before the first trial starts: the data set, whether it fits, and weights.

This module imports neither torch nor ray, so that what is missing is said at once. Downloaded
weights are tried on their networks, which takes torch, and of a network of timm as extractor timm
has to be asked where its weights are.
"""

import math
import shlex
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from raycolor.backbones import ENCODERS
from raycolor.cache import cache_folder
from raycolor.config import (
    BATCH,
    BUDGET,
    EXTRACTOR_SIZES,
    FROZEN,
    PRETRAINING,
    REPORT,
    SIZE,
    EvaluationConfig,
)
from raycolor.data import ARCHIVES, ENDINGS, PHOTOS, PreparedData, open_prepared, verify
from raycolor.errors import ConfigError, DataError, WeightsError
from raycolor.metrics.weights import fetch
from raycolor.plan import BUILT_IN, Plan
from raycolor.problems import listed
from raycolor.remote.address import is_address
from raycolor.remote.data_sets import described_at, local_copy
from raycolor.spaces.samples import SIZES, fitting_sizes, possible_values, possible_weights
from raycolor.spaces.space import Space
from raycolor.spaces.spelling import nearest
from raycolor.weights import (
    efficientnet_lite0_path,
    find_weights,
    weights_fingerprints,
    weights_key,
)

MOST_FILES = 2000
"""That are looked at in search of a photograph."""
FEWEST_VALIDATION = 2
"""A Fréchet distance needs a covariance, and that needs two pictures."""


def check_before_trials(plan: Plan, *, tell: Callable[[str], None] | None = None) -> str:
    """Check what trials will need, and return the fingerprint of the data.

    Data on shared storage are copied to this machine, once.

    Args:
        plan: of the study.
        tell: hears of what takes long.

    Raises:
        RaycolorError: what is missing or does not fit, and the remedy.
    """
    # Trials keep things there, or look for them.
    cache_folder()
    data = check_data(plan)
    if is_address(plan.data):
        data = local_copy(plan.data, tell=tell, checked=True)
    else:
        verify(data)
    efficientnet_lite0_path()
    _check_extractor(plan.base.evaluation, tell)
    return data.fingerprint


def find_pretrained(
    plan: Plan, tell: Callable[[str], None] | None = None
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Find all weights that encoders of a plan's trials start with, and read them.

    What is not there is fetched. Each file is tried on its encoder, so that no trial finds out.

    Args:
        plan: whose trials will need them.
        tell: hears of downloads.

    Returns:
        The SHA-256 of each file of pretrained weights, for the record; and the contents of those
        that workers do not have already, by their `weights_key`.

    Raises:
        WeightsError: some cannot be had or used; the message has a line for each of them.
    """
    wanted = possible_weights(plan.space)
    found = find_weights(wanted, tell=tell)
    contents: dict[str, bytes] = {}
    problems: list[str] = []
    for backbone, weights in wanted:
        if weights == "imagenet" and ENCODERS[backbone].packaged:
            continue
        # Here, since it imports torch, which takes seconds.
        from raycolor.networks.encoder_state import encoder_state

        key = weights_key(backbone, weights)
        contents[key] = found[key].read_bytes()
        try:
            encoder_state(backbone, weights, contents)
        except WeightsError as error:
            problems.append(str(error))
    if problems:
        raise WeightsError("\n".join(problems))
    return weights_fingerprints(found), contents


def _check_extractor(evaluation: EvaluationConfig, tell: Callable[[str], None] | None) -> None:
    """Get the extractor's weights, and see that they are its own.

    Raises:
        RaycolorError: they are missing, or do not fit.
    """
    fetch(evaluation, tell)
    if evaluation.extractor not in EXTRACTOR_SIZES:
        # Of these files no content is known beforehand. torch is here already, with timm.
        from raycolor.metrics.extractor import build_extractor

        build_extractor(evaluation)


def check_data(plan: Plan) -> PreparedData:
    """Check the data set as far as can be told without reading its pixels.

    Of one on shared storage only the description is read; its folder is where a copy will lie.

    Raises:
        RaycolorError: it is missing, or does not fit the plan.
    """
    data = open_data(plan)
    where = plan.data if is_address(plan.data) else str(data.path)
    if problems := list(data_problems(plan.space, data, where)):
        raise ConfigError("\n".join(problems))
    return data


def open_data(plan: Plan) -> PreparedData:
    """Open the data set of a plan.

    Raises:
        DataError: it is none; photographs that are not prepared yet are told apart.
    """
    if plan.data == BUILT_IN:
        return open_prepared(PHOTOS)
    if is_address(plan.data):
        return described_at(plan.data)
    path = Path(plan.data)
    if (path / "dataset.json").is_file():
        return open_prepared(path)
    if not path.exists():
        near = nearest(path.name, [BUILT_IN, *_prepared_in(path.parent)])
        meant = f"did you mean {near[0]}?" if near else "give a folder, or photos"
        raise DataError(f"--data {path}: there is no such folder; {meant}")
    if path.name.lower().endswith(ARCHIVES):
        raise DataError(f"--data {path}: is an archive; {_prepare_first(plan, path)}")
    if not path.is_dir():
        raise DataError(f"--data {path}: is a file; give the folder of a prepared data set")
    if inside := _prepared_in(path):
        names = listed([str(path / name) for name in inside], last="or", most=3)
        raise DataError(f"--data {path}: is no data set but holds some; take {names}")
    if photograph := _photograph_in(path):
        raise DataError(
            f"--data {path}: holds photographs (such as {photograph}) that are not prepared; "
            f"{_prepare_first(plan, path)}"
        )
    raise DataError(
        f"--data {path}: no dataset.json and no photographs in it; give the folder of a prepared "
        "data set, which `python -m raycolor.prepare FOLDER OUT --size N` makes of photographs"
    )


def data_problems(space: Space, data: PreparedData, where: str | None = None) -> Iterator[str]:
    """Yield one sentence for each setting of a space that does not fit a data set.

    Args:
        space: of the study.
        data: the data set.
        where: what messages call it; its folder if None.
    """
    where = where or str(data.path)
    yield from _size_problems(space, data, where)
    yield from _batch_problems(space, data, where)
    if (number := data.counts["validation"]) < FEWEST_VALIDATION:
        yield (
            f"--data {where}: validation has {number} picture, but a Fréchet distance takes "
            f"at least {FEWEST_VALIDATION}; prepare it again from more photographs"
        )


def _size_problems(space: Space, data: PreparedData, where: str) -> Iterator[str]:
    wanted = [size for size in possible_values(space, SIZE) if isinstance(size, int)]
    if (largest := max(wanted)) <= data.size:
        return
    sizes = fitting_sizes(space)
    fitting = [size for size in sizes if size <= data.size]
    beginning = f"{SIZE}: {largest} is larger than the pictures of {where} ({data.size} pixels)"
    if fitting:
        # The largest are nearest to what was wanted.
        names = listed(fitting[-6:], last="or")
        yield f"{beginning}; take {names}: --set {SIZE}={fitting[-1]}"
    elif sizes:
        yield (
            f"{beginning}, and the networks of this space take no size below {sizes[0]}; prepare "
            f"the data set again with --size {largest} or more"
        )
    else:
        yield f"{beginning}; prepare the data set again with --size {largest} or more"


def _batch_problems(space: Space, data: PreparedData, where: str) -> Iterator[str]:
    batches = [value for value in possible_values(space, BATCH) if isinstance(value, int)]
    number = data.counts["train"]
    if (largest := max(batches)) <= number:
        return
    lengths = [
        v for path in (BUDGET, REPORT, PRETRAINING, FROZEN) for v in possible_values(space, path)
    ]
    common = math.gcd(*(length for length in lengths if isinstance(length, int)))
    fitting = [batch for batch in range(1, number + 1) if common % batch == 0]
    yield (
        f"{BATCH}: {largest} is more than the {number} training pictures of {where}; take "
        f"{listed(fitting[-4:], last='or')}: --set {BATCH}={fitting[-1]}"
    )


def _prepare_first(plan: Plan, path: Path) -> str:
    """Write the command that makes a data set of photographs."""
    size = max(size for size in possible_values(plan.space, SIZE) if isinstance(size, int))
    # Half as much again: random crops of larger pictures differ more.
    stored = min(size * 3 // 2, SIZES[-1])
    folder, out = shlex.quote(str(path)), shlex.quote(f"{path.with_suffix('')}-{stored}")
    return (
        f"run `python -m raycolor.prepare {folder} {out} --size {stored}` first, then search with "
        f"--data {out}"
    )


def _prepared_in(folder: Path) -> list[str]:
    """Name the prepared data sets in a folder."""
    if not folder.is_dir():
        return []
    return sorted(path.parent.name for path in islice(folder.glob("*/dataset.json"), MOST_FILES))


def _photograph_in(folder: Path) -> str | None:
    """Name a photograph somewhere in a folder."""
    for path in islice(folder.rglob("*"), MOST_FILES):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            return str(path.relative_to(folder))
    return None
