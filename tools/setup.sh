#!/bin/bash
# Installs what a checkout needs: Debian packages and npm packages (Node 24 is one of them).
# Usage: tools/setup.sh demo-tiny|demo-full|tests|tests-long. Quick when nothing is missing; safe to run again.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# What the program and its demonstration call.
packages=(qemu-system-x86 qemu-utils e2fsprogs lz4 restic)
case ${1:-tests} in
  demo-tiny) ;;
  demo-full) packages+=(mmdebstrap) ;; # builds the guest's root file system
  # The peers that tests compare with, and what makes their disks.
  tests | tests-long) packages+=(
    attr btrfs-progs cpio cryptsetup-bin dosfstools fdisk git golang-github-vmware-govmomi-dev golang-go jq
    libevtx-utils libnbd-bin libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu lvm2
    mmdebstrap nbdkit ntfs-3g openssl ovmf python3-libvhdi
    redis-tools sqlite3 swtpm swtpm-tools xfsprogs
    mariadb-client-core mariadb-server-core postgresql) ;;
  *) echo 'error: write tools/setup.sh demo-tiny, demo-full, tests or tests-long' >&2; exit 2 ;;
esac
if [ "${1:-}" = tests-long ]; then # a Windows to run VSS in; 1 GB
  packages+=(g++-mingw-w64-x86-64-win32 wine wine64)
fi

fail() { # what, what to do
  echo "error: $1" >&2
  echo "   do: $2" >&2
  exit 1
}

# Runs a noisy command into a log that is shown only if it fails.
quietly() {
  local log
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then rm -f "$log"; return 0; fi
  tail -n 15 "$log" >&2
  rm -f "$log"
  return 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  command -v sudo >/dev/null || return 127
  sudo "$@"
}

missing_packages() {
  local installed name
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null |
    sed -n 's/^ii *//p') || true
  for name in "${packages[@]}"; do
    grep -qxF "$name" <<<"$installed" || echo "$name"
  done
}

# The guests are made of packages that are downloaded, not installed, so apt must know them.
guest_can_be_built() {
  compgen -G '.cache/guests/tiny-*/initrd.img' >/dev/null ||
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

install_debian_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  if [ ${#missing[@]} = 0 ] && guest_can_be_built; then return; fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    fail "Debian packages are missing (${missing[*]:-lists}), and this is not root nor is there sudo" \
      "run as root: apt-get update; apt-get install --no-install-recommends ${missing[*]}"
  fi
  echo 'Reading the package lists …'
  # One broken list of a third party must not stop us: what matters is the installation below.
  quietly as_root apt-get -q update || echo 'Some package lists could not be read; going on.'
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "Installing Debian packages: ${missing[*]} …"
  # Offline: a server that comes along for the tests is not started here.
  quietly as_root env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 \
    apt-get -q -y install --no-install-recommends "${missing[@]}" ||
    fail 'the Debian packages could not be installed' \
      'read the lines above; if a name is unknown, this may not be Debian 12'
}

install_npm_packages() {
  local wanted stamp=node_modules/.stillpoint-setup
  wanted=$(sha256sum package-lock.json)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return; fi
  command -v npm >/dev/null ||
    fail 'npm is missing' 'install Node and npm of any recent version, such as: apt-get install npm'
  echo 'Installing npm packages, Node 24 among them …'
  quietly npm ci --ignore-scripts --no-audit --no-fund ||
    fail 'the npm packages could not be installed' 'read the lines above; is the registry reachable?'
  printf '%s\n' "$wanted" >"$stamp"
}

command -v dpkg-query >/dev/null ||
  fail 'this is no Debian' 'use Debian 12, or install by hand what README.md lists'
install_debian_packages
install_npm_packages
if [[ ${1:-tests} = tests* ]]; then
  tools/vcsim/build.sh || fail 'the vCenter simulator of the tests could not be built' \
    'read the lines above; tools/vcsim/build.sh builds it alone'
fi
tools/node --version >/dev/null || fail 'Node 24 does not start' 'remove node_modules and run again'
