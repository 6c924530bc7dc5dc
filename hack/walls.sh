#!/usr/bin/env bash
# Walls round a cluster whose node is built from source: what runs there reaches no other machine.
# `walls.sh up` before the cluster, `walls.sh down` after it. Both may be repeated at will.
source "$(dirname "$0")/common.sh"
bridge=br-finlab
rule=(DOCKER-USER -i "$bridge" ! -o "$bridge" -j DROP)
ranges=(10.244.0.0/16 10.96.0.0/16) # pods and services, as in config/kind/from-source.yaml

up() {
	docker network inspect "$CLUSTER" >/dev/null 2>&1 ||
		docker network create --driver bridge --opt "com.docker.network.bridge.name=$bridge" \
			--opt com.docker.network.bridge.enable_ip_masquerade=false "$CLUSTER" >/dev/null
	iptables --check "${rule[@]}" 2>/dev/null || iptables --insert "${rule[@]}"
	# Pods and services exist inside the node only. A packet for one that got out leads nowhere.
	for range in "${ranges[@]}"; do ip route replace blackhole "$range"; done
}

down() {
	if ! is_root || ! has iptables; then return; fi
	iptables --delete "${rule[@]}" 2>/dev/null || true
	for range in "${ranges[@]}"; do ip route delete blackhole "$range" 2>/dev/null || true; done
}

"$1"
