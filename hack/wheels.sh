#!/usr/bin/env bash
# Fetches the wheels of a lock file for an image, so that its build needs no network: wheels.sh LOCK FOLDER
# They come from the cache; the folder is made to hold these and no others.
source "$(dirname "$0")/common.sh"
lock=$1 folder=$2

machine=$(docker version --format '{{.Server.Arch}}')
case $machine in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
esac
store=$CACHE/wheels/$(cat hack/wheels.sh "$lock" | digest)-$machine

if [ ! -d "$store" ]; then
	say "downloading the wheels of $lock"
	mkdir -p "$CACHE/wheels"
	partial=$(mktemp -d "$CACHE/wheels/.partial.XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	platforms=(--platform "manylinux2014_$machine")
	for glibc in 17 24 26 27 28 31 34 35 36; do platforms+=(--platform "manylinux_2_${glibc}_$machine"); done
	.venv/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
		--implementation cp --python-version 3.13 "${platforms[@]}" --dest "$partial" --requirement "$lock"
	mv "$partial" "$store"
fi
mkdir -p "$folder"
rm -f "$folder"/*.whl
# Hard links where the file system allows them.
cp -l "$store"/*.whl "$folder" 2>/dev/null || cp "$store"/*.whl "$folder"
