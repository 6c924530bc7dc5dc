#!/usr/bin/env bash
# Runs a command with the project's tools in PATH and its cluster's kubeconfig: with.sh COMMAND...
source "$(dirname "$0")/common.sh"
exec "$@"
