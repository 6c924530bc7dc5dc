#!/usr/bin/env bash
# The Docker engine: `engine.sh up` uses the one that answers, or else installs and starts one;
# `engine.sh down` stops the one that was started here and no other.
source "$(dirname "$0")/common.sh"
pidfile=$CACHE/dockerd.pid

# The process in a pidfile, if it still runs the program that wrote it.
living() { # PIDFILE PROGRAM
	local pid
	pid=$(cat "$1" 2>/dev/null) && [[ $(readlink "/proc/$pid/exe") = */"$2" ]] && echo "$pid"
}

may_hold_sys_resource() { # bit 24 of the bounding set
	(($(sed -n 's/^CapBnd:\t/0x/p' /proc/self/status) >> 24 & 1))
}

start() {
	if ! has dockerd || ! has iptables; then apt_install docker.io iptables; fi
	has docker || apt_install docker-cli # since Debian 13 a package of its own
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
	# It must not die with this terminal, nor hold the lock.
	setsid nohup dockerd "${options[@]}" </dev/null >"$CACHE/dockerd.log" 2>&1 9>&- &
	started=$!
}

# True unless the dockerd has ended, and was not a second one, which ends where another is in the pidfile.
may_answer() { kill -0 "${started:-$$}" 2>/dev/null || living "$pidfile" dockerd >/dev/null; }

up() {
	docker info >/dev/null 2>&1 && return
	[ -z "${DOCKER_HOST:-}" ] || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
	if ! is_root || [ "$(uname)" != Linux ]; then
		die "Docker does not answer: please install and start it, then run this again"
	fi
	local started
	if started=$(living "$pidfile" dockerd); then
		say "waiting for the dockerd that was started before"
	else
		start
	fi
	local deadline=$((SECONDS + 180))
	until docker info >/dev/null 2>&1; do
		if ((SECONDS > deadline)) || ! may_answer; then
			die "dockerd does not answer; the end of its log: $(tail -n5 "$CACHE/dockerd.log")"
		fi
		sleep 0.2
	done
}

has_ended() { ! living "$pidfile" dockerd >/dev/null; }

down() {
	local pid
	pid=$(living "$pidfile" dockerd) || return 0
	say "stopping the dockerd that was started here"
	kill "$pid"
	within 180 has_ended || die "dockerd does not end, process $pid; the end of its log: $(tail -n5 "$CACHE/dockerd.log")"
	rm -f "$pidfile"
}

"$1"
