// What a route's actions make of paths and heads: pure text in, text out. Only requests whose route
// has actions come here.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "agent/http/message/head.h"
#include "agent/mesh/route.h"

namespace sallyport::proxy {

// `path` (with its query) as the rule rewrites it; it has matched the rule, so that of a prefix
// only the length counts.
std::string rewritten_path(const mesh::Rewrite& rewrite, std::string_view path);

// The Location of a redirect (Envoy's newUri: no port that its scheme implies).
std::string redirect_location(const mesh::Redirect& redirect, std::string_view scheme,
                              std::string_view authority, std::string_view path);

struct RequestEdits {
  std::string path;       // empty: as it came
  std::string authority;  // empty: as it came
};
using Operations = std::span<const istio::HeaderOperations* const>;
// The text of a value of HeaderOperations that are formatted.
using TextOf = std::function<std::string(const std::string& value)>;

// A whole head, to be parsed like one that came. Each of `operations` in turn: remove, set, add.
// Fields that frame the message are not touched.
std::string edited_request(const http::Head& head, const RequestEdits& edits, Operations operations,
                           const TextOf& text_of);
std::string edited_response(const http::Head& head, Operations operations, const TextOf& text_of);

// The fields that `operations` leave of none: for answers of our own. "name: value\r\n" each.
std::string fields_of(Operations operations, const TextOf& text_of);

}  // namespace sallyport::proxy
