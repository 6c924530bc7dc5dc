#!/usr/bin/env bash
# Builds one of our images out of what it is made of, unless the same was built before:
#   image.sh NAME ROOT PATH...
# The PATHs, seen from ROOT, are all that the build sees; the first is the folder with the
# Dockerfile. Beside each requirements.lock in it are its wheels/.
source "$(dirname "$0")/common.sh"
name=$1 root=$2 folder=$3
label=finlab-sandbox.dev/inputs
base=$(hack/base-image.sh)
inputs=$(cd "$root" && { docker image inspect --format '{{.Id}}' "$base"; digest_of "${@:3}"; } | digest)
[ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$name" 2>/dev/null)" = "$inputs" ] && exit

find "$root/$folder" -name requirements.lock | while read -r lock; do
	hack/wheels.sh "$lock" "$(dirname "$lock")/wheels"
done
say "building $name on $base (about a minute the first time)"
tar -c -C "$root" --exclude __pycache__ "${@:3}" |
	docker build --network none --build-arg "BASE_IMAGE=$base" --label "$label=$inputs" \
		--file "$folder/Dockerfile" --tag "$name" - >"$CACHE/build.log" 2>&1 ||
	{
		tail -n30 "$CACHE/build.log" >&2
		die "the build of $name failed, see $CACHE/build.log"
	}
docker image prune --force --filter "label=$label" >/dev/null # what had the name before
