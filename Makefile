# hft: `make` lists the targets. Every target is one command; what needs the environment makes .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# The CUDA lock only where an NVIDIA driver is found.
LOCK ?= $(if $(or $(wildcard /proc/driver/nvidia/version),$(shell command -v nvidia-smi)),cuda,cpu)
LOCKED := requirements/$(LOCK).lock requirements/dev.lock requirements/uv.txt requirements/install.py pyproject.toml
READY := .venv/ready-$(LOCK)-$(shell cat $(LOCKED) | sha256sum | cut -c1-12)
HFT := .venv/bin/hft

# Where the CPU build of torch comes from, when no folder of wheels is configured (PIP_FIND_LINKS or UV_FIND_LINKS).
export TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Folders: RUNS=/path for results, DATA=/path for data files, RECIPES=/path for recipes of your own.
export HFT_RUNS := $(or $(RUNS),$(HFT_RUNS),runs)
export HFT_DATA := $(or $(DATA),$(HFT_DATA),data)
ifdef RECIPES
export HFT_RECIPES := $(RECIPES):$(CURDIR)/recipes
endif
ifeq ($(LOCK),cuda)
# xformers 0.0.35 links CUDA 12's runtime; without this folder Unsloth falls back to an attention that is 2.7 times slower.
CALLERS_LIBRARIES := $(LD_LIBRARY_PATH)
export LD_LIBRARY_PATH = $(shell ls -d "$(CURDIR)"/.venv/lib/python3*/site-packages/nvidia/cuda_runtime/lib 2>/dev/null)$(CALLERS_LIBRARIES:%=:%)
endif
QUANT ?= q4_k_m

.PHONY: help
help: ## list the targets
	@echo "hft: fine-tune language models from named recipes. First: make train RECIPE=quickstart"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Options of hft pass through ARGS, for example: make train RECIPE=quickstart ARGS=\"--max-steps 5\""

$(READY): $(LOCKED)
	@$(PYTHON) requirements/install.py $(LOCK)
	@touch $@

.PHONY: setup
setup: $(READY) ## make .venv from the lock that fits this machine (the other targets do it by themselves)

.PHONY: recipe-given
recipe-given:
	@if [ -z "$(RECIPE)" ]; then \
	  echo "Which recipe? For example: make $(firstword $(MAKECMDGOALS)) RECIPE=quickstart"; \
	  echo "Recipes: $$(cd recipes && ls ./*.yaml | sed 's#\./##; s#\.yaml##' | tr '\n' ' ')"; exit 2; fi

.PHONY: train
train: recipe-given $(READY) ## train a recipe and evaluate it: make train RECIPE=quickstart
	@$(HFT) train $(RECIPE) $(ARGS)

.PHONY: evaluate
evaluate: recipe-given $(READY) ## ask the newest run of a recipe again: make evaluate RECIPE=quickstart
	@$(HFT) evaluate $(RECIPE) $(ARGS)

.PHONY: gguf
gguf: recipe-given $(READY) ## make a GGUF of the newest run, and ask it: make gguf RECIPE=quickstart QUANT=q4_k_m
	@$(HFT) export $(RECIPE) $(QUANT:%=--format %) $(ARGS)

.PHONY: export
export: recipe-given $(READY) ## other formats: make export RECIPE=quickstart FORMAT=merged
	@$(HFT) export $(RECIPE) $(addprefix --format ,$(or $(FORMAT),merged)) $(ARGS)

.PHONY: generate
generate: recipe-given $(READY) ## base and trained side by side: make generate RECIPE=quickstart PROMPT="Who ...?" CONTEXT="..."
	@$(HFT) generate $(RECIPE) --prompt "$$PROMPT" --context "$$CONTEXT" $(ARGS)
# As typed: make would read the $ of "$100" as a variable.
override PROMPT := $(value PROMPT)
override CONTEXT := $(value CONTEXT)
export PROMPT CONTEXT

.PHONY: prepare
prepare: recipe-given $(READY) ## look at a recipe's rows: make prepare RECIPE=quickstart
	@$(HFT) prepare $(RECIPE) $(ARGS)

.PHONY: check
check: $(READY) ## check all recipes, or one: make check RECIPE=quickstart
	@$(HFT) check $(RECIPE) $(ARGS)

.PHONY: show
show: recipe-given $(READY) ## every value of a recipe with its origin: make show RECIPE=quickstart
	@$(HFT) show $(RECIPE) $(ARGS)

.PHONY: list
list: $(READY) ## list the recipes
	@$(HFT) list

.PHONY: runs
runs: $(READY) ## list the runs with their scores
	@$(HFT) runs $(RECIPE)

.PHONY: test
test: $(READY) ## run the fast tests; the real training: make test ARGS="-m slow"
	@.venv/bin/python -m pytest $(ARGS)

.PHONY: lint
lint: $(READY) ## check the code's style
	@.venv/bin/ruff check .

.PHONY: lock
lock: $(READY) ## rewrite requirements/*.lock from requirements/*.in
	@UV="$(CURDIR)/.venv/bin/uv" PYTHON="$(CURDIR)/.venv/bin/python" requirements/lock

.PHONY: clean
clean: ## remove .venv and caches; runs, data and what hft keeps in ~/.cache/hft stay
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis hft.egg-info; find . -name __pycache__ -prune -exec rm -rf {} +
