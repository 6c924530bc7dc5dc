#!/usr/bin/env bash
# Compiles every program of the node image into a folder: programs.sh FOLDER
source "$(dirname "$0")/../common.sh"
has go || die "building the node image takes Go 1.26 or later: please install it"
out=$1
export CGO_ENABLED=0 GOFLAGS=-trimpath

# go build, with a sign of life for each 250 packages that it compiles.
compile() { # MODULE OPTION...
	local packages=0
	go build -C "hack/kind-node/$1" -v -o "$out/" "${@:2}" 2>&1 | while read -r line; do
		case $line in
		*[!a-zA-Z0-9/._~-]*) echo "$line" >&2 ;; # not a package but an error
		*) ((++packages % 250)) || say "compiled $packages packages" ;;
		esac
	done
}

release=$(go list -C hack/kind-node/kubernetes -m -f '{{.Version}}' k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${release#v}"
build=k8s.io/component-base/version # kubeadm and the API server must know their version
say "compiling Kubernetes $release (about 7 minutes on two cores the first time)"
compile kubernetes \
	-ldflags "-s -w -X $build.gitVersion=$release -X $build.gitMajor=$major -X $build.gitMinor=$minor" tool
say "compiling containerd, etcd, the CNI plugins and pause (about 2 minutes the first time)"
compile runtime -ldflags '-s -w' -tags no_btrfs,no_devmapper,no_zfs tool ./pause
mv "$out/server" "$out/etcd"
