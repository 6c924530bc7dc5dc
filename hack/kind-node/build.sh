#!/usr/bin/env bash
# Builds the node image from Go modules and Debian packages: build.sh TAG
# Nothing but Go's own caches outlives the build.
source "$(dirname "$0")/../common.sh"
tag=$1
has mmdebstrap || apt_install mmdebstrap
work=$(mktemp -d "$CACHE/kind-node.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs"
hack/kind-node/programs.sh "$work/programs"

debian() { # ARCHIVE OPTION...
	mmdebstrap --quiet --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "${@:2}" bookworm "$1" 2>"$CACHE/mmdebstrap.log" ||
		die "mmdebstrap failed, see $CACHE/mmdebstrap.log"
}

say "assembling the node from Debian packages (about half a minute)"
# Of what Debian would start at boot, only the journal is of use in a container.
# shellcheck disable=SC2016 # mmdebstrap sets $1
debian "$work/rootfs.tar" --variant=essential --include=systemd,runc,mount,procps \
	--customize-hook='find "$1"/etc/systemd/system "$1"/usr/lib/systemd/system \
		-path "*.wants/*" ! -name "systemd-journald*" -delete'
debian "$work/nft.tar" --variant=extract --include=nftables

# The images that kubeadm asks for, CoreDNS excepted: one program each, with nft beside kube-proxy.
say "packing the control plane's images"
images=()
image() { # NAME PROGRAM [ARCHIVE]
	local archive=$work/$2.tar
	if [ $# = 3 ]; then mv "$3" "$archive"; else tar -cf "$archive" -T /dev/null; fi
	tar -rf "$archive" --owner=0 --group=0 --transform='s,^,usr/local/bin/,' -C "$work/programs" "$2"
	# By the label hack/down.sh knows those of a build that was killed.
	docker import --change "ENTRYPOINT [\"/usr/local/bin/$2\"]" --change 'LABEL finlab-sandbox.dev/stage=node' \
		"$archive" "registry.k8s.io/$1" >/dev/null
	images+=("registry.k8s.io/$1")
}
release=$("$work/programs/kubeadm" version --output short)
image "kube-apiserver:$release" kube-apiserver
image "kube-controller-manager:$release" kube-controller-manager
image "kube-scheduler:$release" kube-scheduler
image "kube-proxy:$release" kube-proxy "$work/nft.tar"
image etcd:3.7.0-0 etcd
image pause:3.10.2 pause
docker save --output "$work/images.tar" "${images[@]}"
docker rmi "${images[@]}" >/dev/null

printf %s "$release" >"$work/version"
tar -c -C hack/kind-node Dockerfile root -C "$work" rootfs.tar images.tar version \
	programs/{kubeadm,kubectl,kubelet,containerd,containerd-shim-runc-v2,ctr,host-local,loopback,ptp} |
	docker build --network none --tag "$tag" - >"$CACHE/build.log" 2>&1 || die "docker build failed, see $CACHE/build.log"
say "built $tag"
