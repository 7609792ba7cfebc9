"""The built-in data set `photos`, as data files; `raycolor.data` reads it."""
