#!/usr/bin/env bash
# Removes what was downloaded and kept between runs: the cache and .venv.
source "$(dirname "$0")/common.sh"
say "removing $CACHE and .venv"
rm -rf "$CACHE" .venv
