// A stand-in for vssapi.dll: the entry points and the vtables that Microsoft documents, as Debian's
// mingw-w64 declares them in vsbackup.h. Nothing is decided here: each call is put as a question to
// service.cpp, which plays the VSS service, the writers and the provider, and outlives this process.
#include <initguid.h>
#include "wire.h"
#include <vss.h>
#include <vswriter.h>
#include <vsbackup.h>
#include "components.h"
#include <memory>

namespace {

const HRESULT NO_SERVICE = HRESULT_FROM_WIN32(ERROR_SERVICE_DISABLED);

/** The thread that loaded this library: the one of Node's event loop, which no call may hold up. */
DWORD loader;
const Fields ON_THE_LOOP = {"called on the event loop's thread"};

/** A text that may be absent, which is not the same as an empty one. */
std::string optional(LPCWSTR text) { return text ? "=" + narrow(text) : "-"; }

/** The connection of one session. It closes with the last object that needs it. */
class Line {
 public:
  explicit Line(HANDLE pipe) : pipe_(pipe) {}
  ~Line() { CloseHandle(pipe_); }

  /** Asks; on success `out` has at least `wanted` fields. */
  HRESULT ask(const Fields& question, size_t wanted = 0) {
    Fields out;
    return ask(question, wanted, out);
  }

  HRESULT ask(const Fields& question, size_t wanted, Fields& out) {
    Hold one(lock_);
    if (GetCurrentThreadId() == loader) exchange(ON_THE_LOOP);
    return exchange(question, wanted, out);
  }

 private:
  HRESULT exchange(const Fields& question) {
    Fields out;
    return exchange(question, 0, out);
  }

  HRESULT exchange(const Fields& question, size_t wanted, Fields& out) {
    Fields answer;
    if (!send(pipe_, question) || !receive(pipe_, answer)) return RPC_E_DISCONNECTED;
    HRESULT result = unhex(answer[0]);
    answer.erase(answer.begin());
    if (SUCCEEDED(result) && answer.size() < wanted) return E_UNEXPECTED;
    out = answer;
    return result;
  }

  HANDLE pipe_;
  Lock lock_;
};

using Shared = std::shared_ptr<Line>;

/** A step that runs in the service. `Wait` blocks its caller, as the real one does. */
class Async : public Counted<IVssAsync, IID_IVssAsync> {
 public:
  Async(Shared line, const std::string& id) : line_(line), id_(id) {}
  STDMETHODIMP Cancel() override { return line_->ask({"Cancel", id_}); }
  STDMETHODIMP Wait(DWORD limitMs) override {
    for (ULONGLONG begun = GetTickCount64();;) {
      HRESULT state;
      HRESULT result = QueryStatus(&state, nullptr);
      if (FAILED(result) || state != VSS_S_ASYNC_PENDING) return result;
      if (limitMs != INFINITE && GetTickCount64() - begun >= limitMs) return S_OK;
      Sleep(2);
    }
  }
  STDMETHODIMP QueryStatus(HRESULT* state, INT* reserved) override {
    if (reserved) *reserved = 0;
    Fields out;
    HRESULT result = line_->ask({"QueryStatus", id_}, 1, out);
    if (SUCCEEDED(result)) *state = unhex(out[0]);
    return result;
  }

 private:
  Shared line_;
  std::string id_;
};

/** A writer's document: read as a whole through SaveAsXML. */
class Metadata : public Counted<IVssExamineWriterMetadata, IID_IVssExamineWriterMetadata> {
 public:
  explicit Metadata(const Fields& answer) : answer_(answer) {}
  STDMETHODIMP GetIdentity(VSS_ID* instance, VSS_ID* writer, BSTR* name, VSS_USAGE_TYPE* usage,
      VSS_SOURCE_TYPE* source) override {
    *instance = guid(answer_[0]);
    *writer = guid(answer_[1]);
    *name = bstr(answer_[2]);
    *usage = VSS_UT_USERDATA;
    *source = VSS_ST_TRANSACTEDDB;
    return S_OK;
  }
  STDMETHODIMP SaveAsXML(BSTR* out) override {
    *out = bstr(answer_[3]);
    return S_OK;
  }
  UNUSED(GetFileCounts, (UINT*, UINT*, UINT*))
  UNUSED(GetIncludeFile, (UINT, IVssWMFiledesc**))
  UNUSED(GetExcludeFile, (UINT, IVssWMFiledesc**))
  UNUSED(GetComponent, (UINT, IVssWMComponent**))
  UNUSED(GetRestoreMethod,
    (VSS_RESTOREMETHOD_ENUM*, BSTR*, BSTR*, VSS_WRITERRESTORE_ENUM*, boolean*, UINT*))
  UNUSED(GetAlternateLocationMapping, (UINT, IVssWMFiledesc**))
  UNUSED(GetBackupSchema, (DWORD*))
  UNUSED(GetDocument, (IXMLDOMDocument**))
  UNUSED(LoadFromXML, (BSTR))

 private:
  Fields answer_;
};

class Session : public Counted<IVssBackupComponents, IID_IVssBackupComponents> {
 public:
  explicit Session(Shared line) : line_(line) {}
  ~Session() { line_->ask({"Release"}); }

  STDMETHODIMP GetWriterComponentsCount(UINT* out) override {
    return count("GetWriterComponentsCount", out);
  }
  STDMETHODIMP GetWriterComponents(UINT index, IVssWriterComponentsExt** out) override {
    Fields answer;
    HRESULT result = line_->ask({"GetWriterComponents", std::to_string(index)}, 3, answer);
    if (SUCCEEDED(result)) *out = new WriterComponents(answer);
    return result;
  }
  STDMETHODIMP InitializeForBackup(BSTR xml) override {
    return line_->ask({"InitializeForBackup", xml ? "document" : "none"});
  }
  STDMETHODIMP SetContext(LONG context) override {
    return line_->ask({"SetContext", hex(context)});
  }
  STDMETHODIMP SetBackupState(boolean select, boolean bootable, VSS_BACKUP_TYPE type,
      boolean partial) override {
    return line_->ask({"SetBackupState", flag(select), flag(bootable), std::to_string(type),
      flag(partial)});
  }
  STDMETHODIMP GatherWriterMetadata(IVssAsync** out) override {
    return start("GatherWriterMetadata", out);
  }
  STDMETHODIMP GetWriterMetadataCount(UINT* out) override {
    return count("GetWriterMetadataCount", out);
  }
  STDMETHODIMP GetWriterMetadata(UINT index, VSS_ID* instance,
      IVssExamineWriterMetadata** out) override {
    Fields answer;
    HRESULT result = line_->ask({"GetWriterMetadata", std::to_string(index)}, 4, answer);
    if (FAILED(result)) return result;
    *instance = guid(answer[0]);
    *out = new Metadata(answer);
    return result;
  }
  STDMETHODIMP FreeWriterMetadata() override { return line_->ask({"FreeWriterMetadata"}); }
  STDMETHODIMP AddComponent(VSS_ID instance, VSS_ID writer, VSS_COMPONENT_TYPE type,
      LPCWSTR path, LPCWSTR name) override {
    return line_->ask({"AddComponent", shown(instance), shown(writer), std::to_string(type),
      optional(path), narrow(name)});
  }
  STDMETHODIMP PrepareForBackup(IVssAsync** out) override {
    return start("PrepareForBackup", out);
  }
  STDMETHODIMP AbortBackup() override { return line_->ask({"AbortBackup"}); }
  STDMETHODIMP GatherWriterStatus(IVssAsync** out) override {
    return start("GatherWriterStatus", out);
  }
  STDMETHODIMP GetWriterStatusCount(UINT* out) override {
    return count("GetWriterStatusCount", out);
  }
  STDMETHODIMP FreeWriterStatus() override { return line_->ask({"FreeWriterStatus"}); }
  STDMETHODIMP GetWriterStatus(UINT index, VSS_ID* instance, VSS_ID* writer, BSTR* name,
      VSS_WRITER_STATE* state, HRESULT* failure) override {
    Fields answer;
    HRESULT result = line_->ask({"GetWriterStatus", std::to_string(index)}, 5, answer);
    if (FAILED(result)) return result;
    *instance = guid(answer[0]);
    *writer = guid(answer[1]);
    *name = bstr(answer[2]);
    *state = static_cast<VSS_WRITER_STATE>(number(answer[3]));
    *failure = unhex(answer[4]);
    return result;
  }
  STDMETHODIMP SetBackupSucceeded(VSS_ID instance, VSS_ID writer, VSS_COMPONENT_TYPE type,
      LPCWSTR path, LPCWSTR name, boolean succeeded) override {
    return line_->ask({"SetBackupSucceeded", shown(instance), shown(writer),
      std::to_string(type), optional(path), narrow(name), flag(succeeded)});
  }
  STDMETHODIMP SaveAsXML(BSTR* out) override {
    Fields answer;
    HRESULT result = line_->ask({"SaveAsXML"}, 1, answer);
    if (SUCCEEDED(result)) *out = bstr(answer[0]);
    return result;
  }
  STDMETHODIMP BackupComplete(IVssAsync** out) override { return start("BackupComplete", out); }
  STDMETHODIMP StartSnapshotSet(VSS_ID* out) override {
    return identified({"StartSnapshotSet"}, out);
  }
  STDMETHODIMP AddToSnapshotSet(VSS_PWSZ volume, VSS_ID provider, VSS_ID* out) override {
    return identified({"AddToSnapshotSet", narrow(volume), shown(provider)}, out);
  }
  STDMETHODIMP DoSnapshotSet(IVssAsync** out) override { return start("DoSnapshotSet", out); }
  STDMETHODIMP DeleteSnapshots(VSS_ID source, VSS_OBJECT_TYPE type, WINBOOL force, LONG* deleted,
      VSS_ID* kept) override {
    Fields answer;
    HRESULT result = line_->ask({"DeleteSnapshots", shown(source), std::to_string(type),
      flag(force)}, 2, answer);
    if (answer.size() == 2) {
      *deleted = number(answer[0]);
      *kept = guid(answer[1]);
    }
    return result;
  }
  STDMETHODIMP GetSnapshotProperties(VSS_ID id, VSS_SNAPSHOT_PROP* out) override;
  STDMETHODIMP IsVolumeSupported(VSS_ID provider, VSS_PWSZ volume, WINBOOL* out) override {
    Fields answer;
    HRESULT result =
      line_->ask({"IsVolumeSupported", shown(provider), narrow(volume)}, 1, answer);
    if (SUCCEEDED(result)) *out = number(answer[0]);
    return result;
  }

  UNUSED(InitializeForRestore, (BSTR))
  UNUSED(SetRestoreState, (VSS_RESTORE_TYPE))
  UNUSED(SetBackupOptions, (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR))
  UNUSED(SetSelectedForRestore, (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, boolean))
  UNUSED(SetRestoreOptions, (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR))
  UNUSED(SetAdditionalRestores, (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, boolean))
  UNUSED(SetPreviousBackupStamp, (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR))
  UNUSED(AddAlternativeLocationMapping,
    (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, boolean, LPCWSTR))
  UNUSED(AddRestoreSubcomponent,
    (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, boolean))
  UNUSED(SetFileRestoreStatus,
    (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, VSS_FILE_RESTORE_STATUS))
  UNUSED(AddNewTarget,
    (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, boolean, LPCWSTR))
  UNUSED(SetRangesFilePath, (VSS_ID, VSS_COMPONENT_TYPE, LPCWSTR, LPCWSTR, UINT, LPCWSTR))
  UNUSED(PreRestore, (IVssAsync**))
  UNUSED(PostRestore, (IVssAsync**))
  UNUSED(ImportSnapshots, (IVssAsync**))
  UNUSED(BreakSnapshotSet, (VSS_ID))
  UNUSED(Query, (VSS_ID, VSS_OBJECT_TYPE, VSS_OBJECT_TYPE, IVssEnumObject**))
  UNUSED(DisableWriterClasses, (const VSS_ID*, UINT))
  UNUSED(EnableWriterClasses, (const VSS_ID*, UINT))
  UNUSED(DisableWriterInstances, (const VSS_ID*, UINT))
  UNUSED(ExposeSnapshot, (VSS_ID, VSS_PWSZ, LONG, VSS_PWSZ, VSS_PWSZ*))
  UNUSED(RevertToSnapshot, (VSS_ID, WINBOOL))
  UNUSED(QueryRevertStatus, (VSS_PWSZ, IVssAsync**))

 private:
  static std::string flag(int value) { return value ? "1" : "0"; }
  HRESULT start(const char* method, IVssAsync** out) {
    Fields answer;
    HRESULT result = line_->ask({method}, 1, answer);
    if (SUCCEEDED(result)) *out = new Async(line_, answer[0]);
    return result;
  }
  HRESULT count(const char* method, UINT* out) {
    Fields answer;
    HRESULT result = line_->ask({method}, 1, answer);
    if (SUCCEEDED(result)) *out = number(answer[0]);
    return result;
  }
  HRESULT identified(const Fields& question, VSS_ID* out) {
    Fields answer;
    HRESULT result = line_->ask(question, 1, answer);
    if (SUCCEEDED(result)) *out = guid(answer[0]);
    return result;
  }

  Shared line_;
};

VSS_PWSZ kept(const std::string& text) {
  std::wstring wide = widened(text);
  size_t bytes = (wide.size() + 1) * sizeof(wchar_t);
  return static_cast<VSS_PWSZ>(memcpy(CoTaskMemAlloc(bytes), wide.c_str(), bytes));
}

HRESULT Session::GetSnapshotProperties(VSS_ID id, VSS_SNAPSHOT_PROP* out) {
  Fields answer;
  HRESULT result = line_->ask({"GetSnapshotProperties", shown(id)}, 6, answer);
  memset(out, 0, sizeof *out);
  if (FAILED(result)) return result;
  out->m_SnapshotId = id;
  out->m_SnapshotSetId = guid(answer[0]);
  out->m_lSnapshotsCount = number(answer[1]);
  out->m_pwszSnapshotDeviceObject = kept(answer[2]);
  out->m_pwszOriginalVolumeName = kept(answer[3]);
  out->m_pwszOriginatingMachine = kept("test-machine");
  out->m_pwszServiceMachine = kept("test-machine");
  out->m_lSnapshotAttributes = unhex(answer[4]);
  out->m_tsCreationTimestamp = _atoi64(answer[5].c_str());
  out->m_eStatus = VSS_SS_CREATED;
  return result;
}

}  // namespace

extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void*) {
  if (reason == DLL_PROCESS_ATTACH) loader = GetCurrentThreadId();
  return TRUE;
}

extern "C" __declspec(dllexport) HRESULT STDAPICALLTYPE CreateVssBackupComponentsInternal(
    IVssBackupComponents** out) {
  *out = nullptr;
  APTTYPE apartment;
  APTTYPEQUALIFIER qualifier;
  HRESULT entered = CoGetApartmentType(&apartment, &qualifier);
  if (FAILED(entered)) return entered;
  HANDLE pipe;
  while ((pipe = CreateFileW(PIPE_NAME, GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING, 0,
      nullptr)) == INVALID_HANDLE_VALUE) {
    if (GetLastError() != ERROR_PIPE_BUSY) return NO_SERVICE;
    WaitNamedPipeW(PIPE_NAME, 1000);
  }
  Shared line = std::make_shared<Line>(pipe);
  HRESULT result = line->ask({"CreateVssBackupComponents",
    apartment == APTTYPE_MTA ? "multithreaded" : "other"});
  if (SUCCEEDED(result)) *out = new Session(line);
  return result;
}

extern "C" __declspec(dllexport) void STDAPICALLTYPE VssFreeSnapshotPropertiesInternal(
    VSS_SNAPSHOT_PROP* properties) {
  CoTaskMemFree(properties->m_pwszSnapshotDeviceObject);
  CoTaskMemFree(properties->m_pwszOriginalVolumeName);
  CoTaskMemFree(properties->m_pwszOriginatingMachine);
  CoTaskMemFree(properties->m_pwszServiceMachine);
}
