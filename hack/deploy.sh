#!/usr/bin/env bash
# Brings the operator, its custom resources and the installer into the cluster, and waits until the operator serves and
# the nodes hold the seccomp file.
source "$(dirname "$0")/common.sh"
deployment=(--namespace finlab-sandbox-system deployment/finlab-sandbox-operator)
installer=(--namespace finlab-sandbox-installer daemonset/finlab-sandbox-installer)

say "deploying the operator"
# The definitions first: the default profile can be applied only where its kind is served, and that is a moment after
# a definition says that it is established.
kubectl apply --server-side --force-conflicts -k crds >"$CACHE/deploy.log"
kinds=strategyruns.finlab-sandbox.dev,sandboxprofiles.finlab-sandbox.dev
within 120 kubectl --request-timeout 5s get "$kinds" >>"$CACHE/deploy.log" 2>&1 ||
	die "the API server does not serve our kinds: see $CACHE/deploy.log"
kubectl apply --server-side --force-conflicts -k manifests/base >>"$CACHE/deploy.log"

# A tag does not say that its image is another one, nor does a pod's status that its node was
# started again since. Both are written on the pods, so that a change of either rolls them over.
made_of=$(docker image inspect --format '{{.Id}}' finlab-sandbox-operator:dev)
runs_since=$(docker inspect --format '{{.State.StartedAt}}' "$NODE")
for workload in deployment installer; do
	declare -n which=$workload
	kubectl patch "${which[@]}" --patch "$(
		cat <<-YAML
			spec:
			  template:
			    metadata:
			      annotations:
			        finlab-sandbox.dev/image-id: "$made_of"
			        finlab-sandbox.dev/node-started: "$runs_since"
		YAML
	)" >>"$CACHE/deploy.log"
done
kubectl rollout status "${installer[@]}" --timeout=180s >>"$CACHE/deploy.log" || {
	kubectl logs "${installer[@]}" --tail=20 >&2 || true
	die "the installer does not become ready: kubectl describe ${installer[*]}"
}
kubectl rollout status "${deployment[@]}" --timeout=180s >>"$CACHE/deploy.log" || {
	kubectl logs "${deployment[@]}" --tail=20 >&2 || true
	die "the operator does not become ready: kubectl describe ${deployment[*]}"
}

label=seccomp.finlab-sandbox.dev/$(digest <config/seccomp_profile.json)
kubectl wait --for="jsonpath={.metadata.labels.${label//./\\.}}=ready" node --all --timeout=180s >>"$CACHE/deploy.log" ||
	die "a node does not hold the seccomp file: kubectl logs ${installer[*]}"
kubectl wait --for=condition=Ready --timeout=300s sandboxprofiles.finlab-sandbox.dev/default >>"$CACHE/deploy.log" ||
	die "the sandbox could not be measured: kubectl describe sandboxprofile default"
