# `make demo` and `make test` set up everything they need in .venv; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := audits/demo

.PHONY: demo test check format clean

demo: $(VENV)/.installed
	@$(MAKE) --no-print-directory pango
	rm -rf $(DEMO)
	$(BIN)/medaudit run examples/demo/model.h5 examples/demo/data -o $(DEMO) --critical synthetic-malignant:synthetic-benign --suite standard

test: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory pango
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Lint, format and types, as CI checks them.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) audits dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# WeasyPrint draws PDF with the system library Pango.
.PHONY: pango
pango:
	@$(BIN)/python -c 'import weasyprint' >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "Installing Pango, which PDF reports need ..."; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 >/dev/null; \
	  else \
	    echo "PDF reports need the system library Pango. Install it with:"; \
	    echo "  Debian, Ubuntu: sudo apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"; \
	    echo "  Fedora: sudo dnf install pango      macOS: brew install pango"; \
	    echo "Reports are written as HTML until then."; \
	  fi; }
