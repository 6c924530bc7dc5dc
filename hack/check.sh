#!/usr/bin/env bash
# What can be said of the code without running it.
source "$(dirname "$0")/common.sh"
export PATH=$PWD/.venv/bin:$PATH PYTHONPATH=image

say "formatting and lint"
ruff format --check --quiet
ruff check --quiet
shellcheck --external-sources --source-path=hack:hack/kind-node hack/*.sh hack/kind-node/*.sh .ci/run
shellcheck hack/engine/runc-bounded hack/kind-node/root/usr/local/bin/boot
say "types"
mypy
say "layers"
lint-imports --no-logo
[ ! -e operator/__init__.py ] || die "operator/ is a source root; as a package it would hide the standard library's operator"

say "generated files"
content() { git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null; }
before=$(content)
strategyrun generate >"$CACHE/generate.log"
python hack/chart.py
diff <(echo "$before") <(content) || die "generated files were not current; they are now: please commit them"
