#!/usr/bin/env bash
# Runs the samples and shows what became of them. The cluster must be up.
source "$(dirname "$0")/common.sh"
kubectl delete --filename manifests/samples --ignore-not-found >"$CACHE/demo.log" # those of an earlier demo
say "holding the namespace of the samples to Pod Security restricted, as docs/operations.md does"
kubectl label --overwrite namespace default \
	pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/enforce-version=v1.32 \
	pod-security.kubernetes.io/audit=restricted pod-security.kubernetes.io/audit-version=v1.32 \
	pod-security.kubernetes.io/warn=restricted pod-security.kubernetes.io/warn-version=v1.32 >>"$CACHE/demo.log"
say "applying manifests/samples"
kubectl apply --filename manifests/samples >>"$CACHE/demo.log"
say "waiting for every run to finish"
kubectl get --filename manifests/samples --output name | grep ^strategyrun |
	xargs kubectl wait --for=condition=Finished --timeout=600s
say "done; your own kubectl sees them too: export KUBECONFIG=$KUBECONFIG"
kubectl get strategyruns.finlab-sandbox.dev
