"""Colours as classes: a and b in bins of 10 by 10, and what a distribution over them stands for.

Source of all formulas: Zhang, Isola and Efros 2016, Colorful Image Colorization. Axis letters:
b batch, h height, w width, q bins, p and r rows and columns of a map of bins.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.spatial import ConvexHull
from torch import Tensor

from raycolor.color import AB_SCALE, rgb_to_unit

GRID = 10
"""Side of a bin in Lab units."""
NUM_BINS = 313
"""As many as the paper counts."""
NEAREST = 5
"""Bins over which a true colour is spread."""
SIGMA = 5.0
"""Of the Gaussians that spread a true colour, and that smooth frequencies, in Lab units."""


@cache
def bin_centers() -> Float[Tensor, "q 2"]:
    """Return a* and b* of the centres of all bins, in the order of a*, then b*.

    The grid of multiples of 10 is taken where it lies in the convex hull of all sRGB colours, seen
    along L*: 233 points. Their eight neighbours join them, so that colours between the outermost of
    them and the hull have bins on both sides: 313, the paper's number. It does
    not say how it found them. This rule was found by trying: it is the only one with that number,
    and gives the very points that its authors published. Others give points that sRGB has at some
    lightness (229, or 225 at whole L*), and these with their neighbours (309); bins that some sRGB
    colour falls into (261); the corners of all squares of the grid with a colour in them (309); the
    nearest five of every colour (323). No point of the grid is nearer to the hull than 0.08, far
    more than float32 is off.

    The hull's corners are colours on the edges of the RGB cube.
    """
    levels, ends = np.arange(256, dtype=np.uint8), np.array([0, 255], dtype=np.uint8)
    edges = [
        np.roll(
            np.stack(np.meshgrid(levels, ends, ends, indexing="ij"), -1).reshape(-1, 3), axis, 1
        )
        for axis in range(3)
    ]
    rgb_u8 = torch.from_numpy(np.concatenate(edges).T.copy())[None, :, :, None]
    _, ab_unit = rgb_to_unit(rgb_u8)
    hull = ConvexHull(ab_unit[0, :, :, 0].T.double().numpy() * AB_SCALE)
    axis_values = np.arange(-12, 13) * GRID
    points = np.stack(np.meshgrid(axis_values, axis_values, indexing="ij"), axis=-1)
    normals, offsets = hull.equations[:, :2], hull.equations[:, 2]
    inside = (points @ normals.T + offsets).max(axis=-1) <= 0
    padded = np.pad(inside, 1)
    beside = np.zeros_like(inside)
    for down in range(3):
        for across in range(3):
            beside |= padded[down : down + len(inside), across : across + len(inside)]
    return torch.from_numpy(points[beside]).float()


@cache
def _centers_on(device: torch.device) -> Float[Tensor, "q 2"]:
    return bin_centers().to(device)


def nearest_bins(
    ab_unit: Float[Tensor, "b 2 p r"], number: int = 1
) -> tuple[Int64[Tensor, "b n p r"], Float[Tensor, "b n p r"]]:
    """Find the bins around colours.

    Args:
        ab_unit: (a*, b*) / 110.
        number: how many bins.

    Returns:
        Their indices, the nearest first, and the squares of their distances in Lab units.
    """
    ab = ab_unit.float().permute(0, 2, 3, 1) * AB_SCALE
    centers = _centers_on(ab_unit.device)
    # Differences, not products: squares of 100 would cost the last digits of small distances.
    squared = (ab[..., :1] - centers[:, 0]).square() + (ab[..., 1:] - centers[:, 1]).square()
    distances, indices = squared.topk(number, dim=-1, largest=False)
    return indices.permute(0, 3, 1, 2), distances.permute(0, 3, 1, 2)


def soft_encode(ab_unit: Float[Tensor, "b 2 p r"]) -> tuple[Tensor, Tensor]:
    """Spread true colours over the bins around them.

    The five nearest bins get shares in proportion to a Gaussian of their distance, sigma 5.

    Args:
        ab_unit: (a*, b*) / 110.

    Returns:
        Distributions over the bins (b q p r), and the nearest bin of each colour (b p r).

    Source: section 2.1.
    """
    indices, squared = nearest_bins(ab_unit, NEAREST)
    shares = torch.softmax(squared / (-2 * SIGMA**2), dim=1)
    b, _, p, r = ab_unit.shape
    encoded = torch.zeros(b, NUM_BINS, p, r, device=ab_unit.device)
    return encoded.scatter_(1, indices, shares), indices[:, 0]


def annealed_mean(logits: Float[Tensor, "b q p r"], temperature: float) -> Float[Tensor, "b 2 p r"]:
    """Make one colour of a distribution over bins.

    The distribution is sharpened, p^(1/T) / sum p^(1/T), then its mean is taken: with 1 the mean,
    towards 0 the most probable bin. Differentiable.

    Args:
        logits: of the bins.
        temperature: T.

    Returns:
        (a*, b*) / 110, float32.

    Source: equation 5.
    """
    with torch.autocast(logits.device.type, enabled=False):
        sharpened = torch.softmax(logits.float() / temperature, dim=1)
        centers = _centers_on(logits.device) / AB_SCALE
        mean: Tensor = torch.einsum("bqpr,qc->bcpr", sharpened, centers)
        return mean


def rare_weights(frequencies: Float[Tensor, " q"], uniform: float = 0.5) -> Float[Tensor, " q"]:
    """Weigh bins so that rare colours are learned too.

    w = ((1 - u) p + u / Q)^-1, scaled to a mean of 1 under p, where p are the frequencies, smoothed
    over the ab plane by a Gaussian of sigma 5.

    Args:
        frequencies: how often each bin is the nearest one; in any unit, not all 0.
        uniform: u, how much of a uniform distribution is mixed in (lambda in the paper).

    Source: equation 4 and the text below it; the paper's p with the tilde is p here.
    """
    centers = bin_centers().double()
    # The grid is coarse beside sigma, so the kernel is normalised over the bins that there are: as
    # much leaves each bin as it has.
    kernel = torch.exp(torch.cdist(centers, centers).square() / (-2 * SIGMA**2))
    smoothed = (kernel / kernel.sum(dim=0)) @ frequencies.double()
    smoothed = smoothed / smoothed.sum()
    weights = 1.0 / ((1.0 - uniform) * smoothed + uniform / NUM_BINS)
    return (weights / (smoothed * weights).sum()).float()
