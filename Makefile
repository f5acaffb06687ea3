# Every target does its own set-up: `make book` in a fresh clone is enough.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup book check test test-without-data lint lock pdf kit links lab weights records coverage bench exports \
  notebooks mutants changes clean

BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(BIN)/python
INSTALLED := .venv/installed
LAYERS := $(BIN)/lint-imports --no-cache
DENO := $(BIN)/deno
# Test files run side by side, each as a whole, in the order of tests/conftest.py; more than four at once take more
# memory than a laptop has.
PYTEST := TQDM_DISABLE=1 $(PY) -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
COVERAGE := --cov --cov-report=term --cov-fail-under=95
FAST := not browser and not training and not site and not slow
# What is asked of the programs of the pages, in this order.
FRONT := tl_helpers/front
FRONT_CHECKS := "fmt --check" lint check
# The newest Python comes last: TensorFlow's wheels end at 3.13.
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3 python)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
WITHOUT_DATA := _build/without-data
NO_DATA = env -u TL_DATA_DIR TL_OFFLINE=1 KERAS_HOME="$(CURDIR)/$(WITHOUT_DATA)/keras"

help:  ## list the targets
	@echo "make TARGET, in this folder:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' Makefile
	@echo "Another Python: make TARGET PYTHON=/path/to/python (3.11, 3.12 or 3.13)"

setup: $(INSTALLED)  ## make .venv and install the pinned packages

# The stamp is written last: what was interrupted before is begun anew, what only changed is installed over.
$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@found=; tried=; if [ -f "$@" ]; then rm "$@"; else \
	  for python in $(PYTHONS); do \
	    if "$$python" -c "$(FITS)" 2> /dev/null; then found="$$python"; break; fi; \
	    tried="$$tried $$python ($$("$$python" --version 2>&1 || true));"; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Python 3.11, 3.12 or 3.13 is needed. Tried:$$tried"; \
	    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.11; elsewhere:"; \
	    echo "https://www.python.org/downloads), or name yours: make setup PYTHON=/path/to/python3.11"; \
	    exit 1; \
	  fi; \
	  if ! "$$found" -c "import venv, ensurepip" 2> /dev/null; then \
	    echo "$$found cannot make virtual environments: its modules venv and ensurepip are missing."; \
	    echo "Debian, Ubuntu: apt install python3-venv (or python3.11-venv, after your Python's version)"; \
	    exit 1; \
	  fi; \
	  "$$found" -m venv --clear .venv || exit 1; \
	fi
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -r requirements.txt
	@touch "$@"

book: $(INSTALLED)  ## run the chapters that changed and build the site in _build/html
	$(PY) tools/book.py

pdf: book  ## print the built book into _build/book.pdf (needs the browser of the tests)
	$(PY) tools/browser.py
	$(PY) tools/pdf.py

kit: book  ## make what a teacher hands out in _build/kit: pages without solutions, slides, questions, homework
	$(PY) tools/kit.py

links: $(INSTALLED)  ## check the links to other hosts (needs a network)
	$(PY) tools/links.py

lint: $(INSTALLED)  ## check form, types and layers of the code, and the programs of the pages
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(LAYERS)
	for asked in $(FRONT_CHECKS); do $(DENO) $$asked $(FRONT)/*.js || exit 1; done

check: lint  ## what a minute can say: form, types, layers, and the tests that need no browser, no training and no site
	$(PYTEST) -m "$(FAST)" tests

test: lint book  ## all checks: form, types, layers, units, the executed chapters, the built site in a browser
	$(PY) tools/browser.py
	$(PYTEST) $(COVERAGE) tests

test-without-data: $(INSTALLED)  ## the book as on a machine without data or network: it builds, and says what is missing
	$(PY) tools/browser.py
	rm -rf $(WITHOUT_DATA)/keras && mkdir -p $(WITHOUT_DATA)/keras
	$(NO_DATA) $(PY) tools/book.py --output $(WITHOUT_DATA)
	$(NO_DATA) BOOK_HTML=$(WITHOUT_DATA)/_build/html $(PYTEST) -m data tests/test_chapters.py
	$(NO_DATA) BOOK_HTML=$(WITHOUT_DATA)/_build/html $(PYTEST) -k "not accessible and not light and not slow" tests/test_site.py

# Without the set-up as a prerequisite: new requirements contradict the old constraints until this is done.
lock:  ## pin in constraints.txt what the requirements need in turn (newer versions: ARGS=--upgrade)
	@[ -f $(INSTALLED) ] || $(MAKE) setup
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-package tl-helpers \
	  --custom-compile-command "make lock" --output-file constraints.txt requirements.txt $(ARGS)

lab: $(INSTALLED)  ## open the book in JupyterLab, on a page of its contents
	$(PY) tools/lab.py

weights: $(INSTALLED)  ## train the source networks again, convert the ImageNet one (interrupted: goes on at the last complete epoch)
	$(PY) tools/train_source.py
	$(PY) tools/convert_imagenet.py

records: $(INSTALLED)  ## compute the recorded runs that are missing (interrupted: goes on; more: ARGS="--jobs 2", ARGS=--help)
	$(PY) -m tl_experiments $(ARGS)

coverage: $(INSTALLED)  ## simulate how often the intervals of the second plan cover the truth (some minutes)
	$(PY) tools/interval_coverage.py $(ARGS)

bench: $(INSTALLED)  ## measure how fast the runner is beside plain Keras, for the page "How fast" (on a quiet machine)
	$(PY) tools/bench.py

exports: $(INSTALLED)  ## measure what a network in other formats costs: size, time, accuracy (needs TrashNet)
	$(PY) tools/measure_exports.py

notebooks: $(INSTALLED)  ## run all chapters and store the outputs that the tests compare
	$(PY) tools/notebooks.py refresh

mutants: $(INSTALLED)  ## perturb what was measured, and list the claims of the pages that do not notice (interrupted: goes on)
	$(PY) tools/mutants.py $(ARGS)

changes: $(INSTALLED)  ## run the pages with what readers are invited to change (a long time; some: ARGS="PAGES")
	$(PY) tools/changes.py $(ARGS)

clean:  ## remove the built book; .venv and an interrupted `make weights` stay
	rm -rf _build/html _build/site.sha256 _build/book.pdf _build/kit _build/.doctrees _build/jupyter_execute _build/.jupyter_cache
	rm -rf $(WITHOUT_DATA) _build/kept _build/coverage _build/mutants .pytest_cache .ruff_cache .mypy_cache .hypothesis
