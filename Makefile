# Every verb of the project; each is a line here and, where that is not enough, a script in hack/.
SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
export STARTED := $(shell date +%s)
pytest := hack/with.sh .venv/bin/pytest

##@ Use it
.PHONY: local demo up down clean kubeconfig
local: ## install `strategyrun run` for this machine, without any cluster
	@hack/local.sh
demo: up ## run the samples in a cluster and show their metrics
	@hack/demo.sh
up: ## bring the cluster up with the operator in it, from whatever state
	@hack/up.sh
down: ## remove all that `up` made; only downloads and caches stay
	@hack/down.sh
clean: down ## remove the downloads too
	@hack/clean.sh
kubeconfig: ## print the path of the cluster's kubeconfig
	@hack/with.sh printenv KUBECONFIG

##@ Work on it
.PHONY: test check unit faults solo e2e abuse installation fuzz bench seccomp
test: check unit faults solo e2e abuse installation ## everything: check, unit, faults, solo, e2e, abuse, installation
check: venv ## lint, types, layers, generated files
	@hack/check.sh
unit: venv ## tests that need no cluster
	@$(pytest) tests/unit --numprocesses auto
faults: venv ## break what is round the operator, without Docker; FAULTS_RUNS=1000 FAULTS_KILLS=200 FAULTS_AWAY=600 for the long form
	@hack/rig.sh >/dev/null
	@$(pytest) tests/faults --numprocesses 3 --dist worksteal
e2e: up ## tests against the API server, in the cluster, and of local runs in its image
	@$(pytest) tests/contract tests/cluster tests/docker -m "not alone" --numprocesses 4 --dist loadfile
	@$(pytest) tests/cluster -m alone
solo: venv local ## tests of runs without a cluster, the attacks included
	@$(pytest) tests/local --numprocesses 2 --dist loadfile
abuse: up ## attack the sandbox on purpose, and print what became of each attack
	@PYTHONPATH=operator:image:tests $(pytest) tests/abuse
installation: up ## install, upgrade and remove, by Helm and by kustomize, in a second cluster made for that
	@hack/installation.sh
fuzz: venv ## try a million hostile positions files on the evaluator's reader, 100,000 on the whole step, and histories that nobody has seen
	@PYTHONPATH=image:tests .venv/bin/python tests/fuzz/positions.py --runs 1000000
	@PYTHONPATH=image:tests .venv/bin/python tests/fuzz/positions.py --runs 100000 --whole
	@HISTORIES_UNSEEN=2000 $(pytest) tests/unit/domain/test_reconcile_machine.py -k nobody_has_seen
bench: up local ## measure: latency of a run, workloads in the sandbox, imports, evaluator, look-ahead guard, a thousand runs, local runs, the first one of all
	@for each in latency workloads imports evaluator look_ahead scale local first_metrics; do \
		echo "== benchmarks/$$each.py"; PYTHONPATH=image:tests hack/with.sh .venv/bin/python benchmarks/$$each.py || exit; done
seccomp: up ## hold the calls that the image's libraries make against the seccomp profile; needs strace
	@PYTHONPATH=operator:image:tests hack/with.sh .venv/bin/python hack/seccomp-check.py

##@ Files that are made
.PHONY: docs generate lock sbom venv help
sbom: up ## write what the images are made of, as CycloneDX, to sbom-sandbox.json and sbom-operator.json
	@for each in sandbox operator; do \
		hack/with.sh .venv/bin/python hack/sbom.py $$each >sbom-$$each.json && echo sbom-$$each.json || exit; done
docs: venv ## write the site of docs/ to site/
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs --quiet build --strict && echo site/index.html
generate: venv ## write the CRD, the chart and what else is made from models and manifests
	@.venv/bin/strategyrun generate
	@.venv/bin/python hack/chart.py
lock: ## choose the newest allowed versions of all dependencies
	@hack/lock.sh
venv: ## make .venv, as requirements-dev.lock says
	@hack/venv.sh
help: ## show this
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
