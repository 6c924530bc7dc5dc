#!/usr/bin/env bash
# From whatever state this machine is in, to the operator serving in the cluster.
source "$(dirname "$0")/common.sh"
lock cluster
hack/engine.sh up
hack/venv.sh
NODE_IMAGE=$(hack/node-image.sh)
export NODE_IMAGE
hack/tools.sh "$NODE_IMAGE"
hack/cluster.sh up

sandbox=$(sandbox_image)
operator=finlab-sandbox-operator:dev
hack/image.sh "$sandbox" image .
hack/image.sh "$operator" . operator image/finlab_sandbox image/trim.sh
hack/load.sh "$sandbox" "$operator"
hack/deploy.sh
say "the cluster is up: export KUBECONFIG=$KUBECONFIG"
