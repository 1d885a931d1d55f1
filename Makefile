# Two commands a fresh machine needs: make demo, make test.
# The first Python that is new enough.
PY      ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV    := .venv
BIN     := $(VENV)/bin
KERNELS := $(shell find . -path ./$(VENV) -prune -o -path ./build -prune -o -path '*/kernel/*' \( -name '*.c' -o -name '*.h' -o -name 'build.py' \) -print)

.PHONY: demo test tests lint bench format kernels clean

demo: $(VENV)/.installed
	$(BIN)/lockstep demo

# Two at a time: mypy keeps one core, and is long.
test: $(VENV)/.installed
	@$(MAKE) -j2 lint tests

# Three workers for two cores: whole systems wait for their processes, sockets and timers, and a core would be idle meanwhile.
# The heaviest files have few tests; ordered by number they would come last, one core on them and the other idle.
tests: $(VENV)/.installed
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lockstep lint

bench: $(VENV)/.installed
	$(BIN)/lockstep bench sequencer
	$(BIN)/lockstep bench replay

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

kernels: $(VENV)/.installed

# Python keeps what it compiles of a module that is first imported, unless told not to; most of what comes with our tools never is.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)

# uv where it is present (seconds), else venv + pip. An editable install builds the C kernels in place.
$(VENV)/.installed: pyproject.toml setup.py $(KERNELS)
	@[ -n "$(PY)" ] || { echo "lockstep: no Python 3.11 or newer found (looked for python3, python3.13, 3.12, 3.11)"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
	  [ -x $(BIN)/python ] || uv venv --quiet --python $(PY) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python --reinstall-package lockstep -e '.[dev]'; \
	else \
	  [ -x $(BIN)/python ] || $(PY) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check $(COMPILE) -e '.[dev]'; \
	fi
	@touch $@

clean:
	rm -rf build *.egg-info $(VENV)
	find . -name '*.so' -not -path './$(VENV)/*' -delete
	find . -path '*/kernel/_*.c' -not -path './$(VENV)/*' -delete
