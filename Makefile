# SPDX-License-Identifier: GPL-3.0-or-later
# The commands of the project. Needs make and Python 3.11 or newer (found by requirements/find-python).

# `make incast ARGS="-e run_repeats=5"` hands further arguments to ansible-playbook.
INVENTORY ?= inventories/local
ARGS ?=
ONLY ?=
HOSTS ?= 8

# ansible.cfg is named because Ansible ignores it in a folder that others may write to; collections of this machine's
# owner must not stand before the ones in this folder.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
unexport ANSIBLE_COLLECTIONS_PATH ANSIBLE_COLLECTIONS_PATHS ANSIBLE_INVENTORY PYTHONPATH PYTHONHOME
ifeq ($(shell uname -s),Linux)
export LC_ALL := C.UTF-8
endif

# One shell line per recipe, so that a missing Python stops it with the message of find-python and nothing else.
set_up = python=$$(requirements/find-python) && "$$python" requirements/install.py

.PHONY: help incast check test lab lab-down bench coverage faults tools fuzz model artefact clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

incast:  ## set up, then run the incast benchmark: make incast [INVENTORY=inventories/local] [ARGS=…]
	@$(set_up) controller && exec .venv/bin/ansible-playbook incast.yml -i "$(INVENTORY)" $(ARGS)

check:  ## show what incast would do, and touch no process
	@$(set_up) controller && exec .venv/bin/ansible-playbook incast.yml -i "$(INVENTORY)" --check $(ARGS)

test:  ## set up, then every test that this machine can run: make test [ONLY=unit,ruff]
	@$(set_up) controller test && exec .venv/bin/python tests/run.py --only "$(ONLY)"

lab:  ## make real SSH hosts on this machine (root, podman): make lab [HOSTS=8]
	@$(set_up) controller && exec .venv/bin/python tests/lab/lab.py up --hosts "$(HOSTS)"

lab-down:  ## remove them
	@$(set_up) controller && exec .venv/bin/python tests/lab/lab.py down

bench:  ## measure the barrier itself; a table and JSON
	@$(set_up) controller && exec .venv/bin/python benchmarks/run.py $(ARGS)

coverage:  ## is the start skew that is reported true? With clocks and ways of every kind
	@$(set_up) controller && exec .venv/bin/python benchmarks/coverage.py $(ARGS)

faults:  ## inject every fault, and print what came of it: make faults [ARGS="--times 10"]
	@$(set_up) controller test && exec .venv/bin/python tests/faults/run.py $(ARGS)

tools:  ## netperf and iperf3 on real SSH hosts, at length (root, podman, Debian's mirror)
	@$(set_up) controller test && exec .venv/bin/python -m pytest -s tests/tools $(ARGS)

fuzz:  ## 10 million broken inputs for every parser: make fuzz [ARGS="--inputs 1e6 --only frames"]
	@$(set_up) controller test && exec .venv/bin/python tests/fuzz/run.py $(ARGS)

model:  ## every order of events of the barrier, and 100 000 random ones: make model [ARGS="--only 2x2"]
	@$(set_up) controller test && exec .venv/bin/python tests/model/run.py $(ARGS)

artefact:  ## build netbench-orchestrator-VERSION.tar.gz into .cache/artefact
	@$(set_up) controller && exec .venv/bin/ansible-galaxy collection build --force --output-path .cache/artefact

clean:  ## remove environments and caches; results and the lab stay
	rm -rf .venv .cache .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
