# One command checks everything, here and in CI: make check. It uses the tools of the active environment.
PYTHON ?= python
# The environment's own programs come first, so that a recipe reads like the line one would type.
export PATH := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("scripts"))'):$(PATH)

.PHONY: check format lint layers types test test-slow lint-deploy docs compose-for-real slurm-for-real ray bench-storage bench-engine bench-memory bench-size property chaos
.NOTPARALLEL:

check: format lint layers types test

format:
	ruff format --check .

lint:
	ruff check .

layers:
	lint-imports

types:
	mypy

test:
	pytest

# What needs minutes and rarely breaks; pytest alone leaves it out.
test-slow:
	pytest -m slow --timeout 600

# The containers' files: as Compose itself reads them, and by the linters that a wheel brings.
lint-deploy:
	docker-compose --profile '*' config -q
	hadolint Dockerfile
	compose-lint docker-compose.yml
	bash -n tests/deploy/compose_for_real.sh
	bash -n tests/deploy/slurm_for_real.sh

# The site, into build/site; what its pages take from the code is put in by docs/made_of_code.py.
docs:
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict -q
	! grep -rlE '<(script|link|img)[^>]+https?://' build/site --include='*.html'

# As root: a real engine, real containers, ten minutes. RAY_PYTHON=VENV/bin/python adds Ray. docs/compose-for-real.md has what came of it.
compose-for-real:
	tests/deploy/compose_for_real.sh $(ARGUMENTS)

# As root: a real SLURM of two nodes, seven minutes. docs/slurm-for-real.md has what came of it.
slurm-for-real:
	tests/deploy/slurm_for_real.sh $(ARGUMENTS)

# As root: a real Ray cluster of namespaces, four minutes; in an environment of its own with pip install -e '.[test,ray]'.
ray:
	pytest -n 0 --timeout 600 tests/ray/on_a_cluster.py $(ARGUMENTS)

# What the protocol costs, beside plain Optuna: some minutes. docs/storage-costs.md has figures.
bench-storage:
	$(PYTHON) -m benchmarks.storage $(ARGUMENTS)

# What a trial costs, beside fit and KerasTuner: under 15 minutes on two quiet cores. pip install '.[bench]' first.
bench-engine:
	$(PYTHON) -m benchmarks.engine $(ARGUMENTS)

# What the processes of a launch own, and whether one that trains on and on grows: some ten minutes.
bench-memory:
	$(PYTHON) -m benchmarks.memory $(ARGUMENTS)

# A study of 3,000 empty trainings: trials a second, the supervisor's memory, the reading commands. docs/scale.md has figures.
bench-size:
	$(PYTHON) -m benchmarks.size $(ARGUMENTS)

# New drawn optimizers, models and callbacks each time, a hundred, each trained by a program and by fit: a quarter of an hour.
property:
	pytest -n 0 --timeout 0 --hypothesis-profile thorough tests/trials/training/test_parity_property.py $(ARGUMENTS)

# Random kills, crashes of Postgres and absences of MLflow; each run must end equal to an undisturbed one.
RUNS ?= 100
chaos:
	$(PYTHON) -m tests.acceptance.chaos --runs $(RUNS) $(ARGUMENTS)
