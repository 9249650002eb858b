#!/bin/bash
# Builds the newer peers of `make test-peers` and of bench/ from their own registries, at pinned
# versions, into .cache/peers. A peer whose toolchain is missing is left out, with the reason.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

RESTIC=0.19.1
RUSTIC=0.11.4
TEDIOUS=20.3.9
DISSECT=3.21
POWERSHELL_GRAMMAR=0.26.4
TREE_SITTER=0.26.1
GOVMOMI=0.52.0 # as tools/vcsim/go.mod has it
peers=$PWD/.cache/peers
mkdir -p "$peers"

leave_out() { echo "left out: $1: $2" >&2; }

# name, version, the toolchain's program, its least version as a pattern, and the command
build() {
  local name=$1 version=$2 toolchain=$3
  shift 3
  if [ -e "$peers/$name-$version" ]; then return; fi
  if ! command -v "$toolchain" >/dev/null; then
    leave_out "$name" "$toolchain is not installed"
    return
  fi
  echo "Building $name $version …"
  local log=$peers/$name.log
  if ! "$@" >"$log" 2>&1 </dev/null; then
    leave_out "$name" "its build failed, see $log"
  fi
}

build_restic() {
  GOBIN=$peers/go go install "github.com/restic/restic/cmd/restic@v$RESTIC"
  mv "$peers/go/restic" "$peers/restic-$RESTIC"
}

build_rustic() {
  cargo install --quiet --locked --no-default-features --root "$peers/cargo" \
    --version "$RUSTIC" rustic-rs
  mv "$peers/cargo/bin/rustic" "$peers/rustic-$RUSTIC"
}

build_tedious() {
  npm install --ignore-scripts --no-audit --no-fund --prefix "$peers/npm" "tedious@$TEDIOUS"
  mv "$peers/npm" "$peers/tedious-$TEDIOUS"
}

build_dissect() {
  python3 -m pip install --quiet --target "$peers/python" "dissect.hypervisor==$DISSECT"
  mv "$peers/python" "$peers/dissect-$DISSECT"
}

build_powershell() {
  python3 -m pip install --quiet --target "$peers/grammar" \
    "tree-sitter==$TREE_SITTER" "tree-sitter-powershell==$POWERSHELL_GRAMMAR"
  mv "$peers/grammar" "$peers/powershell-$POWERSHELL_GRAMMAR"
}

build_vcsim() {
  (cd tools/vcsim && GO111MODULE=on GOFLAGS=-mod=readonly CGO_ENABLED=0 \
    go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$peers/vcsim.new" .)
  mv "$peers/vcsim.new" "$peers/vcsim-$GOVMOMI"
}

build restic "$RESTIC" go build_restic
build tedious "$TEDIOUS" npm build_tedious
build rustic "$RUSTIC" cargo build_rustic
build dissect "$DISSECT" python3 build_dissect
build powershell "$POWERSHELL_GRAMMAR" python3 build_powershell
build vcsim "$GOVMOMI" go build_vcsim
# Tests and benchmarks look for these names.
for peer in "restic-$RESTIC" "rustic-$RUSTIC" "tedious-$TEDIOUS" "dissect-$DISSECT" \
  "powershell-$POWERSHELL_GRAMMAR" "vcsim-$GOVMOMI"; do
  if [ -e "$peers/$peer" ]; then ln -sfn "$peer" "$peers/${peer%%-*}"; fi
done
