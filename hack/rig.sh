#!/usr/bin/env bash
# Compiles the programs of the fault rig, unless they are there, and prints their folder: a control plane
# without containers. Kubernetes and etcd are those of the node image: its modules, and Go's caches, are shared.
source "$(dirname "$0")/common.sh"
lock rig # each process of a test run asks for it
node=hack/kind-node
folder=$CACHE/rig-$(digest_of hack/rig.sh hack/rig $node/kubernetes $node/runtime)/bin
if [ ! -d "$folder" ]; then
	has go || die "the fault rig is compiled from source, which takes Go 1.26 or later: please install it"
	export CGO_ENABLED=0 GOFLAGS=-trimpath
	partial=$(mktemp -d "$CACHE/rig.XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	mkdir "$partial/bin"
	release=$(go list -C $node/kubernetes -m -f '{{.Version}}' k8s.io/kubernetes)
	IFS=. read -r major minor _ <<<"${release#v}"
	build=k8s.io/component-base/version # without it the API server serves no version of Kubernetes
	say "compiling the fault rig: Kubernetes $release (about 5 minutes on two cores, 1 after the node image)"
	go build -C $node/kubernetes -o "$partial/bin/" \
		-ldflags "-s -w -X $build.gitVersion=$release -X $build.gitMajor=$major -X $build.gitMinor=$minor" \
		k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubectl}
	say "compiling the fault rig: etcd and kwok (about a minute)"
	go build -C $node/runtime -o "$partial/bin/etcd" -ldflags '-s -w' go.etcd.io/etcd/server/v3
	go build -C hack/rig -o "$partial/bin/" -ldflags '-s -w' tool
	rm -rf "$CACHE"/rig-* # those of other versions
	mv "$partial" "${folder%/bin}"
fi
echo "$folder"
