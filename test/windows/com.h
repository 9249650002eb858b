// What objects of COM are made of here.
#pragma once
#include "wire.h"
#include <atomic>

inline std::string shown(const GUID& id) {
  wchar_t text[40];
  StringFromGUID2(id, text, 40);
  return narrow(text);
}

inline GUID guid(const std::string& text) {
  GUID id = {};
  CLSIDFromString(widened(text).c_str(), &id);
  return id;
}

inline BSTR bstr(const std::string& text) { return SysAllocString(widened(text).c_str()); }

inline int number(const std::string& text) { return atoi(text.c_str()); }

/** A text that may be absent, as a method gives it out: S_FALSE and nothing where it is. */
inline HRESULT giveText(const std::string& text, BSTR* out) {
  bool isThere = !text.empty() && text[0] == '=';
  *out = isThere ? bstr(text.substr(1)) : nullptr;
  return isThere ? S_OK : S_FALSE;
}

/** IUnknown of one interface, counted; nothing else is offered. */
template <class Base, const GUID& ID>
class Counted : public Base {
 public:
  virtual ~Counted() {}
  STDMETHODIMP QueryInterface(REFIID wanted, void** out) override {
    if (!IsEqualIID(wanted, ID) && !IsEqualIID(wanted, IID_IUnknown)) {
      *out = nullptr;
      return E_NOINTERFACE;
    }
    *out = static_cast<Base*>(this);
    AddRef();
    return S_OK;
  }
  STDMETHODIMP_(ULONG) AddRef() override { return ++count_; }
  STDMETHODIMP_(ULONG) Release() override {
    ULONG left = --count_;
    if (left == 0) delete this;
    return left;
  }

 private:
  std::atomic<ULONG> count_{1};
};

#define UNUSED(name, arguments) \
  STDMETHODIMP name arguments override { return E_NOTIMPL; }
