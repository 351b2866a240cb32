# Two commands are all there is to know: `make serve` and `make test`.
# Both make .venv here and install into it; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: serve demo test soak lint format clean

serve: .venv/.core            ## start the router with config.toml
	$(BIN)/banditroute serve $(ARGS)

demo: .venv/.core             ## watch it learn; ARGS="--data DIR" replays a data folder
	$(BIN)/banditroute demo $(ARGS)

test: .venv/.dev              ## the whole suite, with branch coverage
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered $(ARGS)
	$(BIN)/coverage report --fail-under=95 --include='*/core/*,*/stores/*,*/engine/*' --format=total

soak: .venv/.dev              ## hours of replicas, clients and failures; ARGS="--help" says how
	$(BIN)/python tests/soak/run.py $(ARGS)

lint: .venv/.dev              ## format, lint and types, as CI checks them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev            ## mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "banditroute needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 serve"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.core: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.core
