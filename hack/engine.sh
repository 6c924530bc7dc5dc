#!/usr/bin/env bash
# The Docker engine: `engine.sh up` uses the one that answers, or else installs and starts one;
# `engine.sh down` stops the one that was started here and no other.
source "$(dirname "$0")/common.sh"
pidfile=$CACHE/dockerd.pid

# The process in a pidfile, if it still is the program that wrote it.
living() { # PIDFILE PROGRAM
	local pid
	pid=$(cat "$1" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] && echo "$pid"
}

may_hold_sys_resource() { # bit 24 of the bounding set
	(($(sed -n 's/^CapBnd:\t/0x/p' /proc/self/status) >> 24 & 1))
}

start() {
	command -v dockerd >/dev/null && command -v iptables >/dev/null || apt_install docker.io iptables
	if [ -d /run/systemd/system ]; then
		say "starting the docker service"
		systemctl start docker
		return
	fi
	say "starting dockerd, which logs to $CACHE/dockerd.log"
	local options=(--pidfile "$pidfile")
	if ! may_hold_sys_resource; then
		install -m 755 hack/engine/runc-bounded "$CACHE/runc-bounded"
		options+=(--add-runtime "runc-bounded=$CACHE/runc-bounded" --default-runtime runc-bounded)
	fi
	# A dockerd that was killed leaves pidfiles behind, and the numbers may be taken again.
	local containerd=/run/docker/containerd/containerd.pid
	living "$pidfile" dockerd >/dev/null || rm -f "$pidfile"
	living $containerd containerd >/dev/null || rm -f $containerd
	setsid nohup dockerd "${options[@]}" </dev/null >"$CACHE/dockerd.log" 2>&1 &
}

up() {
	docker info >/dev/null 2>&1 && return
	[ -z "${DOCKER_HOST:-}" ] || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
	[ "$(id -u)" = 0 ] && [ "$(uname)" = Linux ] || die "Docker does not answer: please install and start it, then run this again"
	start
	local tries=300
	until docker info >/dev/null 2>&1; do
		((tries--)) || die "dockerd does not answer; the end of its log: $(tail -n5 "$CACHE/dockerd.log")"
		sleep 0.2
	done
}

down() {
	local pid
	pid=$(living "$pidfile" dockerd) || return 0
	say "stopping the dockerd that was started here"
	kill "$pid"
	tail --pid="$pid" -f /dev/null
	rm -f "$pidfile"
}

"$1"
