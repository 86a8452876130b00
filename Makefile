# hft: `make` lists the targets. Every target is one command; what needs the environment makes .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# The CUDA lock only where an NVIDIA driver is found.
LOCK ?= $(if $(or $(wildcard /proc/driver/nvidia/version),$(shell command -v nvidia-smi)),cuda,cpu)
LOCKED := requirements/$(LOCK).lock requirements/dev.lock requirements/uv.txt tools/install.py pyproject.toml
READY := .venv/ready-$(LOCK)-$(shell cat $(LOCKED) | sha256sum | cut -c1-12)
# Where hft runs: in the image once `make build` has made one, else in .venv; ENGINE=docker or ENGINE=local decides otherwise.
BUILT := .image-$(LOCK)
ifdef ENGINE
WHY := ENGINE says so
else
ENGINE := $(if $(IMAGE)$(wildcard $(BUILT)),docker,local)
WHY := $(if $(IMAGE),IMAGE names it,$(if $(wildcard $(BUILT)),`make build` made it; ENGINE=local uses .venv,no image yet; `make build` makes one))
endif
ifeq ($(ENGINE),docker)
HFT := $(PYTHON) tools/docker.py run $(LOCK)
WHERE := the image $(or $(IMAGE),hft:$(LOCK))
NEEDS :=
else ifeq ($(ENGINE),local)
HFT := .venv/bin/hft
WHERE := .venv
NEEDS := $(READY)
else
$(error ENGINE=$(ENGINE): write ENGINE=docker or ENGINE=local)
endif

# Where the CPU build of torch comes from, when no folder of wheels is configured (PIP_FIND_LINKS or UV_FIND_LINKS).
export TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Folders: RUNS=/path for results, DATA=/path for data files, RECIPES=/path for recipes of your own.
export HFT_RUNS := $(or $(RUNS),$(HFT_RUNS),runs)
export HFT_DATA := $(or $(DATA),$(HFT_DATA),data)
ifdef RECIPES
export HFT_RECIPES := $(RECIPES):$(CURDIR)/recipes
endif
# GPUS=all or GPUS=0,1: these GPUs share the steps of one training; without it the first one trains.
ifdef GPUS
export HFT_PROCESSES ?= all
ifneq ($(GPUS),all)
export CUDA_VISIBLE_DEVICES := $(GPUS)
endif
endif
# For Docker: IMAGE=name of an image of your own, NETWORK=host, BASE_IMAGE=, LLAMA_CPP=folder of a finished build of llama.cpp.
export IMAGE GPUS CACHE BASE_IMAGE LLAMA_CPP NETWORK
ifeq ($(LOCK),cuda)
# xformers 0.0.35 links CUDA 12's runtime; without this folder Unsloth falls back to an attention that is 2.7 times slower.
CALLERS_LIBRARIES := $(LD_LIBRARY_PATH)
export LD_LIBRARY_PATH = $(shell ls -d "$(CURDIR)"/.venv/lib/python3*/site-packages/nvidia/cuda_runtime/lib 2>/dev/null)$(CALLERS_LIBRARIES:%=:%)
endif
QUANT ?= q4_k_m

.PHONY: help
help: ## list the targets
	@echo "hft: fine-tune language models from named recipes. First: make train RECIPE=quickstart"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Options of hft pass through ARGS, for example: make train RECIPE=quickstart ARGS=\"--max-steps 5\""

$(READY): $(LOCKED)
	@$(PYTHON) tools/install.py $(LOCK)
	@touch $@

.PHONY: setup
setup: $(READY) ## make .venv from the lock that fits this machine (the other targets do it by themselves)

.PHONY: engine
engine:
	@echo 'Engine: $(ENGINE), $(WHERE) ($(WHY))$(if $(filter docker,$(ENGINE)),; /runs is RUNS)'

.PHONY: recipe-given
recipe-given:
	@if [ -z "$(RECIPE)" ]; then \
	  echo "Which recipe? For example: make $(firstword $(MAKECMDGOALS)) RECIPE=quickstart"; \
	  echo "Recipes: $$(cd recipes && ls ./*.yaml | sed 's#\./##; s#\.yaml##' | tr '\n' ' ')"; exit 2; fi

.PHONY: train
train: recipe-given engine $(NEEDS) ## train a recipe and evaluate it: make train RECIPE=quickstart
	@$(HFT) train $(RECIPE) $(ARGS)

.PHONY: evaluate
evaluate: recipe-given engine $(NEEDS) ## ask the newest run of a recipe again: make evaluate RECIPE=quickstart
	@$(HFT) evaluate $(RECIPE) $(ARGS)

.PHONY: gguf
gguf: recipe-given engine $(NEEDS) ## make a GGUF of the newest run, and ask it: make gguf RECIPE=quickstart QUANT=q4_k_m
	@$(HFT) export $(RECIPE) $(QUANT:%=--format %) $(ARGS)

.PHONY: export
export: recipe-given engine $(NEEDS) ## other formats: make export RECIPE=quickstart FORMAT=merged
	@$(HFT) export $(RECIPE) $(addprefix --format ,$(or $(FORMAT),merged)) $(ARGS)

.PHONY: generate
generate: recipe-given engine $(NEEDS) ## base and trained side by side: make generate RECIPE=quickstart PROMPT="Who ...?" CONTEXT="..."
	@$(HFT) generate $(RECIPE) --prompt "$$PROMPT" --context "$$CONTEXT" $(ARGS)
# As typed: make would read the $ of "$100" as a variable.
override PROMPT := $(value PROMPT)
override CONTEXT := $(value CONTEXT)
export PROMPT CONTEXT

.PHONY: push
push: recipe-given engine $(NEEDS) ## publish a run on the Hugging Face Hub: make push RECIPE=quickstart FORMAT=merged ARGS=--dry-run
	@$(HFT) push $(RECIPE) $(addprefix --format ,$(FORMAT)) $(ARGS)

.PHONY: bench
bench: recipe-given engine $(NEEDS) ## plain, Unsloth as in tutorials, and hft's plan, timed side by side: make bench RECIPE=quickstart
	@$(HFT) bench $(RECIPE) $(ARGS)

.PHONY: hft
hft: engine $(NEEDS) ## any other command of hft, here or in the image: make hft ARGS="compare A B"
	@$(HFT) $(ARGS)

.PHONY: prepare
prepare: recipe-given engine $(NEEDS) ## look at a recipe's rows: make prepare RECIPE=quickstart
	@$(HFT) prepare $(RECIPE) $(ARGS)

.PHONY: check
check: engine $(NEEDS) ## check all recipes, or one: make check RECIPE=quickstart
	@$(HFT) check $(RECIPE) $(ARGS)

.PHONY: show
show: recipe-given engine $(NEEDS) ## every value of a recipe with its origin: make show RECIPE=quickstart
	@$(HFT) show $(RECIPE) $(ARGS)

# The image mounts recipes read-only: this one writes into them.
.PHONY: pin
pin: recipe-given $(READY) ## write today's commits of model and data sets into a recipe: make pin RECIPE=korquad_qlora
	@.venv/bin/hft pin $(RECIPE) $(ARGS)

.PHONY: list
list: engine $(NEEDS) ## list the recipes
	@$(HFT) list

.PHONY: runs
runs: engine $(NEEDS) ## list the runs with their scores
	@$(HFT) runs $(RECIPE)

.PHONY: build
build: ## make the image that fits this machine (cuda or cpu; LOCK=cpu says which)
	@$(PYTHON) tools/docker.py build $(LOCK) $(ARGS)
	@touch $(BUILT)

.PHONY: llama-cpp
llama-cpp: ## build the image's llama.cpp alone into a folder (LLAMA_CPP= takes it from there): make llama-cpp TO=/path
	@$(PYTHON) tools/docker.py build llama --output type=local,dest=$(or $(TO),$(error Where to? make llama-cpp TO=/path))

.PHONY: image-digest
image-digest: ## what identifies the image: equal on two servers, equal images
	@$(PYTHON) tools/docker.py run $(LOCK) image --digest

.PHONY: shell
shell: ## a shell in the image, with the folders that a run has
	@$(PYTHON) tools/docker.py shell $(LOCK)

.PHONY: smoke
smoke: ## train a few steps in the CPU image without network: make smoke RECIPE="quickstart"
	@$(PYTHON) tools/docker.py smoke cpu $(or $(RECIPE),quickstart) $(or $(ARGS),--max-steps 5 --set evaluate.rows=8)

.PHONY: test-image
test-image: ## test the CPU image (make build LOCK=cpu first): users, folders, secrets, a killed run; minutes
	@$(MAKE) LOCK=cpu test ARGS="-m image $(ARGS)"

.PHONY: test
test: $(READY) ## run the fast tests on up to 8 cores, and say what they cover; the real training: make test ARGS="-m slow"
ifdef ARGS
	@.venv/bin/python -m pytest $(ARGS)
else
	@.venv/bin/python -m pytest -n auto --maxprocesses 8 --cov --cov-report= --cov-fail-under=0
	@.venv/bin/python tools/coverage_by_room.py
endif

.PHONY: lint
lint: $(READY) ## check the code, its types, the shell scripts, the Dockerfile and the compose file
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/shellcheck .ci/* tools/lock
	@.venv/bin/hadolint Dockerfile
	@if ! command -v npm >/dev/null; then echo "dclint left out: it needs npm (Node.js)"; exit; fi; \
	  [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund; \
	  node_modules/.bin/dclint --quiet docker-compose.yml

.PHONY: lock
lock: $(READY) ## rewrite requirements/*.lock from requirements/*.in
	@UV="$(CURDIR)/.venv/bin/uv" PYTHON="$(CURDIR)/.venv/bin/python" tools/lock

.PHONY: clean
clean: ## remove .venv and caches; runs, data and what hft keeps in ~/.cache/hft stay
	@rm -rf .venv .image-* .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage* node_modules hft.egg-info; find . -name __pycache__ -prune -exec rm -rf {} +
