"""What the numbers of a report mean: the README's table of them is made from this one."""

from collections.abc import Mapping

DISTANCE = "fd_efficientnet_lite0"
"""Stands for the Fréchet distance, whose name follows from the extractor."""

MEANINGS: Mapping[tuple[str, ...], str] = {
    ("images_seen", "stage"): (
        "training images so far, pretraining included; `pretraining`, then `adversarial`, or "
        "`alone` without a discriminator"
    ),
    ("generator_loss",): (
        "adversarial + lambda x L1, mean since the last report; in pretraining lambda x L1, or the "
        "L1 itself where lambda is 0"
    ),
    ("generator_adversarial_loss", "generator_l1_loss"): (
        "its parts; L1 of a and b, not multiplied, in units of 110 Lab units"
    ),
    ("generator_classification_loss",): (
        "weighted cross-entropy; ln 313 = 5.74 when all bins are as probable"
    ),
    ("generator_lightness_loss",): "`rgb`: mean absolute error of the predicted L in units of 50",
    ("discriminator_loss",): (
        "half the sum over real and fake (`wgan_gp`: fake less real, and the penalty); `vanilla`: "
        "ln 2 = 0.693 at chance"
    ),
    (
        "discriminator_accuracy",
        "discriminator_accuracy_real",
        "discriminator_accuracy_fake",
    ): (
        "share of outputs on the right side of the threshold, and for real and generated ones alone"
    ),
    (DISTANCE, f"{DISTANCE}_best"): (
        "the Fréchet distance of coloured crops from their own truth, and its lowest so far; `fid` "
        "with Inception-v3, `fd_<network>` with another extractor"
    ),
    (f"{DISTANCE}_disjoint",): (
        "the same from the truth of other pictures, those of the training split"
    ),
    ("evaluation_images", "disjoint_images"): (
        "over how many coloured crops, and over how many true ones of other pictures"
    ),
    ("psnr", "ssim"): (
        "dB over RGB in [0, 1], and structural similarity up to 1 (Wang et al. 2004); means of the "
        "crops"
    ),
    ("colorfulness",): "Hasler and Süsstrunk (2003); compare with that of `truth`",
    ("images_per_second", "train_seconds", "evaluate_seconds", "peak_gpu_gib"): "cost",
    ("images_inherited", "seconds_inherited"): (
        "images of pretraining that another run had trained, and what they took it; "
        "`images_per_second` is absent where nothing was trained"
    ),
    ("checkpoint_seconds",): (
        "seconds spent on checkpoints, best generators and pictures so far; those of this report "
        "are in the next one"
    ),
}
"""By the names of numbers that belong together."""


def names() -> frozenset[str]:
    """All names that have a meaning."""
    return frozenset(name for group in MEANINGS for name in group)
