"""Photographs of any kind, read as upright sRGB pixels."""
