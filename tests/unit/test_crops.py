import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from raycolor.config import DataConfig
from raycolor.crops import check_size, crop_sides, fixed_crops, training_batch
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
