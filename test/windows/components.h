// IVssWriterComponentsExt and IVssComponent with its successors: what was added, and how it failed.
#pragma once
#include "com.h"
#include <vss.h>
#include <vswriter.h>
#include <vsbackup.h>

/** A component in the backup components document, and what it says of its failure. */
class Component : public Counted<IVssComponentEx2, IID_IVssComponentEx2> {
 public:
  enum { TYPE, PATH, NAME, FAILURE, APPLICATION, PREPARE, POST_SNAPSHOT, MESSAGE, FIELDS };
  Component(int age, const Fields& says) : age_(age), says_(says) {}
  /** Younger interfaces are those of a younger Windows. */
  STDMETHODIMP QueryInterface(REFIID wanted, void** out) override {
    bool isEx2 = IsEqualIID(wanted, IID_IVssComponentEx2);
    bool isEx = IsEqualIID(wanted, IID_IVssComponentEx);
    bool isKnown = IsEqualIID(wanted, IID_IUnknown) || IsEqualIID(wanted, IID_IVssComponent) ||
      (isEx && age_ >= 1) || (isEx2 && age_ >= 2);
    *out = isKnown ? static_cast<IVssComponentEx2*>(this) : nullptr;
    if (isKnown) AddRef();
    return isKnown ? S_OK : E_NOINTERFACE;
  }
  STDMETHODIMP GetLogicalPath(BSTR* out) override { return giveText(says_[PATH], out); }
  STDMETHODIMP GetComponentType(VSS_COMPONENT_TYPE* out) override {
    *out = static_cast<VSS_COMPONENT_TYPE>(number(says_[TYPE]));
    return S_OK;
  }
  STDMETHODIMP GetComponentName(BSTR* out) override {
    *out = bstr(says_[NAME]);
    return S_OK;
  }
  STDMETHODIMP GetPrepareForBackupFailureMsg(BSTR* out) override {
    return giveText(says_[PREPARE], out);
  }
  STDMETHODIMP GetPostSnapshotFailureMsg(BSTR* out) override {
    return giveText(says_[POST_SNAPSHOT], out);
  }
  STDMETHODIMP GetFailure(HRESULT* code, HRESULT* application, BSTR* message,
      DWORD* reserved) override {
    *code = unhex(says_[FAILURE]);
    *application = unhex(says_[APPLICATION]);
    giveText(says_[MESSAGE], message);
    *reserved = 0;
    return S_OK;
  }
  UNUSED(GetBackupSucceeded, (boolean*))
  UNUSED(GetAlternateLocationMappingCount, (UINT*))
  UNUSED(GetAlternateLocationMapping, (UINT, IVssWMFiledesc**))
  UNUSED(SetBackupMetadata, (LPCWSTR))
  UNUSED(GetBackupMetadata, (BSTR*))
  UNUSED(AddPartialFile, (LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR))
  UNUSED(GetPartialFileCount, (UINT*))
  UNUSED(GetPartialFile, (UINT, BSTR*, BSTR*, BSTR*, BSTR*))
  UNUSED(IsSelectedForRestore, (boolean*))
  UNUSED(GetAdditionalRestores, (boolean*))
  UNUSED(GetNewTargetCount, (UINT*))
  UNUSED(GetNewTarget, (UINT, IVssWMFiledesc**))
  UNUSED(AddDirectedTarget, (LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR, LPCWSTR))
  UNUSED(GetDirectedTargetCount, (UINT*))
  UNUSED(GetDirectedTarget, (UINT, BSTR*, BSTR*, BSTR*, BSTR*, BSTR*, BSTR*))
  UNUSED(SetRestoreMetadata, (LPCWSTR))
  UNUSED(GetRestoreMetadata, (BSTR*))
  UNUSED(SetRestoreTarget, (VSS_RESTORE_TARGET))
  UNUSED(GetRestoreTarget, (VSS_RESTORE_TARGET*))
  UNUSED(SetPreRestoreFailureMsg, (LPCWSTR))
  UNUSED(GetPreRestoreFailureMsg, (BSTR*))
  UNUSED(SetPostRestoreFailureMsg, (LPCWSTR))
  UNUSED(GetPostRestoreFailureMsg, (BSTR*))
  UNUSED(SetBackupStamp, (LPCWSTR))
  UNUSED(GetBackupStamp, (BSTR*))
  UNUSED(GetPreviousBackupStamp, (BSTR*))
  UNUSED(GetBackupOptions, (BSTR*))
  UNUSED(GetRestoreOptions, (BSTR*))
  UNUSED(GetRestoreSubcomponentCount, (UINT*))
  UNUSED(GetRestoreSubcomponent, (UINT, BSTR*, BSTR*, boolean*))
  UNUSED(GetFileRestoreStatus, (VSS_FILE_RESTORE_STATUS*))
  UNUSED(AddDifferencedFilesByLastModifyTime, (LPCWSTR, LPCWSTR, WINBOOL, FILETIME))
  UNUSED(AddDifferencedFilesByLastModifyLSN, (LPCWSTR, LPCWSTR, WINBOOL, BSTR))
  UNUSED(GetDifferencedFilesCount, (UINT*))
  UNUSED(GetDifferencedFile, (UINT, BSTR*, BSTR*, WINBOOL*, BSTR*, FILETIME*))
  UNUSED(SetPrepareForBackupFailureMsg, (LPCWSTR))
  UNUSED(SetPostSnapshotFailureMsg, (LPCWSTR))
  UNUSED(GetAuthoritativeRestore, (boolean*))
  UNUSED(GetRollForward, (VSS_ROLLFORWARD_TYPE*, BSTR*))
  UNUSED(GetRestoreName, (BSTR*))
  UNUSED(SetFailure, (HRESULT, HRESULT, LPCWSTR, DWORD))

 private:
  int age_;
  Fields says_;
};

/**
 * As Microsoft declares it: three methods of its own, and IUnknown as a second base behind them.
 * mingw-w64 leaves the second base out.
 */
class WriterComponents : public IVssWriterComponentsExt, public IUnknown {
 public:
  explicit WriterComponents(const Fields& answer) : answer_(answer) {}
  virtual ~WriterComponents() {}
  STDMETHODIMP GetComponentCount(UINT* out) override {
    *out = static_cast<UINT>((answer_.size() - HEAD) / Component::FIELDS);
    return S_OK;
  }
  STDMETHODIMP GetWriterInfo(VSS_ID* instance, VSS_ID* writer) override {
    *instance = guid(answer_[1]);
    *writer = guid(answer_[2]);
    return S_OK;
  }
  STDMETHODIMP GetComponent(UINT index, IVssComponent** out) override {
    size_t from = HEAD + index * Component::FIELDS;
    *out = nullptr;
    if (from + Component::FIELDS > answer_.size()) return VSS_E_OBJECT_NOT_FOUND;
    Fields says(answer_.begin() + from, answer_.begin() + from + Component::FIELDS);
    *out = new Component(number(answer_[0]), says);
    return S_OK;
  }
  STDMETHODIMP QueryInterface(REFIID, void** out) override {
    *out = nullptr;
    return E_NOINTERFACE;
  }
  STDMETHODIMP_(ULONG) AddRef() override { return ++count_; }
  STDMETHODIMP_(ULONG) Release() override {
    ULONG left = --count_;
    if (left == 0) delete this;
    return left;
  }

 private:
  static const size_t HEAD = 3;
  std::atomic<ULONG> count_{1};
  Fields answer_;
};
