#include <initguid.h>
#include "session.h"

namespace {

const unsigned long PERSISTENT = 0x1, NO_WRITERS = 0x10, MADE = 0x420000;
const HRESULT INCONSISTENT = 0x800423F0, TIMED_OUT = 0x800423F2, SILENT = 0x80042319;
const HRESULT WRITER_FAILED = 0x80042315, NOT_FOUND = VSS_E_OBJECT_NOT_FOUND;

Fields result(HRESULT code) { return {hex(code)}; }

bool isStep(const std::string& method) {
  static const std::set<std::string> steps = {"GatherWriterMetadata", "PrepareForBackup",
    "GatherWriterStatus", "DoSnapshotSet", "BackupComplete"};
  return steps.count(method) > 0;
}

}  // namespace

Fields Session::answer(const Fields& question) {
  const std::string& method = question[0];
  if (method == "QueryStatus") return {hex(S_OK), hex(result_)};
  Fields line = question;
  line.insert(line.begin(), "call");
  note(id_, line);
  auto slow = script.block.find(method);
  if (slow != script.block.end()) Sleep(slow->second);
  if (script.hang.count(method) && !isStep(method)) {
    while (PeekNamedPipe(client_, nullptr, 0, nullptr, nullptr, nullptr)) Sleep(20);
  }
  HRESULT refused = scripted(script.call, method, S_OK);
  if (refused != S_OK) return result(refused);
  if (method == "Cancel") {
    isCancelled_ = true;
    return result(S_OK);
  }
  if (method == "AbortBackup" || method == "Release") {
    isCancelled_ = true;
    settle();
  }
  if (thread_ != nullptr && result_ == VSS_S_ASYNC_PENDING) return result(VSS_E_BAD_STATE);
  settle();
  Fields answer = call(method, question);
  note(id_, {unhex(answer[0]) == VSS_E_BAD_STATE ? "out of order" : "answered", method, answer[0]});
  return answer;
}

Fields Session::call(const std::string& method, const Fields& q) {
  const Fields bad = result(VSS_E_BAD_STATE), fine = result(S_OK);
  auto when = [&](bool inOrder) { return inOrder ? fine : bad; };
  auto listed = [](const std::vector<const Writer*>& list, const std::string& index) {
    size_t at = strtoul(index.c_str(), nullptr, 10);
    return at < list.size() ? list[at] : nullptr;
  };
  if (method == "CreateVssBackupComponents" || method == "Release") return fine;
  if (method == "InitializeForBackup") {
    if (phase_ != CREATED) return bad;
    phase_ = INITIALIZED;
    return fine;
  }
  if (method == "SetContext") {
    context_ = unhex(q[1]);
    return when(phase_ == INITIALIZED);
  }
  if (method == "SetBackupState") {
    bySelection_ = q[1] == "1";
    hasState_ = true;
    return when(phase_ == INITIALIZED);
  }
  if (method == "GatherWriterMetadata") {
    return phase_ == INITIALIZED && hasState_ ? begin(method) : bad;
  }
  if (method == "GetWriterMetadataCount") {
    if (!hasMetadata_) return bad;
    return {hex(S_OK), std::to_string(present().size())};
  }
  if (method == "GetWriterMetadata") {
    const Writer* writer = hasMetadata_ ? listed(present(), q[1]) : nullptr;
    if (!writer) return result(NOT_FOUND);
    return {hex(S_OK), writer->instance, writer->id, writer->name, writer->xml};
  }
  if (method == "FreeWriterMetadata") {
    hasMetadata_ = false;
    return fine;
  }
  if (method == "AddComponent") {
    return phase_ == GATHERED || phase_ == COLLECTING ? add(q, false) : bad;
  }
  if (method == "StartSnapshotSet") {
    if (phase_ != GATHERED && !(phase_ == INITIALIZED && (context_ & NO_WRITERS))) return bad;
    if (!takeTheSet(id_)) return result(VSS_E_SNAPSHOT_SET_IN_PROGRESS);
    phase_ = COLLECTING;
    setId_ = newId();
    return {hex(S_OK), setId_};
  }
  if (method == "IsVolumeSupported") {
    const Volume* volume = script.volume(q[2]);
    if (!volume) return result(NOT_FOUND);
    return {hex(S_OK), volume->file == "-" ? "0" : "1"};
  }
  if (method == "AddToSnapshotSet") {
    if (phase_ != COLLECTING) return bad;
    const Volume* volume = script.volume(q[1]);
    if (!volume) return result(NOT_FOUND);
    if (volume->file == "-") return result(VSS_E_VOLUME_NOT_SUPPORTED);
    for (const Shadow& it : shadows_) {
      if (it.volume == volume->name) return result(VSS_E_OBJECT_ALREADY_EXISTS);
    }
    shadows_.push_back({newId(), volume->name, ""});
    return {hex(S_OK), shadows_.back().id};
  }
  if (method == "PrepareForBackup") return phase_ == COLLECTING ? begin(method) : bad;
  if (method == "DoSnapshotSet") {
    bool isReady = phase_ == PREPARED || (phase_ == COLLECTING && (context_ & NO_WRITERS));
    return isReady && !shadows_.empty() ? begin(method) : bad;
  }
  if (method == "GatherWriterStatus") return phase_ >= GATHERED ? begin(method) : bad;
  if (method == "GetWriterStatusCount") {
    if (!hasStatus_) return bad;
    return {hex(S_OK), std::to_string(present().size())};
  }
  if (method == "GetWriterStatus") {
    const Writer* it = hasStatus_ ? listed(present(), q[1]) : nullptr;
    if (!it) return result(NOT_FOUND);
    return {hex(S_OK), it->instance, it->id, it->name, std::to_string(it->state),
      hex(it->failure)};
  }
  if (method == "FreeWriterStatus") {
    hasStatus_ = false;
    return fine;
  }
  if (method == "GetWriterComponentsCount") {
    if (phase_ < GATHERED) return bad;
    return {hex(S_OK), std::to_string(chosen().size())};
  }
  if (method == "GetWriterComponents") {
    const Writer* it = phase_ < GATHERED ? nullptr : listed(chosen(), q[1]);
    return it ? componentsOf(*it) : result(NOT_FOUND);
  }
  if (method == "GetSnapshotProperties") return properties(q[1]);
  if (method == "SetBackupSucceeded") return phase_ == SNAPPED ? add(q, true) : bad;
  if (method == "BackupComplete") return phase_ == SNAPPED ? begin(method) : bad;
  if (method == "SaveAsXML") {
    if (phase_ < GATHERED) return bad;
    return {hex(S_OK), document()};
  }
  if (method == "AbortBackup") {
    if (phase_ < PREPARED || phase_ == COMPLETED) return bad;
    if (phase_ != ABORTED) abort(S_OK);
    return fine;
  }
  if (method == "DeleteSnapshots") {
    if (phase_ < SNAPPED || q[1] != setId_) return {hex(NOT_FOUND), "0", q[1]};
    std::string count = std::to_string(shadows_.size());
    dropShadows();
    return {hex(S_OK), count, "{00000000-0000-0000-0000-000000000000}"};
  }
  return result(E_NOTIMPL);
}

Fields Session::add(const Fields& q, bool isVerdict) {
  for (Writer& writer : writers_) {
    if (writer.instance != q[1] || writer.id != q[2] || writer.isAbsent) continue;
    if (!isVerdict) {
      for (const Writer::Component& it : writer.components) {
        if (it.path == q[4] && it.name == q[5]) return result(VSS_E_OBJECT_ALREADY_EXISTS);
      }
      writer.components.push_back({q[3], q[4], q[5], ""});
      return result(S_OK);
    }
    for (Writer::Component& it : writer.components) {
      if (it.path == q[4] && it.name == q[5]) {
        it.succeeded = q[6] == "1" ? "yes" : "no";
        return result(S_OK);
      }
    }
  }
  return result(NOT_FOUND);
}

Fields Session::properties(const std::string& id) {
  for (const Shadow& it : shadows_) {
    if (it.id != id || it.device.empty()) continue;
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    ULONGLONG time = (static_cast<ULONGLONG>(now.dwHighDateTime) << 32) | now.dwLowDateTime;
    return {hex(S_OK), setId_, std::to_string(shadows_.size()), it.device, it.volume,
      hex(context_ | MADE), std::to_string(time)};
  }
  return result(NOT_FOUND);
}

std::vector<const Writer*> Session::present() const {
  std::vector<const Writer*> list;
  for (const Writer& it : writers_) {
    if (!it.isAbsent && !(context_ & NO_WRITERS)) list.push_back(&it);
  }
  return list;
}

std::vector<const Writer*> Session::chosen() const {
  std::vector<const Writer*> list;
  for (const Writer* it : present()) {
    if (!it->components.empty()) list.push_back(it);
  }
  return list;
}

void Session::nap(DWORD ms) {
  ULONGLONG begun = GetTickCount64();
  while (!isCancelled_ && (ms == INFINITE || GetTickCount64() - begun < ms)) {
    Sleep(2);
  }
}

bool Session::isReached(const Writer& writer, const std::string& event) const {
  if (writer.isAbsent || writer.isSilent || (context_ & NO_WRITERS)) return false;
  if (event == "BackupShutdown") return true;
  if (hasFailed(writer)) return false;
  // In component mode a writer without a component hears nothing after PrepareForBackup.
  bool isForAll = event == "Identify" || event == "PrepareForBackup";
  return isForAll || !bySelection_ || !writer.components.empty();
}

void Session::ask(Writer& writer, const std::string& event, int good, int bad) {
  auto found = script.at.find(writer.id + "/" + event);
  Rule rule = found == script.at.end() ? Rule() : found->second;
  if (rule.sessions != 0 && id_ > rule.sessions) rule = Rule();
  HRESULT failure = S_OK;
  if (rule.what == "slow") nap(atoi(rule.value.c_str()));
  else if (rule.what == "fail") failure = unhex(rule.value);
  else if (rule.what == "timeout" || rule.what == "silent") {
    nap(script.limitMs);
    failure = rule.what == "silent" ? SILENT : TIMED_OUT;
    writer.isSilent = rule.what == "silent";
    if (writer.isSilent) bad = writer.state;  // of what it does now nobody knows
  }
  auto needs = script.needs.find(writer.id);
  if (event == "PrepareForSnapshot" && needs != script.needs.end()) {
    std::set<std::string> missing = needs->second;
    for (const Shadow& it : shadows_) missing.erase(it.volume);
    if (!missing.empty()) failure = INCONSISTENT;
  }
  writer.failure = failure;
  writer.state = FAILED(failure) ? bad : good;
  if (event == "Identify" && FAILED(failure)) writer.isAbsent = true;
  note(id_, {writer.isSilent ? "no answer" : "event", event, writer.id, std::to_string(writer.state), hex(failure)});
}

/** Tells every writer that is to hear it, one after the other; whether none failed. */
bool Session::deliver(const char* event, int good, int bad) {
  bool isFine = true;
  for (Writer& writer : writers_) {
    if (isCancelled_) return false;
    if (!isReached(writer, event)) continue;
    ask(writer, event, good, bad);
    if (hasFailed(writer)) isFine = false;
  }
  return isFine;
}

Fields Session::begin(const std::string& method) {
  step_ = method;
  isCancelled_ = false;
  result_ = VSS_S_ASYNC_PENDING;
  if (method == "PrepareForBackup") phase_ = PREPARED;
  thread_ = CreateThread(nullptr, 0, [](void* it) -> DWORD {
    static_cast<Session*>(it)->run();
    return 0;
  }, this, 0, nullptr);
  return {hex(S_OK), "1"};
}

void Session::run() {
  auto length = script.step.find(step_);
  if (length != script.step.end() && step_ != "DoSnapshotSet") nap(length->second);
  if (script.hang.count(step_)) nap(INFINITE);
  HRESULT code = isCancelled_ && step_ != "DoSnapshotSet"
    ? static_cast<HRESULT>(VSS_S_ASYNC_CANCELLED) : perform(step_);
  note(id_, {"finished", step_, hex(code)});
  result_ = code;
}

/** Waits for the running step, whatever became of it. */
void Session::settle() {
  if (thread_ == nullptr) return;
  WaitForSingleObject(thread_, INFINITE);
  CloseHandle(thread_);
  thread_ = nullptr;
}

HRESULT Session::perform(const std::string& method) {
  if (method == "DoSnapshotSet") return snapshot();
  HRESULT code = scripted(script.finish, method, VSS_S_ASYNC_FINISHED);
  if (FAILED(code)) return code;
  if (method == "GatherWriterMetadata") {
    deliver("Identify", VSS_WS_STABLE, VSS_WS_FAILED_AT_IDENTIFY);
    phase_ = GATHERED;
    hasMetadata_ = true;
  } else if (method == "PrepareForBackup") {
    deliver("PrepareForBackup", VSS_WS_STABLE, VSS_WS_FAILED_AT_PREPARE_BACKUP);
  } else if (method == "BackupComplete") {
    phase_ = COMPLETED;
    deliver("BackupComplete", VSS_WS_STABLE, VSS_WS_FAILED_AT_BACKUP_COMPLETE);
  } else if (method == "GatherWriterStatus") hasStatus_ = true;
  return isCancelled_ ? VSS_S_ASYNC_CANCELLED : code;
}

HRESULT Session::snapshot() {
  deliver("PrepareForSnapshot", VSS_WS_WAITING_FOR_FREEZE, VSS_WS_FAILED_AT_PREPARE_SNAPSHOT);
  if (!deliver("Freeze", VSS_WS_WAITING_FOR_THAW, VSS_WS_FAILED_AT_FREEZE)) {
    return abort(WRITER_FAILED);
  }
  note(id_, {"hold"});
  auto length = script.step.find("DoSnapshotSet");
  if (length != script.step.end()) nap(length->second);
  HRESULT code = scripted(script.finish, "DoSnapshotSet", VSS_S_ASYNC_FINISHED);
  bool isMade = SUCCEEDED(code) && !isCancelled_ && commit();
  note(id_, {"release"});
  if (!isMade) return abort(FAILED(code) ? code : E_UNEXPECTED);
  if (!deliver("Thaw", VSS_WS_WAITING_FOR_POST_SNAPSHOT, VSS_WS_FAILED_AT_THAW)) {
    return abort(WRITER_FAILED);
  }
  deliver("PostSnapshot", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, VSS_WS_FAILED_AT_POST_SNAPSHOT);
  if (isCancelled_) return abort(WRITER_FAILED);
  phase_ = SNAPPED;
  leaveTheSet(id_);
  return code;
}

HRESULT Session::abort(HRESULT why) {
  HRESULT code = isCancelled_ ? static_cast<HRESULT>(VSS_S_ASYNC_CANCELLED) : why;
  isCancelled_ = false;  // the word about the end reaches the writers all the same
  deliver("Abort", VSS_WS_STABLE, VSS_WS_STABLE);
  dropShadows();
  leaveTheSet(id_);
  phase_ = ABORTED;
  return code;
}

/** Copies every volume of the set: what is written to its file later is not in the copy. */
bool Session::commit() {
  for (Shadow& it : shadows_) {
    for (int number = 1; it.device.empty(); number++) {
      std::string device = "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy" +
        std::to_string(number);
      if (CopyFileW(widened(script.volume(it.volume)->file).c_str(), widened(device).c_str(),
          TRUE)) it.device = device;
      else if (GetLastError() != ERROR_FILE_EXISTS) return false;
    }
    note(id_, {"shadow copy made", it.volume, it.device});
  }
  return true;
}

void Session::dropShadows() {
  for (const Shadow& it : shadows_) {
    if (it.device.empty()) continue;
    bool isGone = DeleteFileW(widened(it.device).c_str());
    note(id_, {isGone ? "shadow copy deleted" : "shadow copy not deleted", it.device});
  }
  shadows_.clear();
}

void Session::end(bool isReleased) {
  bool wasBusy = thread_ != nullptr && result_ == VSS_S_ASYNC_PENDING;
  isCancelled_ = true;
  settle();
  isCancelled_ = false;
  if (wasBusy && step_ == "PrepareForBackup") abort(S_OK);
  if (phase_ >= GATHERED) {
    deliver("BackupShutdown", VSS_WS_STABLE, VSS_WS_FAILED_AT_BACKUPSHUTDOWN);
  }
  if (!(context_ & PERSISTENT)) dropShadows();
  leaveTheSet(id_);
  note(id_, {"end", isReleased ? "released" : "client gone",
    phase_ == COMPLETED ? "complete" : "not complete",
    std::to_string(shadows_.size()) + " shadow copies left"});
}
