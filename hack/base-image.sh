#!/usr/bin/env bash
# Prints the base of our images, for `--build-arg BASE_IMAGE=`: the official Python image where it
# is or can be had, else Debian's Python 3.13 put together from Debian packages.
source "$(dirname "$0")/common.sh"
official=python:3.13-slim
own=finlab-sandbox/base:$(digest_of hack/base-image.sh)

for image in "$official" "$own"; do
	has_image "$image" && exec echo "$image"
done
pull "$official" && exec echo "$official"

say "building the base image from Debian packages (about half a minute)"
has mmdebstrap || apt_install mmdebstrap
work=$(mktemp -d "$CACHE/base.XXXXXX")
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	trixie "$work/base.tar" 2>"$CACHE/mmdebstrap.log" || die "mmdebstrap failed, see $CACHE/mmdebstrap.log"
docker import --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' "$work/base.tar" "$own" >/dev/null
echo "$own"
