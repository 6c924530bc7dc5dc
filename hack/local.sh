#!/usr/bin/env bash
# Installs `strategyrun run` for this machine: the command in an environment of its own, and beside it, in its
# folder `sandbox`, the libraries of the sandbox's image as image/requirements.lock pins them.
source "$(dirname "$0")/common.sh"
lock local
home=$CACHE/local
stamp=$home/inputs
wanted=$(cat requirements-local.lock image/requirements.lock pyproject.toml hack/local.sh | digest)-$PWD

# The image has Python 3.13; the same libraries are there for the two before it. Before 3.12, `sum` of floats rounds
# otherwise, and with it the last digits of a strategy that uses it. pyenv hides the versions that it has.
find_python() {
	local python
	for python in ${PYTHON:-} python3.13 "$(pyenv prefix 3.13 2>/dev/null)/bin/python3.13" python3.12 python3 python3.11; do
		"$python" -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null &&
			echo "$python" && return
	done
	return 1
}

if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
	python=$(find_python) || { apt_install python3 python3-venv && python=$(find_python); } ||
		die "please install Python 3.11 to 3.13, with venv"
	say "installing the command and the sandbox's libraries with $("$python" --version) (about a minute)"
	rm -rf "$stamp" "$home"
	"$python" -m venv "$home"
	"$python" -m venv --without-pip "$home/sandbox"
	pip=("$home/bin/python" -m pip --disable-pip-version-check)
	{
		"${pip[@]}" --python "$home/sandbox/bin/python" install --quiet --no-compile --require-hashes --no-deps \
			--ignore-requires-python --only-binary :all: --requirement image/requirements.lock || exit
		# In its box Python cannot keep bytecode. What no strategy can use without a network needs none; and some
		# packages carry files for another Python, which is no error.
		"$home/sandbox/bin/python" -m compileall -q -j 0 -x '/(anthropic|google|googleapiclient|grpc|openai|tests)/' \
			"$home/sandbox/lib" || true
	} >"$CACHE/local.log" 2>&1 &
	"${pip[@]}" install --quiet --no-compile --require-hashes --requirement requirements-local.lock
	"${pip[@]}" install --quiet --no-compile --no-deps --no-build-isolation --editable .
	wait $! || die "the sandbox's libraries could not be installed, see $CACHE/local.log"
	echo "$wanted" >"$stamp"
fi
if ! has bwrap; then
	if is_root && has apt-get; then
		apt_install bubblewrap
	elif docker info >/dev/null 2>&1; then
		hack/image.sh "$(sandbox_image)" image .
	else
		die "please install bubblewrap, or docker: a strategy runs in a box of the one or the other"
	fi
fi
ln -sfn "$home/bin/strategyrun" "$CACHE/bin/strategyrun"
say "ready: $CACHE/bin/strategyrun run STRATEGY.py"
