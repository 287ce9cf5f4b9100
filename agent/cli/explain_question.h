// What an application would ask for, and whether the pod's redirects hand it to the sidecar.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/analyze/world.h"
#include "agent/core/error.h"
#include "agent/http/message/head.h"
#include "agent/mesh/explain.h"

namespace sallyport::cli {

struct Url {
  std::string scheme;  // http, https, tcp
  std::string host;    // lower case, without brackets
  std::string path = "/";
  uint16_t port = 0;
  std::string authority() const;  // as a client writes Host
  std::string text() const;
};
// "http://host[:port][/path]", https the same, "tcp://host:port".
Result<Url> parse_url(std::string_view text);

struct Dialled {
  SocketAddress address;
  std::string how;       // "the address of ServiceEntry default/x (rules.yaml:3)", ...
  bool guessed = false;  // it stands for what DNS will say
};
// Where the application's connection goes: `given`, the URL's address, that of the service it
// names (as the resolver of a pod in namespace `from` completes names, ndots:5), of a headless one
// that of a pod, or else an address that stands for what DNS will say (RFC 5737). `resources`:
// those in force, with their stand-ins.
Dialled dialled(const analyze::World& world, const mesh::Resources& resources, const Url& url,
                const std::string& from, const std::string& given);

// What the pod's annotations make of a connection, as `sallyport init` and Istio's injector do; one
// without a sidecar is never captured.
struct Capture {
  bool captured = true;
  mesh::ExplainedStep step;
};
Capture capture(const analyze::World& world, const analyze::Workload* pod,
                const SocketAddress& destination);

// Bytes of the request and its head, whose address stays the same.
class Asked {
public:
  Asked(const Url& url, std::string method, const std::vector<std::string>& headers);
  Asked(const Asked&) = delete;
  // What is wrong with it; none: nothing.
  std::optional<std::string> problem() const;
  mesh::Question question(const SocketAddress& destination) const;
  // The same of one who ends the client's TLS: the request inside is known.
  mesh::Question question_inside(const SocketAddress& destination) const;

private:
  void set_request(mesh::Question& question) const;

  const Url& url_;
  std::string bytes_, bad_header_;
  http::Head head_;
  http::Parse parsed_ = http::Parse::done;
};

}  // namespace sallyport::cli
