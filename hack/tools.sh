#!/usr/bin/env bash
# kind, kubectl and helm: those in PATH if recent enough, else our own in the cache: tools.sh NODE_IMAGE
source "$(dirname "$0")/common.sh"
node_image=$1
kind=0.33.0
kubectl=1.34.0
helm=4.3.1

at_least() { # VERSION MINIMUM
	[ "$(printf '%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]
}

have=$(kind version 2>/dev/null | sed 's/^kind v\([0-9.]*\).*/\1/' || true)
if ! at_least "${have:-0}" "$kind"; then
	has go || die "please install kind $kind or later (or Go, to have it built here)"
	say "building kind $kind"
	CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=$CACHE/bin go install -ldflags '-s -w' "sigs.k8s.io/kind@v$kind"
fi

have=$(kubectl version --client 2>/dev/null | sed -n 's/^Client Version: v\([0-9.]*\).*/\1/p' || true)
if ! at_least "${have:-0}" "$kubectl"; then
	[ "$(uname)" = Linux ] || die "please install kubectl $kubectl or later"
	say "taking kubectl from the node image"
	container=$(docker create "$node_image")
	trap 'docker rm "$container" >/dev/null' EXIT
	docker cp "$container:/usr/bin/kubectl" "$CACHE/bin/kubectl"
fi

have=$(helm version --template '{{.Version}}' 2>/dev/null | sed 's/^v\([0-9.]*\).*/\1/' || true)
if ! at_least "${have:-0}" "${helm%.*}"; then # built from source it knows its minor version alone
	has go || die "please install helm $helm or later (or Go, to have it built here)"
	say "building helm $helm (about a minute)"
	CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=$CACHE/bin go install -ldflags '-s -w' "helm.sh/helm/v4/cmd/helm@v$helm"
fi
