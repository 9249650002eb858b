# Sourced: how wine is started. No Mono and no Gecko are asked for; vssapi.dll is the test's own.
export WINEPREFIX="$PWD/.cache/windows/prefix" WINEARCH=win64 WINEDEBUG=-all
export WINEDLLOVERRIDES='mscoree,mshtml=;vssapi=n'
