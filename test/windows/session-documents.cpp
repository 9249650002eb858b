// What a session says of the components that were added: the document, and each one's failure.
#include "session.h"

namespace {

std::string attribute(const std::string& text) {
  std::string safe;
  for (char c : text) {
    if (c == '&') safe += "&amp;";
    else if (c == '<') safe += "&lt;";
    else if (c == '"') safe += "&quot;";
    else safe += c;
  }
  return safe;
}

}  // namespace

std::string Session::document() const {
  std::string xml = "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\">";
  for (const Writer* writer : chosen()) {
    xml += "<WRITER_COMPONENTS instanceId=\"" + writer->instance.substr(1, 36) + "\" writerId=\"" +
      writer->id.substr(1, 36) + "\">";
    for (const Writer::Component& it : writer->components) {
      auto put = [&xml](const char* name, const std::string& value) {
        xml += std::string(" ") + name + "=\"" + attribute(value) + "\"";
      };
      xml += "<COMPONENT";
      if (it.path != "-") put("logicalPath", it.path.substr(1));
      put("componentName", it.name);
      put("componentType", it.type == "1" ? "database" : "filegroup");
      if (!it.succeeded.empty()) put("backupSucceeded", it.succeeded);
      xml += "/>";
    }
    xml += "</WRITER_COMPONENTS>";
  }
  return xml + "</BACKUP_COMPONENTS>";
}

/** Age of the interface, instance, class; of each component type, path, name, what it says. */
Fields Session::componentsOf(const Writer& writer) const {
  Fields answer = {hex(S_OK), std::to_string(script.age), writer.instance, writer.id};
  for (const Writer::Component& it : writer.components) {
    answer.insert(answer.end(), {it.type, it.path, it.name});
    auto said = script.says.find(writer.id + "/" + it.path + "/" + it.name);
    bool isSaid = said != script.says.end() && hasFailed(writer);
    Fields says = isSaid ? said->second : Fields{hex(S_OK), hex(S_OK), "-", "-", "-"};
    answer.insert(answer.end(), says.begin(), says.end());
  }
  return answer;
}
