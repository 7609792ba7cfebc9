"""The networks of GAN_Colorizer (P. Drabinski, 2018): its systems for 32 and for 256 pixels.

What is known of them: the channels and strides of both encoders; that there are as many ups as
halvings, with skips, and tanh; that the discriminators see a and b alone and end in one sigmoid;
that for 256 pixels the generator has 4,729,922 parameters and the discriminator 455,457, both with
the running statistics of batch norm, which Keras counts.

What follows from these counts: every convolution is 3x3; an up ends in half the channels, and where
the encoder has a picture of that size, a second convolution takes both and gives as many; batch
norm stands behind every convolution but the generator's last and the discriminator's first; the
discriminator has 32, 64, 128, 256 channels, stride 2 each, and one dense layer.

What was inferred, and changes no count: leaky ReLU of 0.2; enlarging by transposed convolutions;
weights as Keras draws them by default (Glorot and Bengio 2010, uniform). That the discriminator for
32 pixels has one halving fewer than the other, as its generator has, was inferred too.

What differs: the sigmoid is in the loss, which takes logits; the running statistics of batch norm
follow at torch's rate of 0.1, since at Keras's 0.01 they would not be those of the pictures at the
end of a run of some hundred steps.

Axis letters: b batch, c channels, h height, w width, p and r rows and columns of an answer.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from raycolor.networks.answers import COLORS, Answer, full_size_head
from raycolor.networks.discriminator import Discriminator

GENERATOR_32 = ((32, 1), (64, 2), (128, 2))
GENERATOR_256 = ((64, 2), (128, 1), (128, 2), (256, 1), (512, 2))
"""Channels and stride of each convolution of an encoder."""
DISCRIMINATOR_32 = (32, 64, 128)
DISCRIMINATOR_256 = (32, 64, 128, 256)
"""Channels of each convolution of a discriminator; all have stride 2."""

Encoder = tuple[tuple[int, int], ...]


class GanGenerator(nn.Module):
    """An encoder-decoder with skips; sides are multiples of all its strides together.

    Source: GAN_Colorizer, 2018; see the module's docstring for what is known of it.
    """

    def __init__(self, encoder: Encoder, *, answer: Answer = COLORS) -> None:
        """Build the network.

        Args:
            encoder: channels and stride of each convolution.
            answer: the form of the output.
        """
        super().__init__()
        self.downs = nn.ModuleList()
        before, reduced = 1, 1
        last: dict[int, tuple[int, int]] = {}
        for step, (channels, stride) in enumerate(encoder):
            self.downs.append(_block(nn.Conv2d(before, channels, 3, stride=stride, padding=1)))
            before, reduced = channels, reduced * stride
            last[reduced] = (step, channels)
        self.ups = nn.ModuleList()
        self.merges = nn.ModuleList()
        self._skipped: list[int] = []
        while reduced > 1:
            reduced //= 2
            # The last picture of this size on the way down; at full size there may be none.
            skip = last.get(reduced)
            out = skip[1] if skip else before // 2
            enlarge = nn.ConvTranspose2d(before, out, 3, stride=2, padding=1, output_padding=1)
            self.ups.append(_block(enlarge))
            if skip:
                self.merges.append(_block(nn.Conv2d(2 * out, out, 3, padding=1)))
                self._skipped.append(skip[0])
            before = out
        self.head = full_size_head(before, answer)
        self._bounded = answer.bounded
        self.apply(initialize_as_keras)

    def forward(self, l_unit: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c p r"]:
        """Answer to grey pictures.

        Args:
            l_unit: L* / 50 - 1.

        Returns:
            What `answer` says; by default (a*, b*) / 110, in (-1, 1).
        """
        kept: list[Tensor] = []
        x = l_unit
        for down in self.downs:
            x = down(x)
            kept.append(x)
        for level, up in enumerate(self.ups):
            x = up(x)
            if level < len(self._skipped):
                x = self.merges[level](torch.cat([x, kept[self._skipped[level]]], dim=1))
        answer: Tensor = self.head(x)
        return torch.tanh(answer) if self._bounded else answer


class GanDiscriminator(Discriminator):
    """Gives one number for the colours of a picture, without its lightness.

    Source: GAN_Colorizer, 2018; see the module's docstring for what is known of it.
    """

    def __init__(self, channels: tuple[int, ...], *, size: int) -> None:
        """Build the network.

        Args:
            channels: of each convolution.
            size: side of the pictures in pixels, a multiple of 2 ** len(channels); the dense layer
                takes no other.
        """
        super().__init__()
        self.sees = "ab"
        layers: list[nn.Module] = []
        before = 2
        for level, out in enumerate(channels):
            layers.append(nn.Conv2d(before, out, 3, stride=2, padding=1))
            if level:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.LeakyReLU(0.2))
            before = out
        side = size // 2 ** len(channels)
        layers += [nn.Flatten(), nn.Linear(before * side**2, 1), nn.Unflatten(1, (1, 1, 1))]
        self.layers = nn.Sequential(*layers)
        self.apply(initialize_as_keras)


def initialize_as_keras(module: nn.Module) -> None:
    """Draw weights uniformly after Glorot and Bengio 2010, equation 16; biases are zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _block(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.LeakyReLU(0.2))
