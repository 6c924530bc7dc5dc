# shellcheck shell=bash
# What every script here shares; source it first. It changes to the top of the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CLUSTER=finlab-sandbox # also the docker network's name; the context is kind-$CLUSTER
export NODE=$CLUSTER-control-plane
export CACHE=${FINLAB_SANDBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/finlab-sandbox}
export KUBECONFIG=$CACHE/kubeconfig
export PATH=$CACHE/bin:$PATH
mkdir -p "$CACHE/bin"
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 # the builder inside the engine

# Seconds count from the start of the first script, however many it calls.
export STARTED=${STARTED:-$(date +%s)}

say() { printf '[%4d s] %s\n' $(($(date +%s) - STARTED)) "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}

# Repeats a command until it succeeds; fails where it has not after so many seconds: within SECONDS COMMAND...
within() {
	local deadline=$((SECONDS + $1))
	until "${@:2}"; do
		((SECONDS < deadline)) || return 1
		sleep 0.5
	done
}

has() { command -v "$1" >/dev/null; }
is_root() { [ "$(id -u)" = 0 ]; }

# Waits until no other script changes what is named: lock NAME. The lock ends with this process and all that it started.
lock() {
	has flock || return 0 # macOS
	exec 9>"$CACHE/$1.lock"
	flock --nonblock 9 && return
	say "waiting for another make: $1"
	flock 9
}

# The first 12 hex digits of the SHA-256 of standard input.
digest() { sha256sum | cut -c1-12; }

# The digest of files and folders, by name and content, but not of what is derived from them.
digest_of() {
	find "$@" -type f ! -path '*/__pycache__/*' ! -path '*/wheels/*' -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum | digest
}

# Installs Debian packages, which only root may do and which is never done silently.
apt_install() {
	if ! is_root || ! has apt-get; then
		die "please install: $* (only root on a Debian system can have them installed from here)"
	fi
	say "installing Debian packages: $*"
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; } \
		>"$CACHE/apt.log" 2>&1 || die "apt-get failed, see $CACHE/apt.log"
}

# The image that the default profile names: spec.image; the fallback's comes after.
sandbox_image() { awk '$1 == "image:" {print $2; exit}' config/sandbox.yaml; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# True if the API server of a kubeconfig answers at the address that this machine knows it by: the way from here leads
# through the engine.
serves_outside() { kubectl --kubeconfig "$1" --request-timeout 5s get --raw /readyz >/dev/null 2>&1; }

# Waits for that after `kind create`, which asks inside the node only.
await_outside() { # KUBECONFIG
	within 60 serves_outside "$1" || die "the API server of $1 does not answer from here"
}

# Deletes a cluster, if there is one, and its kubeconfig. kind locks that by a file beside it, which stays where kind is
# killed; so a lock of our own must be held round this and `kind create`.
delete_cluster() { # NAME KUBECONFIG
	rm -f "$2.lock"
	kind delete cluster --quiet --name "$1" --kubeconfig "$2"
	rm -f "$2"
}

# Creates a cluster in place of what is left of one; once more where a stall of the machine outlasted one of the limits
# that kind and kubeadm have.
create_cluster() { # NAME KUBECONFIG CONFIG IMAGE
	local made=(kind create cluster --quiet --name "$1" --kubeconfig "$2" --config "$3" --image "$4" --wait 180s)
	delete_cluster "$1" "$2"
	"${made[@]}" || {
		say "creating the cluster once more"
		delete_cluster "$1" "$2"
		"${made[@]}"
	}
}

# True if docker could pull the image.
pull() {
	say "pulling $1"
	docker pull --quiet "$1" >"$CACHE/pull.log" 2>&1 && return
	say "cannot pull it: $(tail -n1 "$CACHE/pull.log")"
	return 1
}
