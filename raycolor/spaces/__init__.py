"""Search spaces: the files, what is wrong with them, and what a study makes of them."""
