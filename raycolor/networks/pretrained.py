"""U-Nets on an encoder that was pretrained on ImageNet.

Axis letters: b batch, h height, w width.
"""

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float
from torch import Tensor, nn

from raycolor.weights import efficientnet_lite0_state

LEVELS = 5


def decoder_channels(width: int) -> tuple[int, ...]:
    """Channels of the decoder from the deepest level to the picture: halved down to an eighth."""
    return tuple(max(width // 2**level, width // 8) for level in range(LEVELS))


class PretrainedUNet(nn.Module):
    """EfficientNet-Lite0 as encoder, a convolutional decoder with skip connections, tanh output.

    The decoder enlarges by nearest neighbour and then convolves, which avoids the checkerboards of
    transposed convolutions (Odena et al. 2016).
    """

    def __init__(self, *, decoder_width: int, pretrained: bool = True) -> None:
        """Build the network.

        Args:
            decoder_width: channels of the decoder's deepest level.
            pretrained: load the encoder's ImageNet weights; false where a checkpoint is loaded
                over them anyway.

        Raises:
            WeightsError: the ImageNet weights are missing or damaged.
        """
        super().__init__()
        # The `tu-` encoder is timm's own network. smp's `timm-` copy of it pads differently and has
        # another epsilon in its batch norms, so the pretrained weights give other features in it.
        self.unet = smp.Unet(
            "tu-tf_efficientnet_lite0",
            encoder_weights=None,
            in_channels=1,
            classes=2,
            decoder_channels=decoder_channels(decoder_width),
        )
        # The first answer is nearly grey: a random one is far from every photograph, and the first
        # hundred steps would go into unlearning it.
        head = self.unet.segmentation_head[0]
        nn.init.normal_(head.weight, 0.0, 1e-3)
        nn.init.zeros_(head.bias)
        if pretrained:
            self.unet.encoder.model.load_state_dict(self._one_channel(efficientnet_lite0_state()))

    def _one_channel(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sum the first convolution over R, G and B: the same answer for grey pictures.

        The encoder was trained on RGB in [-1, 1], which is the range of `l_unit` too.
        """
        wanted = self.unet.encoder.model.state_dict().keys()
        kept = {name: tensor for name, tensor in state.items() if name in wanted}
        kept["conv_stem.weight"] = kept["conv_stem.weight"].sum(dim=1, keepdim=True)
        return kept

    def forward(self, l_unit: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 2 h w"]:
        """Predict a and b.

        Args:
            l_unit: L* / 50 - 1; sides are multiples of 32.

        Returns:
            (a*, b*) / 110, in (-1, 1).
        """
        return torch.tanh(self.unet(l_unit))
