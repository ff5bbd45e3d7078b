# Two commands: `make book` and `make test`. Everything else explains itself with `make help`.
SHELL := bash
VENV ?= .venv
PYTHON ?=
ARGS ?=
URL ?=

PY := $(VENV)/bin/python
# The tree at hand is what is imported, whatever else the environment may hold.
export PYTHONPATH := $(CURDIR)
export PYTHON
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help install weights book html test outputs record models paper paper-pack paper-import assignments script repository release links clean

help:  ## this text
	@echo "Painting with Networks: a book that re-runs the papers, and course_lib, the package it stands on."
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*##[ ]*(.*)/  make \1|\2/' | awk -F'|' '{ printf "%-19s %s\n", $$1, $$2 }'
	@echo
	@echo "Settings:  ARGS='-p SEED 1'   values for the notebooks' parameters cell (make book); pytest's options (make test)"
	@echo "           VENV=folder        the environment to use or to make (default .venv)"
	@echo "           PYTHON=python3.12  the Python to make it with (default: the newest of 3.11, 3.12, 3.13)"

install:  ## make .venv and install requirements.txt (the others call it; a second call does nothing)
	@book/install.sh $(VENV)

weights: install  ## fetch the pretrained networks into the cache and verify them
	@$(PY) -m course_lib fetch

book: install weights  ## execute every notebook and render the book from the executed copies
	@$(PY) book/execute.py $(ARGS)
	@$(PY) book/render.py --executed

html: install  ## render the book from the committed outputs, executing nothing (this is what gets published)
	@$(PY) book/render.py

test: install weights  ## format, lint, types, unit tests, every notebook against its committed outputs, every page in a browser
	@$(PY) tests/run.py $(ARGS)

outputs: install weights  ## execute every notebook in place at its defaults: how committed outputs are made
	@$(PY) book/execute.py --in-place
	@$(PY) book/hero.py
	@$(PY) book/cards.py

record: install weights  ## make the stored runs of notebook NOTEBOOK=04 anew (PROFILE=paper; laptop without a GPU)
	@$(PY) book/execute.py --again $(or $(NOTEBOOK),NOTEBOOK) -p PROFILE $(or $(PROFILE),paper)

models: install weights  ## train the networks that come with the package anew (NAMES="great_wave …"; minutes each)
	@$(PY) book/models.py $(NAMES)

paper: install weights  ## run what fits into MINUTES=12 of a GPU at the papers' scale (ONLY=name,name INTO=folder REHEARSE=1 TRIAL=1)
	@$(PY) scripts/paper.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONLY),--only $(ONLY)) $(if $(INTO),--into $(INTO)) \
		$(if $(REHEARSE),--rehearse) $(if $(TRIAL),--trial) $(ARGS)

paper-pack: install weights  ## pack what the queue needs for a machine without a network (_build/pack; ARGS="--full --datasets …")
	@$(PY) scripts/paper_pack.py $(if $(INTO),--into $(INTO)) $(ARGS)

paper-import: install  ## take in what such runs made on another machine (ARCHIVES="paper-1-of-2.zip …", all of them)
	@$(PY) scripts/paper_import.py $(ARCHIVES) $(ARGS)

assignments: install  ## generate the students' copies of the assignments from their masters
	@$(PY) book/assignments.py

script: install  ## write notebook NB=04 as a plain script for a machine without Jupyter (PROFILE=paper)
	@$(PY) book/execute.py --script $(NB) --profile $(or $(PROFILE),paper)

repository:  ## write this repository's address into _config.yml and the notebooks (URL=https://github.com/…)
	@$(or $(wildcard $(PY)),python3) book/repository.py $(URL)

release: html  ## pack the rendered book into one zip for readers without a network (_build/release)
	@$(PY) book/release.py

links: install  ## follow every link of the book to the outside (needs the network)
	@$(PY) book/render.py --links

clean:  ## remove everything that was generated, but not the environment
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
