#!/usr/bin/env bash
# Tries the life of an installation, by Helm and by kustomize, in a second cluster, made for that and deleted afterwards.
# The first one, and with it the images and walls, must be up: names such as those of the CRDs and the policies are the
# whole cluster's.
source "$(dirname "$0")/common.sh"
lock installation
second=$CLUSTER-second
export KUBECONFIG_FINLAB=$CACHE/$second.kubeconfig KIND_EXPERIMENTAL_DOCKER_NETWORK=$CLUSTER
NODE_IMAGE=$(hack/node-image.sh)
config=config/kind/cluster.yaml
case $NODE_IMAGE in finlab-sandbox/kind-node:*) config=config/kind/from-source.yaml ;; esac

remove() {
	say "deleting the cluster $second"
	delete_cluster "$second" "$KUBECONFIG_FINLAB"
}
trap remove EXIT

say "creating the cluster $second (about 20 s)"
create_cluster "$second" "$KUBECONFIG_FINLAB" "$config" "$NODE_IMAGE"
await_outside "$KUBECONFIG_FINLAB"
docker update --restart no "$second-control-plane" >/dev/null # only with walls round it
kubectl --kubeconfig "$KUBECONFIG_FINLAB" wait --for=create --timeout=60s serviceaccount/default >/dev/null
for image in "$(sandbox_image)" finlab-sandbox-operator:dev; do
	say "loading $image"
	kind load docker-image --quiet --name "$second" "$image"
	# as if it had been pulled under the name that the pages give it
	docker exec "$second-control-plane" ctr --namespace k8s.io images tag "docker.io/library/$image" \
		"registry.example.com/${image%:*}:0.1.0" >/dev/null
done
.venv/bin/pytest tests/installation "$@"
