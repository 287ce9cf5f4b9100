// A file's text cut into its documents, before YAML is parsed: so that a broken document never
// hides the next one.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/tree.h"

namespace sallyport::istio {

struct Document {
  std::string_view text;  // into the file's text; a leading `---` line is part of it
  int line = 1;           // of its first line in the file
};

// Cut at lines that are `---` (alone or before a blank) and after lines that are `...`. Documents
// of nothing but blanks and comments are left out.
std::vector<Document> split_documents(std::string_view text);

// What YAML can't hold or what two readers would read differently: control characters, a lone CR,
// text that isn't UTF-8, more than limits::document_bytes.
std::optional<TreeError> check_text(const Document& document);

}  // namespace sallyport::istio
