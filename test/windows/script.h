// What the service is told to play: a file of lines whose fields are parted by tabs.
//
//   volume  NAME  FILE|-  [OTHER NAME …]     a volume, the file that holds its bytes, C:\ and such
//   writer  CLASS  INSTANCE  NAME  FILE      a writer and the file with its metadata document
//   at      CLASS   EVENT  slow MS | timeout | silent | fail HRESULT [IN THE FIRST SESSIONS]
//   says    CLASS  PATH NAME  HRESULT HRESULT  TEXT TEXT TEXT
//           of a component of a writer that failed: GetFailure's two codes, what it left at
//           PrepareForBackup and at PostSnapshot, and with GetFailure. PATH and TEXT: `-` or `=…`
//   age     0|1                              components have no IVssComponentEx, or no ...Ex2
//   needs   CLASS   VOLUME                   fails with 800423F0 where that volume is not in the set
//   hang    METHOD                           that method, or that step, never ends by itself
//   call    METHOD  HRESULT [TIMES]          that method is refused
//   finish  METHOD  HRESULT [TIMES]          that step ends so
//   block   METHOD  MS                       that method returns late
//   step    METHOD  MS                       that step takes so long
//   limit   MS                               what a writer has for one event; 60,000 without
#pragma once
#include "wire.h"
#include <fstream>
#include <map>
#include <set>

struct Volume {
  std::string name, file;
  std::set<std::string> names;
};

struct Writer {
  std::string id, instance, name, xml;
  int state = 1;
  HRESULT failure = S_OK;
  bool isAbsent = false, isSilent = false;
  struct Component { std::string type, path, name, succeeded; };
  std::vector<Component> components;
};

/** What a component says of its failure, by "CLASS/PATH/NAME": codes and texts. */
using Sayings = std::map<std::string, Fields>;

struct Rule {
  std::string what, value;
  int sessions = 0;  // 0: in all
};

/** An HRESULT for the first so many calls; 0: for all. */
struct Ending {
  HRESULT code;
  int times;
};

struct Script {
  std::vector<Volume> volumes;
  std::vector<Writer> writers;
  std::map<std::string, Rule> at;  // by "CLASS/EVENT"
  Sayings says;
  int age = 2;
  std::map<std::string, std::set<std::string>> needs;
  std::map<std::string, Ending> call, finish;
  std::map<std::string, DWORD> block, step;
  std::set<std::string> hang;
  DWORD limitMs = 60000;

  const Volume* volume(const std::string& name) const {
    for (const Volume& it : volumes) {
      if (it.names.count(name)) return &it;
    }
    return nullptr;
  }
};

inline std::string wholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

inline int count(const std::string& text) { return atoi(text.c_str()); }

inline Ending ending(const Fields& f) {
  return {unhex(f[2]), f.size() > 3 ? count(f[3]) : 0};
}

/** A line that is not understood ends the service: a test must not pass because of a typing error. */
inline bool readScript(const std::string& path, Script& into) {
  for (std::string line : parted(wholeFile(path), '\n')) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    Fields f = parted(line, '\t');
    const std::string& kind = f[0];
    if (kind == "volume" && f.size() >= 3) {
      into.volumes.push_back({f[1], f[2], std::set<std::string>(f.begin() + 3, f.end())});
      into.volumes.back().names.insert(f[1]);
    } else if (kind == "writer" && f.size() == 5) {
      Writer writer;
      writer.id = f[1];
      writer.instance = f[2];
      writer.name = f[3];
      writer.xml = wholeFile(f[4]);
      into.writers.push_back(writer);
    } else if (kind == "at" && f.size() >= 4) {
      into.at[f[1] + "/" + f[2]] = {f[3], f.size() > 4 ? f[4] : "", f.size() > 5 ? count(f[5]) : 0};
    } else if (kind == "says" && f.size() == 9) {
      into.says[f[1] + "/" + f[2] + "/" + f[3]] = Fields(f.begin() + 4, f.end());
    } else if (kind == "age" && f.size() == 2) into.age = count(f[1]);
    else if (kind == "needs" && f.size() == 3) into.needs[f[1]].insert(f[2]);
    else if (kind == "call" && f.size() >= 3) into.call[f[1]] = ending(f);
    else if (kind == "finish" && f.size() >= 3) into.finish[f[1]] = ending(f);
    else if (kind == "hang" && f.size() == 2) into.hang.insert(f[1]);
    else if (kind == "block" && f.size() == 3) into.block[f[1]] = count(f[2]);
    else if (kind == "step" && f.size() == 3) into.step[f[1]] = count(f[2]);
    else if (kind == "limit" && f.size() == 2) into.limitMs = count(f[1]);
    else return false;
  }
  return true;
}
