import pytest
import torch
import torch.nn.functional as F

from raycolor.squares import cut_squares, shrink


def noise(number: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(side)
    squares = torch.randint(0, 256, (number, side, side, 3), dtype=torch.uint8, generator=generator)
    squares[0] = (squares[0] > 127) * 255  # Sums that have to be clipped.
    return squares


@pytest.mark.parametrize(
    ("side", "size"),
    [(16, 16), (17, 16), (32, 16), (36, 33), (40, 16), (100, 16), (78, 64), (96, 64), (300, 20)],
)
def test_shrinks_as_torch_does(side: int, size: int) -> None:
    squares = noise(3, side)
    rgb_u8 = squares.permute(0, 3, 1, 2)
    expected = F.interpolate(rgb_u8, size=(size, size), mode="bilinear", antialias=True)
    assert torch.equal(shrink(squares, size), expected.permute(0, 2, 3, 1))


def test_one_colour_stays() -> None:
    for value in (0, 1, 128, 254, 255):
        squares = torch.full((1, 50, 50, 3), value, dtype=torch.uint8)
        assert (shrink(squares, 17) == value).all()


def test_cuts_what_is_named() -> None:
    pixels = noise(4, 9)
    indices, tops, lefts = torch.tensor([[3, 0], [1, 5], [5, 0]])
    squares = cut_squares(pixels, indices, tops, lefts, 4)
    assert torch.equal(squares[0], pixels[3, 1:5, 5:9])
    assert torch.equal(squares[1], pixels[0, 5:9, 0:4])
