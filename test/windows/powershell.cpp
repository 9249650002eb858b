// Stands in for PowerShell, which wine has not: answers a script NAME.ps1 with %TEMP%\NAME.json.

#include <cstdio>
#include <fcntl.h>
#include <io.h>
#include <string>
#include <windows.h>

int wmain(int count, wchar_t** words) {
  wchar_t folder[MAX_PATH];
  if (count < 2 || GetEnvironmentVariableW(L"TEMP", folder, MAX_PATH) == 0) return 3;
  std::wstring script = words[count - 1];
  const size_t slash = script.find_last_of(L"\\/");
  if (slash != std::wstring::npos) script = script.substr(slash + 1);
  const std::wstring name = script.substr(0, script.find(L".ps1"));
  FILE* file = _wfopen((std::wstring(folder) + L"\\" + name + L".json").c_str(), L"rb");
  if (!file) return 4;
  _setmode(_fileno(stdout), _O_BINARY);
  char part[4096];
  for (size_t got; (got = fread(part, 1, sizeof part, file)) > 0;) fwrite(part, 1, got, stdout);
  return 0;
}
