# make app    open the app on the sample images       make app ARGS="--server.port 8601"
# make test   format, lint, types and every test      make test TESTS=tests/app
# make interop  read exports back with the libraries they are written for   make interop ARGS="--table docs/formats/interop.md"
# make clean  remove what can be made again; workspaces stay

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
  $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INTEROP := .venv-interop
SAMPLE := workspaces/sample
ARGS ?=
TESTS ?= tests
# One worker a core, and one thread in each: more would only wait for each other.
TEST_ENV := OMP_NUM_THREADS=1
WORKERS := -n logical --maxprocesses 4 --dist loadfile

.PHONY: app check clean interop sample test
.DELETE_ON_ERROR:

app: sample
	@exec env PICIE_WORKSPACE="$(CURDIR)/$(SAMPLE)" $(BIN)/streamlit run app/main.py $(ARGS)

# The clusters are what is made last, so where they lie everything before them is whole.
sample: $(VENV)/app.stamp
	@ls $(SAMPLE)/runs/*/derived/*/k12-s0/clustering.json >/dev/null 2>&1 || { \
	  echo "Embedding the sample images, once:"; \
	  $(BIN)/python -m picie_core embed sample_data/images --workspace $(SAMPLE) --weights none --size 240 && \
	  $(BIN)/python -m picie_core cluster --workspace $(SAMPLE) --k 12; }

test: check
	@$(TEST_ENV) $(BIN)/python -m pytest $(WORKERS) --durations=20 $(TESTS)

check: $(VENV)/test.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# The readers have an environment of their own, as they need older versions of what the app uses. Only tests/interop/
# is loaded there: what lies above it needs the product.
interop: $(VENV)/app.stamp $(INTEROP)/interop.stamp
	@$(TEST_ENV) $(INTEROP)/bin/python -m pytest --confcutdir=tests/interop --product-python=$(BIN)/python \
	  --durations=10 tests/interop $(ARGS)

# A stamp is written after pip has come to its end, so an install that was interrupted is taken up again.
$(VENV)/app.stamp: requirements.txt pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none is on the PATH (or give PYTHON=...)"; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing what $< lists into $(VENV) (a few minutes, once)"
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/test.stamp: requirements-test.txt $(VENV)/app.stamp
	@echo "Installing what $< lists into $(VENV)"
	@$(PIP) install -r requirements-test.txt
	@touch $@

# What the product has already, torch above all (5 GB), is taken from its environment where the versions fit.
$(INTEROP)/interop.stamp: requirements-interop.txt $(VENV)/app.stamp
	@$(INTEROP)/bin/python -c 'import pip' 2>/dev/null || $(BIN)/python -m venv --clear $(INTEROP)
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$($(INTEROP)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/product.pth"
	@echo "Installing what $< lists into $(INTEROP) (a few minutes, once)"
	@$(INTEROP)/bin/python -m pip --quiet --disable-pip-version-check install -r $<
	@touch $@

clean:
	rm -rf $(VENV) $(INTEROP) *.egg-info build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find app picie_core sample_data benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
