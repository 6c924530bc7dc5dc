#!/usr/bin/env bash
# Brings images of the local docker onto the cluster's nodes, except where they are: load.sh IMAGE...
source "$(dirname "$0")/common.sh"
label=finlab-sandbox.dev/docker-id # which local image it was made of; an import drops the label
log=$CACHE/load.log

# An image's full name, which containerd wants: docker leaves out its default registry.
full_name() {
	case $1 in
	*.*/*) echo "$1" ;;
	*/*) echo "docker.io/$1" ;;
	*) echo "docker.io/library/$1" ;;
	esac
}

images_on() { # NODE ARGUMENT...
	docker exec --interactive "$1" ctr --namespace=k8s.io images "${@:2}" 2>>"$log"
}

for image; do
	id=$(docker image inspect --format '{{.Id}}' "$image")
	name=$(full_name "$image")
	for node in $(kind get nodes --name "$CLUSTER"); do
		images_on "$node" list "name==$name" | grep -F "$label=$id" >>"$log" && continue
		say "loading $image onto $node"
		docker save "$image" | images_on "$node" import --local - >>"$log" || die "loading failed, see $log"
		images_on "$node" label "$name" "$label=$id" >>"$log"
	done
done
