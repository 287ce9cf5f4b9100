// Where a decision comes from: the resource and its place in a file, for logs, explain and error
// texts.
#pragma once
#include <memory>
#include <string>

#include "agent/core/shared_text.h"

namespace sallyport {

struct ResourceRef {
  std::string kind;  // "DestinationRule"
  std::string namespace_name;
  std::string name;
  SharedText file;  // as given; empty when it did not come from a file
  int line = 0;     // 1-based line of the document's first key; 0 unknown

  // "DestinationRule default/originate-mtls (rules.yaml:12)"
  std::string text() const;
  bool operator==(const ResourceRef&) const = default;
};
using ResourceRefPtr = std::shared_ptr<const ResourceRef>;

// The text of `ref` (may be null: empty), at another line of its file where `line` is not 0.
std::string text_at(const ResourceRefPtr& ref, int line = 0);

}  // namespace sallyport
