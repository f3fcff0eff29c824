# Every target sets up what it needs: a virtual environment from the lock file, with hashes.
# `make` alone lists the targets: those with a ## comment.
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# pip compiles one file after the other; this uses all cores.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib
# Without bytecode, each process would compile the project anew, and each run all tests.
export PYTHONDONTWRITEBYTECODE :=

# The cluster: docker compose, old or new; secrets and settings in ENV_FILE; WORKERS containers.
ENV_FILE ?= .env
WORKERS ?= 1
PROJECT ?= hpo
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) \
  --project-name $(PROJECT) --env-file $(ENV_FILE)
# Never build over a custom image (HPO_IMAGE).
BUILD = $(if $(HPO_IMAGE)$(shell grep -s '^HPO_IMAGE=.' $(ENV_FILE)),--no-build,--build)

WHERE = $(or $(shell sed -n 's/^HPO_SECRETS=//p' $(ENV_FILE)),$(ENV_FILE))

# Where backups of the cluster's record go.
BACKUP ?= backups/$(shell date +%Y-%m-%dT%H%M%S)
STUDIES = /opt/hpo/docker/entrypoint.sh python /opt/hpo/docker/ray_head.py
RECORD = COMPOSE="$(COMPOSE)" PROJECT=$(PROJECT) docker/record.sh

.PHONY: help demo test bench pictures reference site examples quick lint lock clean cluster \
  cluster-secrets cluster-config cluster-down cluster-backup cluster-restore cluster-upgrade

help:   ## list these targets
	@awk -F ':.*## ' '/^[a-z.][a-z.-]*:.*## / {printf "make %-16s  %s\n", $$1, $$2}' \
	  $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/installed   ## run a study of the bundled digits in ./demo, two rounds
	@mkdir -p demo && cd demo && ../$(BIN)/hpo run ../studies/digits.toml
	@echo
	@echo "to use these commands:  source $(BIN)/activate && cd demo"
	@echo "to open the UI, then:   hpo ui digits"

test: $(VENV)/installed-test   ## run all tests
	$(BIN)/python -m pytest -n 3 --dist worksteal

pictures: $(VENV)/installed-test   ## redraw the pictures in the README from a real study (needs Chromium)
	$(BIN)/python -m docs.pictures.draw

reference: $(VENV)/installed-test   ## write the pages of docs/ that are generated from the code
	$(BIN)/python -m docs.reference

site: $(VENV)/installed-test   ## build the documentation site in ./site (readable offline)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html"

examples: $(VENV)/installed-examples   ## test all examples and kinds of models, including PyTorch and Keras
	$(BIN)/python -m pytest tests/test_examples.py \
	  tests/hpo/test_frameworks.py tests/hpo/test_boosters.py tests/hpo/test_torch_models.py \
	  tests/hpo/test_keras_models.py tests/hpo/test_own_models.py
	$(BIN)/python -m pytest -k gp tests/hpo/search tests/test_reproducible.py

quick: $(VENV)/installed-test   ## run the fast tests: no Ray, server or record
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

bench: $(VENV)/installed-test   ## run the benchmarks and write the table in docs/performance.md
	$(BIN)/python -m benchmarks.table

lint: $(VENV)/installed-test   ## check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv: $(VENV)/installed   ## create the virtual environment only

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-compile --require-hashes -r requirements.lock
	$(COMPILE)
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-test: requirements-test.lock $(VENV)/installed
	$(PIP) install --no-compile --require-hashes -r requirements-test.lock
	$(COMPILE)
	@touch $@

# Several GB on many machines, so not in a lock file; only examples and tests of models need it.
$(VENV)/installed-examples: $(VENV)/installed-test
	$(PIP) install torch==2.13.0 keras==3.15.1
	@touch $@

lock:   ## resolve the dependencies again and write the lock files (needs uv)
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --extra build --extra postgresql --extra server pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --extra build --extra postgresql --extra server --extra test -c requirements.lock \
	  pyproject.toml -o requirements-test.lock

cluster: cluster-secrets   ## build and start PostgreSQL, MLflow and Ray with WORKERS=1 worker containers
	@$(COMPOSE) up $(BUILD) --detach --scale ray-worker=$(WORKERS) || \
	  { $(COMPOSE) logs --tail 3 mlflow >&2; exit 1; }
	@status() { docker ps -q --filter label=com.docker.compose.project=$(PROJECT) --filter health=$$1; }; \
	for _ in $$(seq 60); do [ -n "$$(status starting)" ] || break; sleep 2; done; \
	if [ -n "$$(status starting)$$(status unhealthy)" ]; then \
	  $(COMPOSE) ps; echo "some containers did not become healthy; see $(COMPOSE) logs" >&2; exit 1; fi
	@echo
	@echo "MLflow  http://$$($(COMPOSE) port mlflow 5000)   user hpo, password: MLFLOW_TRACKING_PASSWORD in $(WHERE)"
	@echo "Ray     http://$$($(COMPOSE) port ray-head 8265)   token: RAY_AUTH_TOKEN in $(WHERE)"
	@echo "to send a study:      $(BIN)/hpo submit studies/digits.toml"
	@echo "to use hpo show etc.: export \$$(grep -E '^(MLFLOW_TRACKING|RAY)_.*=.' $(ENV_FILE))"

cluster-secrets: $(ENV_FILE)   ## create random passwords for the cluster, once

# An existing file is never overwritten: the volumes were set up with its passwords. With
# SECRETS=folder each secret is a file there, and the variable is empty. Each container sees only its
# own secrets, whatever its user: so the files are readable by all, and the folder only by you.
$(ENV_FILE):
	@umask 077; random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }; \
	secrets="$(if $(SECRETS),$(abspath $(SECRETS)))"; \
	secret() { \
	  if [ -z "$$secrets" ]; then echo "$$1=$$(random)"; return; fi; \
	  file=$$secrets/$$(echo $$1 | tr A-Z a-z); \
	  [ -e $$file ] || { random > $$file && chmod 444 $$file; }; echo "$$1="; }; \
	[ -z "$$secrets" ] || mkdir -p "$$secrets"; \
	{ for name in POSTGRES_PASSWORD MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY \
	    MLFLOW_TRACKING_PASSWORD RAY_AUTH_TOKEN; do secret $$name; done; \
	  if [ "$$secrets" ]; then \
	    echo COMPOSE_FILE=docker-compose.yml:docker-compose.secrets.yml; \
	    echo "HPO_SECRETS=$$secrets"; echo "RAY_AUTH_TOKEN_PATH=$$secrets/ray_auth_token"; fi; \
	  echo MLFLOW_TRACKING_USERNAME=hpo; \
	  echo MLFLOW_TRACKING_URI=http://127.0.0.1:$${MLFLOW_PORT:-5000}; \
	  echo RAY_AUTH_MODE=token; \
	  echo RAY_API_SERVER_ADDRESS=http://127.0.0.1:$${RAY_JOBS_PORT:-8265}; } > $@.new
	@ln $@.new $@; rm $@.new
	@echo "$(if $(SECRETS),$(SECRETS),$@) holds the passwords of the cluster; keep it private"

cluster-config: cluster-secrets   ## check docker-compose.yml
	$(COMPOSE) config --quiet

cluster-down:   ## stop the cluster; its volumes, and with them all studies, are kept
	@# Studies first, while they still have workers.
	@$(COMPOSE) exec -T ray-head $(STUDIES) --stop 2>/dev/null || true
	$(COMPOSE) down

cluster-backup: cluster-secrets   ## back up the record to backups/DATE, or to BACKUP=folder
	@$(RECORD) backup "$(BACKUP)"

cluster-restore: cluster-secrets   ## restore the record from BACKUP=folder, then start the cluster
	@$(RECORD) restore "$(if $(filter file,$(origin BACKUP)),,$(BACKUP))"
	@$(MAKE) --no-print-directory cluster

cluster-upgrade: cluster-secrets   ## back up, upgrade the record to a new MLflow, then start the cluster
	@$(if $(filter --build,$(BUILD)),$(COMPOSE) build mlflow)
	@$(RECORD) upgrade "$(BACKUP)"
	@$(MAKE) --no-print-directory cluster

clean:   ## remove the environment, the demo and the site
	rm -rf $(VENV) demo site
