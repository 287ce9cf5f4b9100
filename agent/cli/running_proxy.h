// What the proxy in the same pod says of itself: which documents it refuses, and whether it has the
// workload's certificate. Its keys it never shows.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/json_document.h"
#include "agent/core/address.h"

namespace sallyport::cli {

struct RunningProxy {
  struct Refusal {
    std::string place, reason;  // "FILE:LINE"
  };
  struct Secret {
    bool active = false;  // else it is warming
    std::string pem;      // the chain, or the roots; empty while it is warming
    std::string problem;  // why it is warming, or why a newer version was not taken
  };
  struct Cluster {
    std::string refused;  // why nobody is sent to; empty: they are
    std::string tls;      // "plaintext", "TLS with SNI a.test", "mutual TLS of the mesh"
  };
  std::string admin;  // where it was asked: "127.0.0.1:15000"
  std::vector<Refusal> refused;
  std::map<std::string, Secret, std::less<>> secrets;    // by name
  std::map<std::string, Cluster, std::less<>> clusters;  // by name
  const Secret* secret(std::string_view name) const {
    const auto at = secrets.find(name);
    return at == secrets.end() ? nullptr : &at->second;
  }
};

// Pure. A part that the dump does not have stays empty.
RunningProxy read_running_proxy(const Json* dump, std::string admin);
// Asks the admin port. Nothing: none answers there, or not as one of ours.
std::optional<RunningProxy> ask_running_proxy(const SocketAddress& admin);

}  // namespace sallyport::cli
