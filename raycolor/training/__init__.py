"""One configuration trained without a study: read, checked, trained, taken up again, told."""
