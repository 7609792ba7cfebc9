"""U-Nets on an encoder that may have been pretrained on ImageNet.

Axis letters: b batch, c channels, h height, w width, p and r rows and columns of an answer.
"""

from collections.abc import Mapping

import segmentation_models_pytorch as smp
import torch
from jaxtyping import Float
from torch import Tensor, nn

from raycolor.backbones import ENCODERS
from raycolor.networks.answers import COLORS, Answer, full_size_head

LEVELS = 5


def decoder_channels(width: int) -> tuple[int, ...]:
    """Channels of the decoder from the deepest level to the picture: halved down to an eighth."""
    return tuple(max(width // 2**level, width // 8) for level in range(LEVELS))


class PretrainedUNet(nn.Module):
    """An encoder of timm, a convolutional decoder with skip connections, tanh where it colours.

    The decoder enlarges by nearest neighbour and then convolves, which avoids the checkerboards of
    transposed convolutions (Odena et al. 2016).
    """

    def __init__(
        self,
        *,
        backbone: str,
        decoder_width: int,
        encoder_state: Mapping[str, Tensor] | None = None,
        answer: Answer = COLORS,
    ) -> None:
        """Build the network.

        Args:
            backbone: name of an encoder.
            decoder_width: channels of the decoder's deepest level.
            encoder_state: what the encoder starts with; None leaves it as it was drawn.
            answer: the form of the output.
        """
        super().__init__()
        encoder = ENCODERS[backbone]
        # The `tu-` encoders are timm's own networks. smp's copies of some pad differently and have
        # another epsilon in their batch norms, so pretrained weights give other features in them.
        self.unet = smp.Unet(
            f"tu-{encoder.architecture}",
            encoder_weights=None,
            in_channels=1,
            classes=answer.channels,
            decoder_channels=decoder_channels(decoder_width),
        )
        # The first answer is nearly grey: a random one is far from every photograph, and the first
        # hundred steps would go into unlearning it.
        head = self.unet.segmentation_head[0]
        if answer.reduction > 1:
            head = full_size_head(head.in_channels, answer)
            self.unet.segmentation_head[0] = head
        nn.init.normal_(head.weight, 0.0, 1e-3)
        nn.init.zeros_(head.bias)
        # A grey pixel of value v in [0, 1] came to the encoder as (v - mean) / deviation. L* / 100
        # is v at black and white, and never off by more than 0.035 between.
        mean, deviation = encoder.gray_range
        self._bounded = answer.bounded
        self._scale, self._shift = 0.5 / deviation, (0.5 - mean) / deviation
        if encoder_state is not None:
            self.unet.encoder.model.load_state_dict(encoder_state)

    def freeze_encoder(self, frozen: bool) -> None:
        """Leave the encoder as it is, or let it learn; its batch norm's statistics likewise.

        Args:
            frozen: whether the encoder is left alone. It is put into evaluation mode then; when it
                is not, its mode stays.
        """
        self.unet.encoder.requires_grad_(not frozen)
        if frozen:
            self.unet.encoder.eval()

    def encoder_input(self, l_unit: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Scale lightness to the range of pixels that the encoder was trained on."""
        if self._scale == 1.0 and self._shift == 0.0:
            return l_unit
        return l_unit * self._scale + self._shift

    def forward(self, l_unit: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c p r"]:
        """Answer to grey pictures.

        Args:
            l_unit: L* / 50 - 1; sides are multiples of 32.

        Returns:
            What `answer` says; by default (a*, b*) / 110, in (-1, 1).
        """
        answer: Tensor = self.unet(self.encoder_input(l_unit))
        return torch.tanh(answer) if self._bounded else answer
