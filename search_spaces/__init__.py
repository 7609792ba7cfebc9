"""The search-space files that ship with raycolor."""
