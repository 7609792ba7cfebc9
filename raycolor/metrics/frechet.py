"""The Fréchet distance between two sets of features, exact and cheap.

Axis letters: n m numbers of pictures, d length of a feature.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import ThreadpoolController
from torch import Tensor

MANY = 256
"""Pictures from which on the eigenvalues of a Gram matrix are so much faster than singular values
that it matters."""
MOST_ERROR = 1e-8
"""Of a sum of singular values, relative: an estimate above it falls back to the decomposition. The
estimate is careful: for a thousand photographs the error itself was a thousandth of it."""


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """What the distance needs of one set of features, in float64.

    Matrices of d x d are computed when they are first asked for, and kept: one set may be compared
    with several others.
    """

    mean: Float[Tensor, " d"]
    centered: Float[Tensor, "n d"]
    """Features less their mean, divided by sqrt(n - 1): its Gram matrix is the covariance."""

    @cached_property
    def covariance(self) -> Float[Tensor, "d d"]:
        """The unbiased covariance."""
        return self.centered.T @ self.centered

    @cached_property
    def root(self) -> Float[Tensor, "d d"]:
        """A square root R of the covariance C, in the sense of R R^T = C.

        The factor of Cholesky, at a tenth of the cost of the symmetric one, which is taken where
        features that always agree leave no such factor.
        """
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        if not failed:
            lower: Tensor = factor
            return lower
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = vectors * values.clamp(min=0).sqrt()
        return root


def feature_statistics(features: Float[Tensor, "n d"]) -> FeatureStatistics:
    """Prepare one set of features for `frechet_distance`.

    Args:
        features: one row a picture; at least two rows.
    """
    exact = features.double()
    mean = exact.mean(dim=0)
    return FeatureStatistics(mean=mean, centered=(exact - mean) / (len(exact) - 1) ** 0.5)


def frechet_distance(x: FeatureStatistics, y: FeatureStatistics) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    |mean_x - mean_y|^2 + tr C_x + tr C_y - 2 tr (C_x C_y)^(1/2) with the unbiased covariances
    C = X^T X of the centered features X (Dowson and Landau 1982; Heusel et al. 2017, equation 6).
    The last trace is the nuclear norm of X Y^T, an n x m matrix (see `nuclear_norm`): with fewer
    pictures than features far cheaper than the square root of a d x d matrix, and exact. With more,
    the eigenvalues of R_y^T C_x R_y with R_y R_y^T = C_y, which is symmetric and similar to
    C_x C_y, give the same number.

    Args:
        x: of one set.
        y: of the other; one that is compared with several sets comes here, since its root is kept.

    Returns:
        The distance; 0 for equal sets, never negative but for rounding, far below 1e-8 of the
        spread.
    """
    shift = (x.mean - y.mean).square().sum()
    spread = x.centered.square().sum() + y.centered.square().sum()
    dimension = x.mean.shape[0]
    if min(len(x.centered), len(y.centered)) < dimension:
        cross = nuclear_norm(x.centered @ y.centered.T)
    else:
        product = y.root.T @ x.covariance @ y.root
        cross = float(torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum())
    return float(shift + spread) - 2 * cross


def nuclear_norm(product: Float[Tensor, "n m"]) -> float:
    """Sum the singular values of a product X Y^T of centered features.

    From `MANY` pictures on they are taken as roots of the eigenvalues of its Gram matrix K, in
    about half the time. A root loses half the digits where an eigenvalue is next to nothing, and
    one of them is exactly nothing: the vector of ones is in K's kernel, since the features are
    centered. So that vector gets an eigenvalue that is known, K's mean one, and gives it back.
    Pictures that are alike leave more such values; where those could be seen in the sum, the
    singular values themselves are computed.

    Args:
        product: X Y^T in float64; each of its columns and rows adds up to 0.
    """
    if min(product.shape) < MANY:
        return float(torch.linalg.svdvals(product).sum())
    rows = product.numpy(force=True)
    rows = rows if len(rows) <= rows.shape[1] else rows.T
    number = len(rows)
    # numpy's LAPACK takes half the time of torch's here, and half a Gram matrix is all it needs.
    # More than one thread would wait for those of torch, which spin on after each product.
    with _threads().limit(limits=1, user_api="blas"):
        gram = rows @ rows.T
        known = float(gram.trace()) / (number - 1)
        values = np.linalg.eigvalsh(gram + known / number)
    roots = np.sqrt(values.clip(min=0))
    total = float(roots.sum()) - math.sqrt(known)
    # An eigenvalue is off by some roundings of the largest, its root by that over twice the root,
    # and one of next to nothing by the root of it.
    off = 8 * float(np.finfo(np.float64).eps) * float(values[-1])
    error = float((off / np.maximum(roots, math.sqrt(off))).sum()) if off else 0.0
    if error > MOST_ERROR * total:
        return float(torch.linalg.svdvals(product).sum())
    return total


@cache
def _threads() -> ThreadpoolController:
    # Looks through all libraries of this process, which takes milliseconds.
    return ThreadpoolController()
