# make demo    set up, then train and test a small Mask R-CNN on generated images
# make test    set up, then lint and run the whole test suite
#
# PYTHON=python3.13  the Python to build the environment with, 3.11 to 3.14
# STACK=onedl        the OneDL forks in place of the OpenMMLab packages; default from Python 3.13 on

PYTHON ?= python3
STACK ?=
VENV ?= $(if $(filter onedl,$(STACK)),.venv-onedl,.venv)
RUN = PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.PHONY: demo test setup

demo: setup
	$(RUN) python tools/demo.py

test: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) lint-imports
	$(RUN) python -m pytest -n auto --dist worksteal

setup:
	@$(PYTHON) tools/setup_env.py --venv $(VENV) --stack "$(STACK)"
