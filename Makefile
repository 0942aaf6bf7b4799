# Two commands for a newcomer: `make demo` and `make test`. Both make what they need, and say what they do.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test ready lint bench wheel supplement clean

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@echo "== Making $(VENV) with $$($(PYTHON) --version) and installing ccbuild with its pinned packages"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"ccbuild needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}. Name one: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## install, then the whole way on a small crawl: archives to a trained model
	@echo "== Running the demo: crawl, corpus, vocabulary, tokens, model, report (about 5 minutes)"
	$(BIN)/ccbuild demo --out runs/demo

test: $(STAMP)  ## install, then lint and all tests
	@$(MAKE) --no-print-directory --jobs=2 lint ready
	@echo "== Running the tests"
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

ready: $(STAMP)
	@echo "== Filling the catalogue's cache (the tests read only that), and compiling loops once for all processes"
	$(BIN)/ccbuild catalogue fetch eld gflanguages lid.176.ftz
	@rm -rf runs/ready
	$(BIN)/ccbuild run cc100 --until prepare --set prepare.prose=null --workers 0 --out runs/ready

lint: $(STAMP)  ## ruff and mypy --strict
	@echo "== Linting"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## microseconds a page by stage, on real pages (DATA=folder, LMTEXT=folder)
	$(BIN)/python tests/bench/stages.py $(if $(DATA),--data $(DATA)) $(if $(LMTEXT),--lm-text $(LMTEXT))

supplement: $(STAMP)  ## make ccbuild/langid/supplement.ftz again from the catalogue (five minutes, the same bytes)
	$(BIN)/python -c 'from ccbuild.langid.training import ship; ship()'

wheel: $(STAMP)  ## build a wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove the virtual environment, caches and runs
	rm -rf $(VENV) dist build runs .mypy_cache .pytest_cache .ruff_cache .hypothesis
