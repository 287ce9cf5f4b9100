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

inline bool is_of_mesh(const std::vector<std::string>& offered) {
  for (const std::string_view one :
       {"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}) {
    if (offers(offered, one)) return true;
  }
  return false;
}

}  // namespace sallyport::mesh
