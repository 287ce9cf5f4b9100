// Helpers for the tests of decoding: one document in, what became of it out.
#pragma once
#include <string>
#include <vector>

#include "agent/istio/decode.h"

namespace sallyport::istio {

inline std::vector<std::string> texts(const std::vector<Finding>& findings) {
  std::vector<std::string> out;
  for (const Finding& finding : findings) out.push_back(finding.text());
  return out;
}

// The only resource in `text`; fails the test with the findings when it isn't one of that kind.
template <class T>
T only(const std::string& text) {
  const Decoded decoded = decode(text, "f.yaml");
  const T* resource =
      decoded.resources.size() == 1 ? std::get_if<T>(&decoded.resources[0]) : nullptr;
  EXPECT_TRUE(resource) << testing::PrintToString(texts(decoded.findings)) << '\n' << text;
  return resource ? *resource : T{};
}

// `body` indented under `spec:` of a named resource.
inline std::string document(const std::string& kind, const std::string& body) {
  std::string text =
      "apiVersion: networking.istio.io/v1\nkind: " + kind + "\nmetadata:\n  name: x\nspec:\n";
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = std::min(body.find('\n', at), body.size());
    text += "  " + body.substr(at, end - at) + '\n';
    at = end + 1;
  }
  return text;
}

// The findings' "line: field: reason", without file and resource: for tables.
inline std::vector<std::string> complaints(const std::string& text) {
  std::vector<std::string> out;
  for (const Finding& finding : decode(text, "f.yaml").findings) {
    out.push_back(std::to_string(finding.line) + ": " + finding.field + ": " + finding.reason);
  }
  return out;
}

}  // namespace sallyport::istio
