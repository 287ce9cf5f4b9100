#include "agent/core/resource_ref.h"

namespace sallyport {

std::string ResourceRef::text() const {
  std::string out = kind + " ";
  if (!namespace_name.empty()) out += namespace_name + "/";
  out += name;
  if (!file.empty()) {
    out += " (" + file.str();
    if (line > 0) out += ":" + std::to_string(line);
    out += ")";
  }
  return out;
}

std::string text_at(const ResourceRefPtr& ref, int line) {
  if (!ref) return {};
  ResourceRef at = *ref;
  if (line > 0) at.line = line;
  return at.text();
}

}  // namespace sallyport
