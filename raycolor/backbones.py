"""The encoders that a generator can stand on, and where their ImageNet weights lie.

All are timm's networks with five halvings. The table is frozen here, so that a plan is checked
without importing them; a test compares it with the installed timm. A file's name carries the
beginning of its SHA-256. Of some networks no file is known whose address names its hash: those take
`none`, or the path of a file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Backbone = Literal[
    "scratch",
    "efficientnet_lite0",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "wide_resnet50_2",
    "seresnet50",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "tf_efficientnet_b0",
    "tf_efficientnet_b1",
    "tf_efficientnet_b2",
    "tf_efficientnet_b3",
    "tf_efficientnet_b4",
    "tf_efficientnet_b5",
    "tf_efficientnet_b6",
    "tf_efficientnet_b7",
    "tf_efficientnet_b8",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "tf_efficientnet_lite3",
    "tf_efficientnet_lite4",
    "tf_efficientnetv2_b0",
    "tf_efficientnetv2_b1",
    "tf_efficientnetv2_b2",
    "tf_efficientnetv2_b3",
    "tf_efficientnetv2_s",
    "tf_efficientnetv2_m",
    "mobilenetv2_050",
    "mobilenetv2_100",
    "mobilenetv2_140",
    "mobilenetv3_small_050",
    "mobilenetv3_small_075",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "tf_mobilenetv3_small_minimal_100",
    "tf_mobilenetv3_small_075",
    "tf_mobilenetv3_small_100",
    "tf_mobilenetv3_large_minimal_100",
    "tf_mobilenetv3_large_075",
    "tf_mobilenetv3_large_100",
    "regnetx_002",
    "regnetx_004",
    "regnetx_006",
    "regnetx_008",
    "regnetx_016",
    "regnetx_032",
    "regnetx_040",
    "regnetx_064",
    "regnetx_080",
    "regnetx_120",
    "regnetx_160",
    "regnetx_320",
    "regnety_002",
    "regnety_004",
    "regnety_006",
    "regnety_008",
    "regnety_016",
    "regnety_032",
    "regnety_040",
    "regnety_064",
    "regnety_080",
    "regnety_120",
    "regnety_160",
    "regnety_320",
    "resnest14d",
    "resnest26d",
    "resnest50d",
    "resnest50d_1s4x24d",
    "resnest50d_4s2x40d",
    "resnest101e",
    "resnest200e",
    "resnest269e",
    "res2net50_14w_8s",
    "res2net50_26w_4s",
    "res2net50_26w_6s",
    "res2net50_26w_8s",
    "res2net50_48w_2s",
    "res2net101_26w_4s",
    "res2next50",
    "gernet_s",
    "gernet_m",
    "gernet_l",
    "skresnet18",
    "skresnet34",
    "skresnext50_32x4d",
]
"""Names of backbones: `scratch`, or an encoder by its name in timm. `efficientnet_lite0` is timm's
`tf_efficientnet_lite0`, with weights that are installed as a Python package."""

TORCH = "https://download.pytorch.org/models"
TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A network of timm and its ImageNet weights."""

    network: str
    """In timm, with the tag of the weights: `resnet18.tv_in1k`."""
    url: str | None
    """Of the file of its weights; None if none is known whose address names its hash."""
    mean: tuple[float, float, float]
    """Of R, G and B in [0, 1]: what was taken from the pixels that it was trained on."""
    deviation: tuple[float, float, float]
    """By which they were divided then."""
    packaged: bool = False
    """The weights come with a Python package."""

    @property
    def gray_range(self) -> tuple[float, float]:
        """Mean and deviation by which one channel is scaled: those of R, G and B, averaged."""
        return sum(self.mean) / 3, sum(self.deviation) / 3

    @property
    def architecture(self) -> str:
        """Its name in timm without the tag."""
        return self.network.partition(".")[0]

    @property
    def file(self) -> str | None:
        """Name of the file of its weights."""
        return None if self.url is None else self.url.rpartition("/")[2]

    @property
    def sha256_start(self) -> str | None:
        """First hex digits of the SHA-256 of that file."""
        found = re.search(r"-([0-9a-f]{8,64})\.pth$", self.file or "")
        return None if found is None else found[1]

    @property
    def normalizes_means(self) -> bool:
        """Tell whether batch norm sees one value a picture: it cannot train on a batch of one.

        Split and selective attention normalise what they pooled over the whole picture.
        """
        return self.architecture.startswith(("resnest", "skres"))

    @property
    def has_imagenet(self) -> bool:
        """Tell whether `generator.weights: imagenet` is possible."""
        return self.packaged or self.url is not None


_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels."""
_HALF = (0.5, 0.5, 0.5)
"""Takes pixels to [-1, 1]."""


def _encoder(
    network: str, url: str | None = None, *, half: bool = False, packaged: bool = False
) -> Encoder:
    mean, deviation = (_HALF, _HALF) if half else (_MEAN, _DEVIATION)
    return Encoder(network=network, url=url, mean=mean, deviation=deviation, packaged=packaged)


ENCODERS: Mapping[str, Encoder] = {
    "efficientnet_lite0": _encoder("tf_efficientnet_lite0.in1k", half=True, packaged=True),
    "resnet18": _encoder("resnet18.tv_in1k", f"{TORCH}/resnet18-f37072fd.pth"),
    "resnet34": _encoder("resnet34.tv_in1k", f"{TORCH}/resnet34-b627a593.pth"),
    "resnet50": _encoder("resnet50.tv_in1k", f"{TORCH}/resnet50-0676ba61.pth"),
    "resnet101": _encoder("resnet101.tv_in1k", f"{TORCH}/resnet101-63fe2227.pth"),
    "resnet152": _encoder("resnet152.tv_in1k", f"{TORCH}/resnet152-394f9c45.pth"),
    "resnext50_32x4d": _encoder("resnext50_32x4d.tv_in1k", f"{TORCH}/resnext50_32x4d-7cdf4587.pth"),
    "resnext101_32x8d": _encoder(
        "resnext101_32x8d.tv_in1k", f"{TORCH}/resnext101_32x8d-8ba56ff5.pth"
    ),
    "wide_resnet50_2": _encoder("wide_resnet50_2.tv_in1k", f"{TORCH}/wide_resnet50_2-95faca4d.pth"),
    "seresnet50": _encoder(
        "seresnet50.a1_in1k", f"{TIMM}/v0.1-rsb-weights/seresnet50_a1_0-ffa00869.pth"
    ),
    "efficientnet_b0": _encoder(
        "efficientnet_b0.ra_in1k", f"{TIMM}/v0.1-weights/efficientnet_b0_ra-3dd342df.pth"
    ),
    "efficientnet_b1": _encoder(
        "efficientnet_b1.ft_in1k", f"{TIMM}/v0.1-weights/efficientnet_b1-533bc792.pth"
    ),
    "efficientnet_b2": _encoder(
        "efficientnet_b2.ra_in1k", f"{TIMM}/v0.1-weights/efficientnet_b2_ra-bcdf34b7.pth"
    ),
    "efficientnet_b3": _encoder(
        "efficientnet_b3.ra2_in1k", f"{TIMM}/v0.1-weights/efficientnet_b3_ra2-cf984f9c.pth"
    ),
    "efficientnet_b4": _encoder(
        "efficientnet_b4.ra2_in1k", f"{TIMM}/v0.1-weights/efficientnet_b4_ra2_320-7eb33cd5.pth"
    ),
    "tf_efficientnet_b0": _encoder(
        "tf_efficientnet_b0.in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b0-0af12548.pth"
    ),
    "tf_efficientnet_b1": _encoder(
        "tf_efficientnet_b1.in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b1-5c1377c4.pth"
    ),
    "tf_efficientnet_b2": _encoder(
        "tf_efficientnet_b2.in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b2-e393ef04.pth"
    ),
    "tf_efficientnet_b3": _encoder(
        "tf_efficientnet_b3.in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b3-e3bd6955.pth"
    ),
    "tf_efficientnet_b4": _encoder(
        "tf_efficientnet_b4.in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b4-74ee3bed.pth"
    ),
    "tf_efficientnet_b5": _encoder(
        "tf_efficientnet_b5.in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b5-c6949ce9.pth"
    ),
    "tf_efficientnet_b6": _encoder(
        "tf_efficientnet_b6.aa_in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b6_aa-80ba17e4.pth"
    ),
    "tf_efficientnet_b7": _encoder(
        "tf_efficientnet_b7.aa_in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b7_aa-076e3472.pth"
    ),
    "tf_efficientnet_b8": _encoder(
        "tf_efficientnet_b8.ra_in1k", f"{TIMM}/v0.1-weights/tf_efficientnet_b8_ra-572d5dd9.pth"
    ),
    "tf_efficientnet_lite1": _encoder(
        "tf_efficientnet_lite1.in1k",
        f"{TIMM}/v0.1-weights/tf_efficientnet_lite1-bde8b488.pth",
        half=True,
    ),
    "tf_efficientnet_lite2": _encoder(
        "tf_efficientnet_lite2.in1k",
        f"{TIMM}/v0.1-weights/tf_efficientnet_lite2-dcccb7df.pth",
        half=True,
    ),
    "tf_efficientnet_lite3": _encoder(
        "tf_efficientnet_lite3.in1k",
        f"{TIMM}/v0.1-weights/tf_efficientnet_lite3-b733e338.pth",
        half=True,
    ),
    "tf_efficientnet_lite4": _encoder(
        "tf_efficientnet_lite4.in1k",
        f"{TIMM}/v0.1-weights/tf_efficientnet_lite4-741542c3.pth",
        half=True,
    ),
    "tf_efficientnetv2_b0": _encoder(
        "tf_efficientnetv2_b0.in1k", f"{TIMM}/v0.1-effv2-weights/tf_efficientnetv2_b0-c7cc451f.pth"
    ),
    "tf_efficientnetv2_b1": _encoder(
        "tf_efficientnetv2_b1.in1k", f"{TIMM}/v0.1-effv2-weights/tf_efficientnetv2_b1-be6e41b0.pth"
    ),
    "tf_efficientnetv2_b2": _encoder(
        "tf_efficientnetv2_b2.in1k", f"{TIMM}/v0.1-effv2-weights/tf_efficientnetv2_b2-847de54e.pth"
    ),
    "tf_efficientnetv2_b3": _encoder(
        "tf_efficientnetv2_b3.in1k", f"{TIMM}/v0.1-effv2-weights/tf_efficientnetv2_b3-57773f13.pth"
    ),
    "tf_efficientnetv2_s": _encoder(
        "tf_efficientnetv2_s.in1k",
        f"{TIMM}/v0.1-effv2-weights/tf_efficientnetv2_s-eb54923e.pth",
        half=True,
    ),
    "tf_efficientnetv2_m": _encoder(
        "tf_efficientnetv2_m.in1k",
        f"{TIMM}/v0.1-effv2-weights/tf_efficientnetv2_m-cc09e0cd.pth",
        half=True,
    ),
    "mobilenetv2_050": _encoder(
        "mobilenetv2_050.lamb_in1k", f"{TIMM}/v0.1-weights/mobilenetv2_050-3d30d450.pth"
    ),
    "mobilenetv2_100": _encoder(
        "mobilenetv2_100.ra_in1k", f"{TIMM}/v0.1-weights/mobilenetv2_100_ra-b33bc2c4.pth"
    ),
    "mobilenetv2_140": _encoder(
        "mobilenetv2_140.ra_in1k", f"{TIMM}/v0.1-weights/mobilenetv2_140_ra-21a4e913.pth"
    ),
    "mobilenetv3_small_050": _encoder(
        "mobilenetv3_small_050.lamb_in1k",
        f"{TIMM}/v0.1-weights/mobilenetv3_small_050_lambc-4b7bbe87.pth",
    ),
    "mobilenetv3_small_075": _encoder(
        "mobilenetv3_small_075.lamb_in1k",
        f"{TIMM}/v0.1-weights/mobilenetv3_small_075_lambc-384766db.pth",
    ),
    "mobilenetv3_small_100": _encoder(
        "mobilenetv3_small_100.lamb_in1k",
        f"{TIMM}/v0.1-weights/mobilenetv3_small_100_lamb-266a294c.pth",
    ),
    "mobilenetv3_large_100": _encoder(
        "mobilenetv3_large_100.ra_in1k",
        f"{TIMM}/v0.1-weights/mobilenetv3_large_100_ra-f55367f5.pth",
    ),
    "tf_mobilenetv3_small_minimal_100": _encoder(
        "tf_mobilenetv3_small_minimal_100.in1k",
        f"{TIMM}/v0.1-weights/tf_mobilenetv3_small_minimal_100-922a7843.pth",
        half=True,
    ),
    "tf_mobilenetv3_small_075": _encoder(
        "tf_mobilenetv3_small_075.in1k",
        f"{TIMM}/v0.1-weights/tf_mobilenetv3_small_075-da427f52.pth",
        half=True,
    ),
    "tf_mobilenetv3_small_100": _encoder(
        "tf_mobilenetv3_small_100.in1k",
        f"{TIMM}/v0.1-weights/tf_mobilenetv3_small_100-37f49e2b.pth",
        half=True,
    ),
    "tf_mobilenetv3_large_minimal_100": _encoder(
        "tf_mobilenetv3_large_minimal_100.in1k",
        f"{TIMM}/v0.1-weights/tf_mobilenetv3_large_minimal_100-8596ae28.pth",
        half=True,
    ),
    "tf_mobilenetv3_large_075": _encoder(
        "tf_mobilenetv3_large_075.in1k",
        f"{TIMM}/v0.1-weights/tf_mobilenetv3_large_075-150ee8b0.pth",
        half=True,
    ),
    "tf_mobilenetv3_large_100": _encoder(
        "tf_mobilenetv3_large_100.in1k",
        f"{TIMM}/v0.1-weights/tf_mobilenetv3_large_100-427764d5.pth",
        half=True,
    ),
    "regnetx_002": _encoder("regnetx_002.pycls_in1k"),
    "regnetx_004": _encoder("regnetx_004.pycls_in1k"),
    "regnetx_006": _encoder("regnetx_006.pycls_in1k"),
    "regnetx_008": _encoder("regnetx_008.tv2_in1k", f"{TORCH}/regnet_x_800mf-94a99ebd.pth"),
    "regnetx_016": _encoder("regnetx_016.tv2_in1k", f"{TORCH}/regnet_x_1_6gf-a12f2b72.pth"),
    "regnetx_032": _encoder("regnetx_032.tv2_in1k", f"{TORCH}/regnet_x_3_2gf-7071aa85.pth"),
    "regnetx_040": _encoder("regnetx_040.pycls_in1k"),
    "regnetx_064": _encoder("regnetx_064.pycls_in1k"),
    "regnetx_080": _encoder("regnetx_080.tv2_in1k", f"{TORCH}/regnet_x_8gf-2b70d774.pth"),
    "regnetx_120": _encoder("regnetx_120.pycls_in1k"),
    "regnetx_160": _encoder("regnetx_160.tv2_in1k", f"{TORCH}/regnet_x_16gf-ba3796d7.pth"),
    "regnetx_320": _encoder("regnetx_320.tv2_in1k", f"{TORCH}/regnet_x_32gf-6eb8fdc6.pth"),
    "regnety_002": _encoder("regnety_002.pycls_in1k"),
    "regnety_004": _encoder("regnety_004.tv2_in1k", f"{TORCH}/regnet_y_400mf-e6988f5f.pth"),
    "regnety_006": _encoder("regnety_006.pycls_in1k"),
    "regnety_008": _encoder("regnety_008.pycls_in1k"),
    "regnety_016": _encoder("regnety_016.tv2_in1k", f"{TORCH}/regnet_y_1_6gf-0d7bc02a.pth"),
    "regnety_032": _encoder("regnety_032.tv2_in1k", f"{TORCH}/regnet_y_3_2gf-9180c971.pth"),
    "regnety_040": _encoder(
        "regnety_040.ra3_in1k", f"{TIMM}/v0.1-tpu-weights/regnety_040_ra3-670e1166.pth"
    ),
    "regnety_064": _encoder(
        "regnety_064.ra3_in1k", f"{TIMM}/v0.1-tpu-weights/regnety_064_ra3-aa26dc7d.pth"
    ),
    "regnety_080": _encoder(
        "regnety_080.ra3_in1k", f"{TIMM}/v0.1-tpu-weights/regnety_080_ra3-1fdc4344.pth"
    ),
    "regnety_120": _encoder("regnety_120.sw_in12k_ft_in1k"),
    "regnety_160": _encoder("regnety_160.tv2_in1k", f"{TORCH}/regnet_y_16gf-3e4a00f9.pth"),
    "regnety_320": _encoder("regnety_320.tv2_in1k", f"{TORCH}/regnet_y_32gf-8db6d4b5.pth"),
    "resnest14d": _encoder("resnest14d.gluon_in1k"),
    "resnest26d": _encoder("resnest26d.gluon_in1k"),
    "resnest50d": _encoder("resnest50d.in1k"),
    "resnest50d_1s4x24d": _encoder("resnest50d_1s4x24d.in1k"),
    "resnest50d_4s2x40d": _encoder("resnest50d_4s2x40d.in1k"),
    "resnest101e": _encoder("resnest101e.in1k"),
    "resnest200e": _encoder("resnest200e.in1k"),
    "resnest269e": _encoder("resnest269e.in1k"),
    "res2net50_14w_8s": _encoder("res2net50_14w_8s.in1k"),
    "res2net50_26w_4s": _encoder("res2net50_26w_4s.in1k"),
    "res2net50_26w_6s": _encoder("res2net50_26w_6s.in1k"),
    "res2net50_26w_8s": _encoder("res2net50_26w_8s.in1k"),
    "res2net50_48w_2s": _encoder("res2net50_48w_2s.in1k"),
    "res2net101_26w_4s": _encoder("res2net101_26w_4s.in1k"),
    "res2next50": _encoder("res2next50.in1k"),
    "gernet_s": _encoder("gernet_s.idstcv_in1k"),
    "gernet_m": _encoder("gernet_m.idstcv_in1k"),
    "gernet_l": _encoder("gernet_l.idstcv_in1k"),
    "skresnet18": _encoder("skresnet18.ra_in1k"),
    "skresnet34": _encoder("skresnet34.ra_in1k"),
    "skresnext50_32x4d": _encoder("skresnext50_32x4d.ra_in1k"),
}
"""By the backbone's name: every backbone but `scratch`."""
