#!/usr/bin/env bash
# Prints the image of the cluster's node: kind's own where it is or can be had, else one that is
# built from source, named by what it is built of.
source "$(dirname "$0")/common.sh"
stock=$(awk '$1 == "image:" {print $2}' config/kind/cluster.yaml)
own=finlab-sandbox/kind-node:$(digest_of hack/kind-node)

for image in "$stock" "$own"; do
	has_image "$image" && exec echo "$image"
done
pull "$stock" && exec echo "$stock"

say "building the node image from source (about 10 minutes on two cores the first time, 2 after that)"
hack/kind-node/build.sh "$own"
echo "$own"
