# make search   the main job: find the best colorizer of the built-in photographs
# make test     all tests
# make check    lint, types and import contracts
# make pictures the README's pictures anew, from the study of `make search`; needs Chromium
# make lab      docs/lab.png anew: the channels of a photograph
# make photos FOLDER=...   make the built-in data set anew from a folder of photographs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: search test check pictures lab photos clean

search: $(VENV)/.installed
	$(BIN)/python -m raycolor.search

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy raycolor tests benchmarks tools
	$(BIN)/lint-imports

pictures: search $(VENV)/.installed-dev
	$(BIN)/python tools/make_pictures.py results/quickstart

lab: $(VENV)/.installed
	$(BIN)/python tools/make_lab_picture.py

photos: $(VENV)/.installed
	$(BIN)/python tools/make_photos.py $(FOLDER)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "raycolor needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): about 6 GB, a few minutes, once."
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): about 6 GB, a few minutes, once."
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info
