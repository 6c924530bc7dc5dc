#!/usr/bin/env bash
# Writes the lock files, each with the hashes of every file that may be installed. Their index is
# whatever pip and uv are told to use; none is named in them.
source "$(dirname "$0")/common.sh"
uv=$CACHE/uv/bin/uv
if [ ! -x "$uv" ]; then
	python3 -m venv "$CACHE/uv"
	"$CACHE/uv/bin/pip" install --quiet --disable-pip-version-check uv
fi

compile() { # LOCK OPTION...
	say "locking $1"
	"$uv" pip compile --quiet --upgrade --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --output-file "$@"
}

# Any system with Python 3.11 or later; the build backend too, as there is no build isolation.
compile requirements-dev.lock --universal --python-version 3.11 pyproject.toml --extra dev - <<<$'hatchling\neditables'
compile requirements-local.lock --universal --python-version 3.11 pyproject.toml --extra report - <<<$'hatchling\neditables'
compile tests/data/requirements.lock --universal --python-version 3.11 --no-deps tests/data/requirements.in
# Our images: Linux with Python 3.13.
image=(--python-platform linux --python-version 3.13)
compile operator/requirements.lock "${image[@]}" pyproject.toml
compile image/requirements.lock "${image[@]}" image/requirements.in
compile operator/fallback/requirements.lock "${image[@]}" operator/fallback/requirements.in # bound to the line above
