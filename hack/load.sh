#!/usr/bin/env bash
# Brings images of the local docker onto the cluster's nodes, those excepted that are there: load.sh IMAGE...
source "$(dirname "$0")/common.sh"
label=finlab-sandbox.dev/docker-id # which local image it was made of; an import drops the label

for image; do
	id=$(docker image inspect --format '{{.Id}}' "$image")
	case $image in
	*/*) name=$image ;;
	*) name=docker.io/library/$image ;;
	esac
	for node in $(kind get nodes --name "$CLUSTER"); do
		ctr=(docker exec -i "$node" ctr --namespace=k8s.io images)
		"${ctr[@]}" list "name==$name" | grep -qF "$label=$id" && continue
		say "loading $image onto $node"
		docker save "$image" | "${ctr[@]}" import --digests - >/dev/null
		"${ctr[@]}" label "$name" "$label=$id" >/dev/null
	done
done
