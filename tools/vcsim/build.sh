#!/bin/bash
# Builds the vCenter simulator of the tests from Debian's Go packages, once for each source:
# tools/vcsim/build.sh → .cache/vcsim/vcsim. It takes about a minute; tests skip without it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
cache=../../.cache/vcsim
mkdir -p "$cache"
cache=$(readlink -f "$cache")
wanted="$(sha256sum main.go) $(dpkg-query -W golang-github-vmware-govmomi-dev golang-go)"
exec 9>"$cache/lock" # two set-ups at once build it once
flock 9
if [ -x "$cache/vcsim" ] && [ "$(cat "$cache/stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
echo 'Building the vCenter simulator …'
GOPATH=/usr/share/gocode GO111MODULE=off GOFLAGS= GOPROXY=off CGO_ENABLED=0 GOCACHE="$cache/go" \
  go build -trimpath -ldflags '-s -w' -o "$cache/vcsim.new" ./main.go
rm -rf "$cache/go" # 200 MB that nothing needs again
mv "$cache/vcsim.new" "$cache/vcsim"
printf '%s\n' "$wanted" >"$cache/stamp"
