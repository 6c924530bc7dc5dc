#!/usr/bin/env bash
# The cluster: `cluster.sh up` leaves it running whatever state it was in, `cluster.sh down`
# deletes it. It asks for the engine, the tools, NODE_IMAGE and the lock (see hack/up.sh).
source "$(dirname "$0")/common.sh"
export KIND_EXPERIMENTAL_DOCKER_NETWORK=$CLUSTER

up() {
	local config=config/kind/cluster.yaml
	case $NODE_IMAGE in
	finlab-sandbox/kind-node:*)
		config=config/kind/from-source.yaml
		hack/walls.sh up
		;;
	esac
	local wanted
	wanted="$NODE_IMAGE $(digest_of "$config")"
	if ! as_made "$wanted" || ! revive; then create "$config" "$wanted"; fi
}

# True if the node was completed, from this image and configuration. A node that stands still
# can be read too.
as_made() {
	[ "$(docker cp "$NODE:/kind/finlab-sandbox" - 2>/dev/null | tar -xO 2>/dev/null)" = "$1" ]
}

# True if the node runs, or runs again, and serves.
revive() {
	if [ "$(docker inspect --format '{{.State.Running}}' "$NODE")" = false ]; then
		say "starting the cluster's node again"
		docker start "$NODE" >/dev/null || return 1
	fi
	within 90 is_ready || return 1
	case $NODE_IMAGE in finlab-sandbox/kind-node:*) renew_kube_proxy ;; esac
	kind get kubeconfig --name "$CLUSTER" | install -m 600 /dev/stdin "$KUBECONFIG.new" ||
		die "kind does not give the cluster's kubeconfig"
	mv "$KUBECONFIG.new" "$KUBECONFIG" # at any moment there is a whole one
	within 90 serves
}

in_node() { docker exec "$NODE" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }

is_ready() { in_node wait --for=condition=Ready node --all --timeout=5s >/dev/null 2>&1; }

serves() { serves_inside && serves_outside "$KUBECONFIG"; }

# True if the API server answers at the address that pods know it by.
serves_inside() {
	local address
	address=$(in_node get service kubernetes --output 'jsonpath={.spec.clusterIP}' 2>/dev/null) || return 1
	in_node --server "https://$address" --request-timeout 5s get --raw /livez >/dev/null 2>&1
}

create() { # CONFIG MARK
	say "creating the cluster (about 20 s)"
	create_cluster "$CLUSTER" "$KUBECONFIG" "$1" "$NODE_IMAGE"
	await_outside "$KUBECONFIG"
	# Before a namespace has its default account, no pod can be created in it.
	kubectl wait --for=create --timeout=60s serviceaccount/default >/dev/null
	[ "$1" = config/kind/cluster.yaml ] || {
		# Without walls it must not run: docker alone never starts it, only `up` does.
		docker update --restart no "$NODE" >/dev/null
		clean_kube_proxy
	}
	docker exec -i "$NODE" sh -c 'cat >/kind/finlab-sandbox' <<<"$2"
}

# Lets kube-proxy begin without the table of the one before it. Where it empties and fills a map of
# verdicts in one transaction, as it does at its start and every hour after that, Linux 6.18 was seen to
# keep the map empty, and every address of a service refused: see `renew_kube_proxy` for the hours.
clean_kube_proxy() {
	local daemonset=(--namespace kube-system daemonset/kube-proxy) image
	image=$(kubectl get "${daemonset[@]}" --output 'jsonpath={.spec.template.spec.containers[0].image}')
	kubectl patch "${daemonset[@]}" --patch "$(
		cat <<-YAML
			spec:
			  template:
			    spec:
			      initContainers:
			        - name: forget
			          image: $image
			          command: [/usr/local/bin/kube-proxy, --cleanup]
			          securityContext: { privileged: true }
		YAML
	)" >/dev/null
	kubectl rollout status "${daemonset[@]}" --timeout=180s >/dev/null
}

# Lets kube-proxy begin anew, so that its next hour ends long after the tests that follow.
renew_kube_proxy() {
	say "starting kube-proxy again"
	in_node --namespace kube-system rollout restart daemonset/kube-proxy >/dev/null &&
		in_node --namespace kube-system rollout status daemonset/kube-proxy --timeout=60s >/dev/null
}

down() {
	if ! has kind || ! docker info >/dev/null 2>&1; then return; fi
	say "deleting the cluster"
	delete_cluster "$CLUSTER" "$KUBECONFIG"
	docker network rm "$CLUSTER" >/dev/null 2>&1 || true
}

"$1"
