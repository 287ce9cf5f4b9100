// What Istio's sidecars offer by ALPN, and nobody else (istio-api.md 2.12). Pure.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::mesh {

inline bool offers(const std::vector<std::string>& offered, std::string_view wanted) {
  return std::find(offered.begin(), offered.end(), wanted) != offered.end();
}

inline const std::vector<std::string>& mesh_protocols() {
  static const std::vector<std::string> all = {"istio", "istio-peer-exchange", "istio-http/1.0",
                                               "istio-http/1.1", "istio-h2"};
  return all;
}

inline bool is_of_mesh(const std::vector<std::string>& offered) {
  const auto& all = mesh_protocols();
  return std::any_of(all.begin(), all.end(), [&](const auto& one) { return offers(offered, one); });
}

}  // namespace sallyport::mesh
