// Plays the VSS service, the writers and the provider for the test's vssapi.dll. It is a process of
// its own, as the real service is: when a requestor dies, this one ends its session.
// Usage: service.exe SCRIPT JOURNAL
#include "session.h"

const Script script = [] {
  Script it;
  int count;
  LPWSTR* words = CommandLineToArgvW(GetCommandLineW(), &count);
  if (count != 3 || !readScript(narrow(words[1]), it)) ExitProcess(2);
  return it;
}();

static HANDLE journal;
static Lock journalLock, setLock;
static int setOwner = 0;

void note(int session, const Fields& fields) {
  std::string line = std::to_string(session);
  for (const std::string& field : fields) line += "\t" + field;
  line += "\n";
  Hold one(journalLock);
  DWORD wrote;
  WriteFile(journal, line.data(), static_cast<DWORD>(line.size()), &wrote, nullptr);
}

HRESULT scripted(const std::map<std::string, Ending>& endings, const std::string& method,
    HRESULT otherwise) {
  static std::map<const Ending*, int> used;
  auto found = endings.find(method);
  if (found == endings.end()) return otherwise;
  const Ending& it = found->second;
  Hold one(setLock);
  return it.times != 0 && used[&it]++ >= it.times ? otherwise : it.code;
}

bool takeTheSet(int session) {
  Hold one(setLock);
  if (setOwner != 0 && setOwner != session) return false;
  setOwner = session;
  return true;
}

void leaveTheSet(int session) {
  Hold one(setLock);
  if (setOwner == session) setOwner = 0;
}

struct Client { HANDLE pipe; int id; };

static DWORD WINAPI serve(void* given) {
  Client client = *static_cast<Client*>(given);
  delete static_cast<Client*>(given);
  Session session(client.id, client.pipe);
  bool isReleased = false;
  for (Fields question; receive(client.pipe, question);) {
    Fields answer = session.answer(question);
    isReleased = question[0] == "Release";
    // A release ends the session before it is answered, so that its client sees the end.
    if (isReleased) session.end(true);
    if (!send(client.pipe, answer) || isReleased) break;
  }
  if (!isReleased) session.end(false);
  FlushFileBuffers(client.pipe);
  DisconnectNamedPipe(client.pipe);
  CloseHandle(client.pipe);
  return 0;
}

int wmain(int, wchar_t** words) {
  journal = CreateFileW(words[2], FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr,
    OPEN_ALWAYS, 0, nullptr);
  if (journal == INVALID_HANDLE_VALUE) return 3;
  for (int id = 1;; id++) {
    // One that another test left behind would play another script.
    DWORD first = id == 1 ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0;
    HANDLE pipe = CreateNamedPipeW(PIPE_NAME, PIPE_ACCESS_DUPLEX | first, PIPE_TYPE_BYTE | PIPE_WAIT,
      PIPE_UNLIMITED_INSTANCES, 1 << 16, 1 << 16, 0, nullptr);
    if (pipe == INVALID_HANDLE_VALUE) return 4;
    if (id == 1) note(0, {"ready"});
    if (!ConnectNamedPipe(pipe, nullptr) && GetLastError() != ERROR_PIPE_CONNECTED) return 5;
    CloseHandle(CreateThread(nullptr, 0, serve, new Client{pipe, id}, 0, nullptr));
  }
}
