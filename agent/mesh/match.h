// Does a rule of a route table take a request? Pure.
#pragma once
#include <string_view>

#include "agent/http/message/head.h"
#include "agent/mesh/route.h"

namespace sallyport::mesh {

struct RequestFacts {
  std::string_view authority;  // Host as sent, port included
  std::string_view path;       // with its query
  std::string_view method;
  std::string_view scheme = "http";
  const http::Head* head = nullptr;  // its fields; null: none
  uint32_t random = 0;               // decides between weighted destinations
};

bool matches(const RouteMatch& match, const RequestFacts& request);
bool matches(const TextMatch& match, std::string_view value, bool ignore_case = false);

// Without query and fragment: what uri matches look at (Envoy).
std::string_view path_only(std::string_view path);

}  // namespace sallyport::mesh
