#!/usr/bin/env bash
# Brings the operator and its custom resource into the cluster, and waits until the operator serves.
source "$(dirname "$0")/common.sh"
deployment=(--namespace finlab-sandbox-system deployment/finlab-sandbox-operator)

say "deploying the operator"
kubectl apply --server-side --force-conflicts -k manifests/base >"$CACHE/deploy.log"
kubectl wait --for=condition=Established --timeout=60s --filename crds/strategyruns.finlab-sandbox.dev.yaml >>"$CACHE/deploy.log"

# A tag does not say that its image is another one, nor does a pod's status that its node was
# started again since. Both are written on the pods, so that a change of either rolls them over.
made_of=$(docker image inspect --format '{{.Id}}' finlab-sandbox-operator:dev)
runs_since=$(docker inspect --format '{{.State.StartedAt}}' "$NODE")
kubectl patch "${deployment[@]}" --patch "$(
	cat <<-YAML
		spec:
		  template:
		    metadata:
		      annotations:
		        finlab-sandbox.dev/image-id: "$made_of"
		        finlab-sandbox.dev/node-started: "$runs_since"
	YAML
)" >>"$CACHE/deploy.log"
kubectl rollout status "${deployment[@]}" --timeout=120s >>"$CACHE/deploy.log" || {
	kubectl logs "${deployment[@]}" --tail=20 >&2 || true
	die "the operator does not become ready: kubectl describe ${deployment[*]}"
}
