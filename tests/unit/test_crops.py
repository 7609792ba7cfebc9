from collections.abc import Callable
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from raycolor import crops
from raycolor.config import DataConfig
from raycolor.crops import (
    ResidentPictures,
    Residents,
    check_size,
    crop_sides,
    draw_crops,
    fixed_crops,
    nearest_to,
    resident,
    sent,
    training_batch,
)
from raycolor.data import Pictures, PreparedData
from raycolor.errors import DataError

WHOLE = DataConfig(size=16)
"""With pictures stored at 16 pixels there is nothing but the whole picture."""
CROPPED = DataConfig(size=16, flip=False)
"""With pictures stored at 32 pixels there are three sizes of crops."""


def numbered(number: int, size: int = 16) -> Pictures:
    """Pictures of one colour each, their position in the split."""
    pixels = np.arange(number, dtype=np.uint8)[:, None, None, None]
    return Pictures(
        pixels=np.broadcast_to(pixels, (number, size, size, 3)),
        sources=tuple(f"{i}.png" for i in range(number)),
    )


def noise(number: int, size: int, seed: int = 0) -> Pictures:
    pixels = np.random.default_rng(seed).integers(0, 256, (number, size, size, 3), dtype=np.uint8)
    return Pictures(pixels=pixels, sources=tuple(f"{i}.png" for i in range(number)))


def whole(pictures: Pictures, index: int, size: int) -> torch.Tensor:
    """One whole picture, resized."""
    rgb_u8 = torch.from_numpy(pictures.pixels[index : index + 1].copy()).permute(0, 3, 1, 2)
    return F.interpolate(rgb_u8, size=(size, size), mode="bilinear", antialias=True)[0]


@given(
    stored=st.integers(16, 512),
    size=st.integers(16, 512),
    smallest=st.floats(0, 1, exclude_min=True),
)
def test_crop_sides_reach_from_the_smallest_to_the_whole(
    stored: int, size: int, smallest: float
) -> None:
    sides = crop_sides(DataConfig(size=size, smallest_crop=smallest), stored)
    assert list(sides) == sorted(set(sides))
    assert len(sides) <= 3
    assert sides[-1] == stored
    if size <= stored:
        assert sides[0] >= size
        assert sides[0] >= smallest * stored


def test_crop_sides_are_even_on_a_logarithmic_scale() -> None:
    assert crop_sides(DataConfig(size=64, smallest_crop=0.25), 256) == (64, 128, 256)


def test_crops_larger_than_the_pictures_are_refused(prepared: PreparedData) -> None:
    check_size(DataConfig(size=32), prepared)
    with pytest.raises(DataError, match=r"data\.size: 48 is larger .*\(32 pixels\); take at most"):
        check_size(DataConfig(size=48), prepared)


def test_batch_is_a_function_of_its_arguments_alone() -> None:
    pictures = noise(10, 32)

    def batch() -> torch.Tensor:
        return training_batch(
            pictures, DataConfig(size=16), seed=3, images_seen=24, batch_size=8
        ).clone()

    first = batch()
    with torch.random.fork_rng():
        state = torch.random.get_rng_state()
        training_batch(pictures, CROPPED, seed=4, images_seen=0, batch_size=8)
        # It neither draws from the global generator nor leaves a trace for the next call.
        assert torch.equal(torch.random.get_rng_state(), state)
        torch.rand(5)
        assert torch.equal(batch(), first)


@pytest.mark.parametrize("batch_size", [4, 7, 10, 25])
def test_every_picture_comes_once_an_epoch(batch_size: int) -> None:
    pictures, epochs = numbered(10), 7
    batches = [
        training_batch(pictures, WHOLE, seed=0, images_seen=seen, batch_size=batch_size)
        for seen in range(0, 10 * epochs, batch_size)
    ]
    order = torch.cat(batches)[: 10 * epochs, 0, 0, 0].reshape(epochs, 10)
    assert (order.sort(dim=1).values == torch.arange(10)).all()
    assert len(order.unique(dim=0)) == epochs


def test_order_does_not_depend_on_the_batch_size() -> None:
    def order(batch_size: int) -> list[int]:
        batches = [
            training_batch(numbered(10), WHOLE, seed=0, images_seen=seen, batch_size=batch_size)
            for seen in range(0, 40, batch_size)
        ]
        seen: list[int] = torch.cat(batches)[:, 0, 0, 0].tolist()
        return seen

    assert order(4) == order(8) == order(20)


def test_half_of_the_crops_are_mirrored() -> None:
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    pixels[:, :, 8:] = 255
    pictures = Pictures(pixels=pixels, sources=("half.png",))

    def left(config: DataConfig) -> torch.Tensor:
        batch = training_batch(pictures, config, seed=0, images_seen=0, batch_size=2000)
        return batch[:, 0, 0, 0]

    mirrored = left(DataConfig(size=16)) == 255
    assert float(mirrored.double().mean()) == pytest.approx(0.5, abs=0.05)
    assert (left(DataConfig(size=16, flip=False)) == 0).all()


def test_crops_differ_from_step_to_step_and_seed_to_seed() -> None:
    pictures = noise(1, 32)
    batches = [
        training_batch(pictures, CROPPED, seed=seed, images_seen=seen, batch_size=8)
        for seed in (0, 1)
        for seen in (0, 8, 16)
    ]
    for i, first in enumerate(batches):
        for second in batches[i + 1 :]:
            assert not torch.equal(first, second)


def test_crops_are_cut_from_the_pictures() -> None:
    # Every crop of the smallest side is a window, pixel for pixel; windows lie all over.
    pictures = noise(1, 18)
    config = DataConfig(size=16, smallest_crop=16 / 18, flip=False)
    batch = training_batch(pictures, config, seed=0, images_seen=0, batch_size=400)
    picture = torch.from_numpy(pictures.pixels[0]).permute(2, 0, 1)
    windows = {
        picture[:, top : top + 16, left : left + 16].numpy().tobytes(): (top, left)
        for top in range(3)
        for left in range(3)
    }
    places = [windows.get(crop.numpy().tobytes()) for crop in batch]
    assert set(places) == {*windows.values(), None}
    # One in three crops has the smallest side.
    assert 90 < sum(place is not None for place in places) < 180


def test_whole_pictures_of_the_networks_size_are_left_as_they_are() -> None:
    pictures = noise(6, 16)
    batch = training_batch(
        pictures, DataConfig(size=16, flip=False), seed=0, images_seen=0, batch_size=6
    )
    found = {crop.numpy().tobytes() for crop in batch}
    assert found == {
        np.ascontiguousarray(picture.transpose(2, 0, 1)).tobytes() for picture in pictures.pixels
    }


@pytest.mark.parametrize("smallest", [0.3, 1.0])
def test_batch_is_its_crops_one_by_one(smallest: float) -> None:
    pictures, config = noise(10, 40), DataConfig(size=16, smallest_crop=smallest)
    at = {"seed": 3, "images_seen": 48, "batch_size": 32}
    batch = training_batch(pictures, config, **at)
    draws = draw_crops(10, 40, config, **at)
    assert 5 < draws.mirrored.sum() < 27
    assert set(draws.sides) == set(crop_sides(config, 40))
    for crop, index, side, top, left, mirrored in zip(
        batch, draws.indices, draws.sides, draws.tops, draws.lefts, draws.mirrored, strict=True
    ):
        square = pictures.pixels[index, top : top + side, left : left + side]
        rgb_u8 = torch.from_numpy(square.copy()).permute(2, 0, 1)[None]
        rgb_u8 = F.interpolate(rgb_u8, size=(16, 16), mode="bilinear", antialias=True)
        assert torch.equal(crop, rgb_u8[0].flip(-1) if mirrored else rgb_u8[0])


def test_crops_are_drawn_as_ever() -> None:
    # A run that is taken up by a newer raycolor goes on with the crops that it would have had.
    draws = draw_crops(10, 32, DataConfig(size=16), seed=3, images_seen=8, batch_size=6)
    assert draws.indices.tolist() == [3, 8, 3, 8, 9, 7]
    assert draws.sides.tolist() == [23, 32, 16, 23, 32, 23]
    assert draws.tops.tolist() == [4, 0, 15, 8, 0, 7]
    assert draws.lefts.tolist() == [0, 0, 5, 8, 0, 1]
    assert draws.mirrored.tolist() == [False, False, False, True, True, True]


def test_a_pixels_channels_lie_side_by_side() -> None:
    for stored in (16, 32):
        batch = training_batch(noise(4, stored), CROPPED, seed=0, images_seen=0, batch_size=4)
        assert batch.is_contiguous(memory_format=torch.channels_last)


GPU = torch.device("cuda")
BYTES = 3 * 16 * 16 * 3
"""Of three pictures of 16 pixels."""


class Card:
    """A GPU that is made up: its memory is the CPU's, and it counts what is copied to it."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        free: int = 2**30,
        total: int = 2**30,
        share: float = 1.0,
    ) -> None:
        self.free, self.total, self.share = free, total, share
        self.copied: list[int] = []
        self.before: Callable[[], bool] = lambda: True
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (self.free, self.total))
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", self.fraction)
        monkeypatch.setattr(crops, "resident", self.resident)

    def fraction(self, device: int | None) -> float:
        assert device is None or isinstance(device, int)  # torch takes no device without a number
        return self.share

    def resident(self, pictures: Pictures, device: torch.device) -> ResidentPictures:
        assert self.before()
        self.copied.append(len(pictures))
        return resident(pictures, torch.device("cpu"))


class TestResidentPictures:
    CPU = torch.device("cpu")

    @pytest.mark.parametrize("stored", [16, 17, 40])
    @pytest.mark.parametrize("flip", [True, False])
    def test_where_pictures_lie_changes_no_bit(self, stored: int, flip: bool) -> None:
        pictures = noise(10, stored)
        config = DataConfig(size=16, smallest_crop=0.3, flip=flip)
        there = resident(pictures, self.CPU)
        for seen in (0, 24, 48):
            at = {"seed": 1, "images_seen": seen, "batch_size": 24}
            mapped, cut = (training_batch(place, config, **at) for place in (pictures, there))
            assert torch.equal(mapped, cut)
            assert mapped.stride() == cut.stride()

    def test_all_pictures_are_copied(self) -> None:
        pictures = noise(600, 16)
        assert np.array_equal(resident(pictures, self.CPU).pixels.numpy(), pictures.pixels)

    def test_a_cpu_has_them_in_memory_already(self) -> None:
        pictures = noise(3, 16)
        assert nearest_to(self.CPU, pictures) is pictures
        batch = torch.zeros(2)
        assert sent(batch, self.CPU) is batch

    @pytest.mark.parametrize(
        ("free", "share", "fits"),
        [
            (8 * BYTES, 1.0, True),
            (8 * BYTES - 1, 1.0, False),
            (40 * BYTES, 0.25, True),
            (40 * BYTES, 0.24, True),
            (40 * BYTES, 0.125, False),  # 5 times the pictures is free, of a share of 5
        ],
    )
    def test_a_gpu_takes_what_fits_into_the_share(
        self, free: int, share: float, fits: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pictures = noise(3, 16)
        card = Card(monkeypatch, free=free, total=40 * BYTES, share=share)
        there = nearest_to(GPU, pictures)
        assert isinstance(there, ResidentPictures) == fits
        assert card.copied == [3] * fits
        assert fits or there is pictures

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_a_gpu_cuts_the_same_crops(self) -> None:
        pictures, config = noise(10, 40), DataConfig(size=16, smallest_crop=0.3)
        at = {"seed": 1, "images_seen": 0, "batch_size": 24}
        gpu = torch.device("cuda")
        there = nearest_to(gpu, pictures)
        assert there is not pictures
        mapped = training_batch(pictures, config, **at)
        assert torch.equal(mapped, training_batch(there, config, **at).cpu())
        assert torch.equal(mapped, sent(mapped, gpu).cpu())


class TestResidents:
    def test_the_next_trial_finds_the_pictures(
        self, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card, residents = Card(monkeypatch), Residents()
        first = residents.of(prepared, "train", GPU)
        # Other programs may have the rest by now: they lie there already.
        card.free = 0
        assert residents.of(replace(prepared), "train", GPU) is first
        assert card.copied == [20]
        card.free = card.total
        fresh = nearest_to(GPU, prepared.pictures("train"))
        assert torch.equal(torch.as_tensor(first.pixels), torch.as_tensor(fresh.pixels))

    def test_another_data_set_or_split_takes_their_place(
        self, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card, residents = Card(monkeypatch), Residents()
        first = ref(residents.of(prepared, "train", GPU))
        # What a split needs is asked for when the last one is gone.
        card.before = lambda: first() is None
        second = ref(residents.of(prepared, "validation", GPU))
        card.before = lambda: second() is None
        residents.of(replace(prepared, fingerprint="another"), "train", GPU)
        assert card.copied == [20, 6, 20]

    def test_a_smaller_share_puts_them_back(
        self, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nbytes = prepared.pictures("train").pixels.nbytes
        card, residents = Card(monkeypatch, free=16 * nbytes, total=16 * nbytes), Residents()
        first = ref(residents.of(prepared, "train", GPU))
        card.share = 0.25
        assert not isinstance(residents.of(prepared, "train", GPU), ResidentPictures)
        assert first() is None

    def test_forgotten_ones_are_freed(
        self, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card, residents = Card(monkeypatch), Residents()
        first = ref(residents.of(prepared, "train", GPU))
        residents.forget()
        assert first() is None
        residents.of(prepared, "train", GPU)
        assert card.copied == [20, 20]

    def test_a_cpu_has_nothing_to_keep(self, prepared: PreparedData) -> None:
        kept = Residents().of(prepared, "train", torch.device("cpu"))
        assert not isinstance(kept, ResidentPictures)


class TestFixedCrops:
    def test_same_at_every_call(self) -> None:
        pictures = noise(5, 32)
        first, names = fixed_crops(pictures, CROPPED, number=17)
        second, names_again = fixed_crops(pictures, CROPPED, number=17)
        assert torch.equal(first, second)
        assert names == names_again

    @pytest.mark.parametrize("number", [1, 2, 5, 6, 14, 40])
    def test_as_many_as_asked_for(self, number: int) -> None:
        crops, names = fixed_crops(noise(5, 32), CROPPED, number=number)
        assert len(crops) == len(names) == number

    def test_no_more_than_there_are(self) -> None:
        crops, names = fixed_crops(noise(5, 16), WHOLE, number=12)
        assert names == ("0.png", "1.png", "2.png", "3.png", "4.png")
        assert len(crops) == 5

    def test_whole_pictures_come_first(self) -> None:
        pictures = noise(5, 32)
        crops, names = fixed_crops(pictures, CROPPED, number=12)
        for index in range(5):
            assert torch.equal(crops[index], whole(pictures, index, 16))
        assert names[:10] == names[:5] * 2

    def test_all_crops_differ(self) -> None:
        crops, _ = fixed_crops(noise(5, 32), CROPPED, number=20)
        assert len(crops.flatten(1).unique(dim=0)) == 20

    def test_longer_list_begins_with_the_shorter(self) -> None:
        pictures = noise(5, 32)
        longer, _ = fixed_crops(pictures, CROPPED, number=20)
        for number in (5, 8, 13):
            assert torch.equal(fixed_crops(pictures, CROPPED, number=number)[0], longer[:number])

    def test_fewer_than_pictures_are_spread_over_all_of_them(self) -> None:
        _, names = fixed_crops(noise(9, 16), WHOLE, number=3)
        assert names == ("0.png", "4.png", "8.png")
