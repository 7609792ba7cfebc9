"""What `python -m raycolor.colorize` does: find photographs and a generator, colour, write."""
