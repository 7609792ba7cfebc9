"""Adapters to Ray Tune: the only code that imports ray.

Ray runs what the study says. Nothing of Ray's own state is read back: each session starts it fresh,
and the journal tells which trials are open.
"""
