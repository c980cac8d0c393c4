# One command for each thing a developer does; `make` alone lists them.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
LAB := tests/lab/lab

# The order of `make test`. What comes after lab-up shares one lab, and it is down in the end. In this order: a step that needs the running service
# takes the one that the step before it has left.
STEPS := lab-build molecule lab-up faults weights runner recovery commands roles diagnosis clients
# What runs next to them, as the lab leaves a third of two cores idle: what measures time, and in a lane with little of the processor what
# does not.
TIMED_STEPS := units parsers monitoring
SIDE_STEPS := lint component versions install site sanity

# Component tests that measure time.
TIMED := tests/component/test_endpoint.py tests/component/test_gateway.py

# Of pytest. Many tests wait for the time of a setting, such as a grace period.
WORKERS := $(shell expr 2 '*' $$(nproc))

# What `make releases` tries, one after the other.
RELEASES := 0.13.0 0.23.0 0.30.0

# Most tests of the field's faults belong to the campaign, which takes an hour of its own: `make test` has one of each kind.
GUARD := python -m pytest -m "not campaign" --durations=10 --durations-min=10

export PATH := $(BIN):$(PATH)
export PYTHON
# Where it is set, each start of Ansible compiles all it imports, which takes three times as long as the rest.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: env
env: .venv/.installed ## Make .venv with what tests/requirements.txt pins

.venv/.installed: tests/requirements.txt tests/env.sh
	@tests/env.sh
	@touch $@

.PHONY: demo
demo: lab-up ## From bare hosts to a chat answer, in the lab (root)
	ansible-playbook site.yml -i inventories/lab

.PHONY: lab-build
lab-build: env root ## Build what the lab is made of (root)
	$(LAB) build

.PHONY: lab-up
lab-up: env root ## Build (once) and start the lab's two hosts, registry and hub (root)
	$(LAB) build
	$(LAB) up

.PHONY: lab-down
lab-down: root ## Stop the lab and remove all it started; the cache stays (root)
	$(LAB) down

.PHONY: root
root:
	@test "$$(id -u)" -eq 0 || { echo "The lab makes network namespaces, mounts and devices, and so needs root. Run it as root: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

.PHONY: test
test: env root ## Everything below (root)
	@tests/steps.sh "$(STEPS)" "$(TIMED_STEPS)" "$(SIDE_STEPS)"

.PHONY: lint
lint: env ## ansible-lint, yamllint, ruff, mypy, docs, changelog, licences
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-ansible lint-docs lint-code

.PHONY: lint-ansible
lint-ansible:
	ansible-lint --offline

.PHONY: lint-docs
lint-docs:
	antsibull-docs lint-collection-docs --plugin-docs .
	tests/reference.sh
	antsibull-changelog lint

.PHONY: lint-code
lint-code:
	ruff check .
	ruff format --check .
	mypy
	yamllint --strict .
	reuse lint --lines

.PHONY: docs
docs: env ## Generate docs/reference: a page for each role and module, and one of the log signatures
	tests/reference.sh

.cache/site/.installed: docs/site/requirements.txt | env
	uv venv --quiet --clear --python .venv/bin/python .cache/site
	uv pip install --quiet --python .cache/site/bin/python --requirement $<
	@touch $@

.PHONY: site
site: docs .cache/site/.installed ## Build README, docs and reference as a web site in .cache/site/html
	.cache/site/bin/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs/site . .cache/site/html
	@cp .cache/site/html/README.html .cache/site/html/index.html
	@echo "The site is in .cache/site/html: open index.html there."

.PHONY: units
units: env ## Unit tests, and component tests that measure time
	$(GUARD) --numprocesses $(WORKERS) --dist loadgroup $(TIMED) tests/unit

.PHONY: component
component: env ## Component tests, which run Ansible on this machine
	$(GUARD) --numprocesses auto --dist loadgroup $(TIMED:%=--ignore=%) tests/component

.PHONY: monitoring
monitoring: env ## Alert rules and dashboard, as the distribution's Prometheus sees them
	tests/unpack.sh .cache/prometheus prometheus prometheus-alertmanager prometheus-node-exporter
	python -m pytest --numprocesses auto tests/monitoring

.PHONY: mutants
mutants: env ## Small changes of the code, and which of them the unit tests notice; a score for each file. MUTANTS="_plan --count 40"
	python tests/mutants.py $(MUTANTS)

.PHONY: hostile
hostile: env ## Ten thousand hostile connections against a supervisor, on this machine
	HOSTILE_CONNECTIONS=10000 python -m pytest -k hostile --durations=1 tests/unit/roles/container/test_supervise.py

.PHONY: golden
golden: env ## Write tests/unit/golden, the wording of messages; review its diff
	python -m pytest --quiet --rewrite-golden -k golden tests/unit

.PHONY: parsers
parsers: env root ## What runs in the image: patched parsers in the real vLLM, the smoke test of NPUs with the real torch (root)
	$(LAB) build
	$(GUARD) tests/parsers

.PHONY: install
install: env ## The built tarball: what is in it, and that it works once installed
	python -m pytest --numprocesses auto tests/integration/test_install.py

.PHONY: sanity
sanity: env ## ansible-test sanity, all tests, with the newest Ansible
	tests/sanity.sh newest

.PHONY: molecule
molecule: env root ## The whole chain on the lab, its check mode and upgrades (root)
	molecule test -s default -s upgrade

.PHONY: faults
faults: env root ## Bad input on the lab: each refused with a clear reason, nothing changed; and no secret shows (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_bad_input.py tests/integration/test_secrets.py tests/integration/test_registry.py tests/integration/test_patch.py tests/integration/test_smoke_test.py tests/integration/test_preflight.py

.PHONY: weights
weights: env root ## Faults while the weights are downloaded on the lab, the fan-out, and what a change of the weights restarts (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_weights_faults.py tests/integration/test_changes.py

.PHONY: matrix-clients
matrix-clients: env ## The download with each ModelScope client that an image may hold
	python -m pytest tests/matrix/test_modelscope_clients.py

.PHONY: bench-weights
bench-weights: env ## Our download compared with the plain client, aria2c and curl; deep verification; fan-out
	python tests/bench/weights.py

.PHONY: bench-stage
bench-stage: env root ## The preflight stage compared with a ping, on 2 and 16 hosts of the lab (root)
	$(LAB) build
	python tests/bench/stage.py

.PHONY: bench-site
bench-site: env root ## A converged site.yml compared with 20 stat tasks, on the lab (root)
	tests/with-lab.sh python tests/bench/site.py

.PHONY: bench-recovery
bench-recovery: env root ## How soon each fault on the lab is seen, named and healed; takes an hour (root)
	PYTHONPATH=tests/integration:tests/lab:tests/support tests/with-lab.sh python tests/bench/recovery.py

.PHONY: bench-page
bench-page: env root ## A benchmark of the lab, and a picture of its page for the docs; needs chromium (root)
	tests/with-lab.sh tests/bench/page.sh

.PHONY: runner
runner: env root ## Every playbook run by ansible-runner, as AWX does it, on the lab (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_runner.py

.PHONY: roles
roles: env root ## Each role alone, in a playbook of a user's own, on the lab (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_roles_alone.py

.PHONY: clients
clients: env root ## The OpenAI client and curl against the endpoint on the lab, which wants a key (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_clients.py

.PHONY: campaign
campaign: env root ## The tests and scenarios that make test leaves out: more faults of each kind (root)
	python -m pytest -m campaign tests/component
	tests/versions.sh tests/unit/plugins
	tests/sanity.sh oldest
	$(LAB) build 0.18.0 0.30.0
	python -m pytest -m campaign tests/parsers
	tests/with-lab.sh python -m pytest -m campaign tests/integration
	molecule test -s airgap -s benchmark -s faults -s gateway -s monitoring -s restored -s single

.PHONY: versions
versions: env ## Syntax and rendering with the oldest and the newest Ansible, modules with the oldest
	tests/versions.sh

.PHONY: diagnosis
diagnosis: env root ## What goes wrong while the service starts on the lab, and how soon the cause is named (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_diagnosis.py

.PHONY: recovery
recovery: env root ## What breaks while the service runs on the lab, and that it comes back by itself (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_recovery.py

.PHONY: watched
watched: env root ## What Prometheus and Alertmanager report about faults on the lab, and the dashboard's picture for the docs (root)
	tests/with-lab.sh python -m pytest tests/integration/test_watched.py
	cp tests/output/dashboard.svg docs/pictures/

.PHONY: kill-upgrade
kill-upgrade: env root ## An upgrade killed after each of its tasks on the lab, and what helps then; takes hours (root)
	tests/with-lab.sh python -m pytest -s tests/integration/test_killed_upgrade.py

.PHONY: releases
releases: env root ## Upgrades from release to release and back on the lab, with the real vLLM of each (root). RELEASES="0.13.0 0.23.0"
	$(LAB) build $(RELEASES)
	RELEASES="$(RELEASES)" tests/with-lab.sh python -m pytest -s tests/integration/test_releases.py

.PHONY: commands
commands: env root ## Every command in the docs, on the lab in the place of production (root)
	tests/with-lab.sh $(GUARD) tests/integration/test_docs.py

.PHONY: clean
clean: ## Remove what these commands made in the checkout, .venv included
	rm -rf .venv .ansible .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache docs/reference tests/output ascend_ops-vllm-*.tar.gz
	find . -name __pycache__ -prune -exec rm -rf {} +
