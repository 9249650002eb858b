// What the test's vssapi.dll and the service behind it say to each other over a named pipe.
// A message is a length (4 bytes, little endian) and fields in UTF-8 parted by the byte 0x1f.
// A question is the name of a method and its arguments; an answer is an HRESULT (hexadecimal) and
// what the method gives out.
#pragma once
#include <windows.h>
#include <string>
#include <vector>

using Fields = std::vector<std::string>;

const wchar_t PIPE_NAME[] = L"\\\\.\\pipe\\stillpoint-test-vss";
const char PART = '\x1f';
const DWORD MESSAGE_BYTES = 16 << 20;

/** A mutex of Windows: the compiler's variant without POSIX threads has no std::mutex. */
class Lock {
 public:
  void take() { AcquireSRWLockExclusive(&lock_); }
  void leave() { ReleaseSRWLockExclusive(&lock_); }

 private:
  SRWLOCK lock_ = SRWLOCK_INIT;
};

class Hold {
 public:
  explicit Hold(Lock& lock) : lock_(lock) { lock_.take(); }
  ~Hold() { lock_.leave(); }

 private:
  Lock& lock_;
};

inline std::string joined(const Fields& fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); i++) text += (i ? std::string(1, PART) : "") + fields[i];
  return text;
}

inline Fields parted(const std::string& text, char part) {
  Fields fields(1);
  for (char c : text) {
    if (c == part) fields.emplace_back();
    else fields.back() += c;
  }
  return fields;
}

inline std::string hex(unsigned long value) {
  char text[16];
  snprintf(text, sizeof text, "%08lx", value);
  return text;
}

inline HRESULT unhex(const std::string& text) {
  return static_cast<HRESULT>(strtoul(text.c_str(), nullptr, 16));
}

inline std::string narrow(const wchar_t* wide) {
  if (!wide) return "";
  int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, nullptr, 0, nullptr, nullptr);
  std::string text(bytes, 0);
  WideCharToMultiByte(CP_UTF8, 0, wide, -1, &text[0], bytes, nullptr, nullptr);
  text.resize(bytes - 1);
  return text;
}

inline std::wstring widened(const std::string& text) {
  int length = MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, nullptr, 0);
  std::wstring wide(length, 0);
  MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, &wide[0], length);
  wide.resize(length - 1);
  return wide;
}

inline bool readAll(HANDLE pipe, char* into, DWORD bytes) {
  for (DWORD got; bytes > 0; into += got, bytes -= got) {
    if (!ReadFile(pipe, into, bytes, &got, nullptr) || got == 0) return false;
  }
  return true;
}

inline bool receive(HANDLE pipe, Fields& fields) {
  DWORD length;
  if (!readAll(pipe, reinterpret_cast<char*>(&length), 4) || length > MESSAGE_BYTES) return false;
  std::string text(length, 0);
  if (!readAll(pipe, &text[0], length)) return false;
  fields = parted(text, PART);
  return true;
}

inline bool send(HANDLE pipe, const Fields& fields) {
  std::string text = joined(fields);
  DWORD length = static_cast<DWORD>(text.size());
  std::string message(reinterpret_cast<char*>(&length), 4);
  message += text;
  DWORD wrote;
  return WriteFile(pipe, message.data(), static_cast<DWORD>(message.size()), &wrote, nullptr) &&
    wrote == message.size();
}
