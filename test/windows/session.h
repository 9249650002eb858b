// One requestor's session: the states of windows' VSS service, its writers and its shadow copies.
#pragma once
#include "script.h"
#include <atomic>
#include <vss.h>
#include <vsserror.h>

extern const Script script;
/** Appends a line of fields to the journal; safe from any thread. */
void note(int session, const Fields& fields);
/** What the script has `method` end with this time; `otherwise` where it says nothing. */
HRESULT scripted(const std::map<std::string, Ending>& endings, const std::string& method,
  HRESULT otherwise);
/** One snapshot set is in the making at a time, on the whole machine. */
bool takeTheSet(int session);
void leaveTheSet(int session);

enum Phase { CREATED, INITIALIZED, GATHERED, COLLECTING, PREPARED, SNAPPED, COMPLETED, ABORTED };

struct Shadow { std::string id, volume, device; };

class Session {
 public:
  Session(int id, HANDLE client) : id_(id), client_(client), writers_(script.writers) {}
  Fields answer(const Fields& question);
  /** Ends the session as the service does when its client lets go, or is gone. */
  void end(bool isReleased);

 private:
  Fields call(const std::string& method, const Fields& question);
  Fields begin(const std::string& method);
  void run();
  HRESULT perform(const std::string& method);
  HRESULT snapshot();
  HRESULT abort(HRESULT why);
  bool commit();
  void settle();
  bool deliver(const char* event, int good, int bad);
  bool isReached(const Writer& writer, const std::string& event) const;
  void ask(Writer& writer, const std::string& event, int good, int bad);
  void nap(DWORD ms);
  void dropShadows();
  Fields add(const Fields& question, bool isVerdict);
  Fields componentsOf(const Writer& writer) const;
  Fields properties(const std::string& id);
  std::string document() const;
  std::vector<const Writer*> present() const;
  std::vector<const Writer*> chosen() const;

  const int id_;
  const HANDLE client_;
  std::vector<Writer> writers_;
  std::vector<Shadow> shadows_;
  Phase phase_ = CREATED;
  std::string setId_;
  unsigned long context_ = 0;
  bool bySelection_ = false, hasState_ = false, hasMetadata_ = false, hasStatus_ = false;
  // The running step: at most one.
  HANDLE thread_ = nullptr;
  std::string step_;
  std::atomic<HRESULT> result_{0};
  std::atomic<bool> isCancelled_{false};
};

inline bool hasFailed(const Writer& writer) { return FAILED(writer.failure); }

inline std::string newId() {
  GUID id;
  CoCreateGuid(&id);
  wchar_t text[40];
  StringFromGUID2(id, text, 40);
  return narrow(text);
}
