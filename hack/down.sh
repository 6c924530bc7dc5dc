#!/usr/bin/env bash
# Removes what `up` made: the cluster, its network and walls, the images built here, and the
# engine's process if it was started here. What takes long to fetch or compile stays: see the end.
source "$(dirname "$0")/common.sh"
lock cluster
hack/cluster.sh down
hack/walls.sh down
if docker info >/dev/null 2>&1; then
	say "removing the images that were built here"
	{
		docker images --format '{{.Repository}}:{{.Tag}}' --filter 'reference=finlab-sandbox*' --filter 'reference=finlab-sandbox*/*'
		docker images --quiet --filter label=finlab-sandbox.dev/stage
	} | xargs -r docker rmi --force >/dev/null
fi
hack/engine.sh down
say "kept: downloads in $CACHE and .venv (\`make clean\` removes them), and the caches of Go and pip"
