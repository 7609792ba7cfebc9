"""Find the best colorization GAN for your photographs."""

__version__ = "0.1.0"
