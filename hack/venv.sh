#!/usr/bin/env bash
# The project's Python, .venv: what requirements-dev.lock says, and the project itself, editable.
source "$(dirname "$0")/common.sh"
stamp=.venv/finlab-sandbox # that it was finished, and of what
lock venv
wanted=$(cat requirements-dev.lock tests/data/requirements.lock pyproject.toml hack/venv.sh | digest)
[ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit

find_python() {
	local python
	for python in python3 python3.13 python3.12 python3.11; do
		"$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
			echo "$python" && return
	done
	return 1
}

if [ ! -e "$stamp" ] || [ ! -x .venv/bin/python ]; then
	rm -rf .venv # first, or its Python could be found: a shell may work in it
	python=$(find_python) || { apt_install python3 python3-venv && python=$(find_python); } ||
		die "please install Python 3.11 or later, with venv"
	say "making .venv with $("$python" --version)"
	"$python" -m venv .venv
fi
rm -f "$stamp"
say "installing the locked dependencies into .venv (about a minute the first time)"
pip=(.venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check)
"${pip[@]}" --require-hashes --requirement requirements-dev.lock
"${pip[@]}" --require-hashes --no-deps --requirement tests/data/requirements.lock
"${pip[@]}" --no-deps --no-build-isolation --editable .
echo "$wanted" >"$stamp"
