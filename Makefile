# data-miner: `make help` lists what can be made.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
# The newest of the supported Pythons that is here.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help run test check format bench upgrade-yt-dlp requirements sample-models clean system

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP)  ## Set everything up and mine the offline sample: a dataset in about a minute
	@$(BIN)/data-miner run --project glass_door_sample

test: $(DEV_STAMP)  ## Run the whole test suite
	@$(BIN)/python -m pytest

check: $(DEV_STAMP)  ## Lint, types and import walls
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEV_STAMP)  ## Format the code
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

bench: $(DEV_STAMP)  ## Measure start-up, memory and a whole run beside a one-process script
	@$(BIN)/python -m tests.benchmarks

upgrade-yt-dlp: $(STAMP)  ## Fetch the newest yt-dlp: the one dependency that must stay new
	@$(call install,--upgrade 'yt-dlp[default,deno]')
	@$(BIN)/python -c 'import yt_dlp; print("yt-dlp", yt_dlp.version.__version__)'

requirements:  ## Pin all dependencies anew (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-header --no-annotate --no-emit-package yt-dlp -o requirements.txt
	uv pip compile -q pyproject.toml --extra dev -c requirements.txt --universal --python-version 3.11 --no-header --no-annotate --no-emit-package yt-dlp -o requirements-dev.txt

sample-models: $(DEV_STAMP)  ## Train the sample's two tiny models anew (20 minutes on 2 cores)
	@$(BIN)/python -m data_miner.sample.train

clean:  ## Remove the virtual environment; data stays
	rm -rf $(VENV)

# uv where it is (a minute faster), pip everywhere else. yt-dlp is not pinned: it must stay new.
install = if command -v uv >/dev/null; then uv pip install -q --compile-bytecode --python $(BIN)/python $(1); \
	else $(BIN)/python -m pip install -q --disable-pip-version-check $(1); fi

system:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 with venv is needed: sudo apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libGL.so.1"); ctypes.CDLL("libglib-2.0.so.0")' 2>/dev/null \
		|| { echo "OpenCV needs two system libraries: sudo apt install libgl1 libglib2.0-0"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import platform, shutil; free = shutil.disk_usage(".").free / 1e9; \
		print(f"python {platform.python_version()} ok · libGL ok · {free:.0f} GB free"); \
		print(".venv: about 3 GB to download, 6 GB on disk (torch with CUDA); minutes, once", flush=True)'

$(BIN)/python: | system
	@$(PYTHON) -m venv $(VENV)

$(STAMP): requirements.txt pyproject.toml | system $(BIN)/python
	@$(call install,-r requirements.txt -e .)
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(STAMP)
	@$(call install,-r requirements-dev.txt -e '.[dev]')
	@touch $@
