#include "agent/admin/app_probes.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "agent/core/limits.h"
#include "agent/istio/json.h"

namespace sallyport::admin {
namespace {

using istio::Node;

struct Refused {
  std::string reason;
};

// Go's JSON, which wrote and read this first, takes keys in any case: "gRPC" is grpc.
const Node* find_key(const Node& node, std::string_view key) {
  if (const Node* exact = node.find(key)) return exact;
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (const Node::Entry& entry : node.entries) {
    if (std::equal(entry.key.begin(), entry.key.end(), key.begin(), key.end(), same))
      return entry.value;
  }
  return nullptr;
}

const Node* object_in(const Node& node, std::string_view key) {
  const Node* found = find_key(node, key);
  if (!found || found->kind == Node::Kind::null) return nullptr;
  if (found->kind != Node::Kind::mapping) {
    throw Refused{std::string(key) + ": an object was expected, found " +
                  std::string(describe(found->kind))};
  }
  return found;
}

std::string text_in(const Node& node, std::string_view key) {
  const Node* found = find_key(node, key);
  if (!found || found->kind == Node::Kind::null) return {};
  if (found->kind != Node::Kind::text) {
    throw Refused{std::string(key) + ": a string was expected, found " +
                  std::string(describe(found->kind))};
  }
  return found->text;
}

int64_t number_in(const Node& node, std::string_view key, int64_t max) {
  const Node* found = find_key(node, key);
  if (!found || found->kind == Node::Kind::null) return 0;
  int64_t number = 0;
  const char* const end = found->text.data() + found->text.size();
  if (found->kind != Node::Kind::integer ||
      std::from_chars(found->text.data(), end, number).ptr != end || number < 0 || number > max) {
    throw Refused{std::string(key) + ": a number from 0 to " + std::to_string(max) +
                  " was expected"};
  }
  return number;
}

uint16_t port_in(const Node& action) {
  const Node* found = find_key(action, "port");
  if (found && found->kind == Node::Kind::text) {
    throw Refused{"the port must be a number, not a name: \"" + found->text + "\""};
  }
  const auto port = static_cast<uint16_t>(number_in(action, "port", 65535));
  if (port == 0) throw Refused{"port: required"};
  return port;
}

void read_http(const Node& action, AppProbe& probe) {
  probe.kind = AppProbe::Kind::http_get;
  probe.path = text_in(action, "path");
  if (!probe.path.starts_with('/')) probe.path.insert(0, "/");
  for (const char letter : probe.path) {
    if (static_cast<unsigned char>(letter) <= ' ' || letter == 0x7f)
      throw Refused{"path: blanks and control characters can't be sent"};
  }
  const std::string scheme = text_in(action, "scheme");
  if (!scheme.empty() && scheme != "HTTP" && scheme != "HTTPS")
    throw Refused{"scheme: HTTP or HTTPS was expected"};
  probe.https = scheme == "HTTPS";
}

// "/app-health/CONTAINER/livez" and its like. True for a lifecycle hook.
bool read_place(std::string_view path) {
  const bool hook = path.starts_with("/app-lifecycle/");
  const std::string_view first = hook ? "/app-lifecycle/" : "/app-health/";
  const auto last = path.rfind('/');
  bool known = path.starts_with(first) && last > first.size() &&
               path.substr(first.size(), last - first.size()).find('/') == path.npos;
  if (known) {
    known = false;
    for (const std::string_view name : {"livez", "readyz", "startupz", "prestopz", "poststartz"})
      known |= path.substr(last + 1) == name;
  }
  if (!known) {
    throw Refused{
        "the path must be /app-health/CONTAINER/livez, readyz or startupz, or "
        "/app-lifecycle/CONTAINER/prestopz or poststartz"};
  }
  return hook;
}

AppProbe read_probe(std::string_view path, const Node& node) {
  const bool hook = read_place(path);
  if (node.kind != Node::Kind::mapping) {
    throw Refused{"an object was expected, found " + std::string(describe(node.kind))};
  }
  AppProbe probe;
  const Node* const http = object_in(node, "httpGet");
  const Node* const tcp = object_in(node, "tcpSocket");
  const Node* const grpc = object_in(node, "grpc");
  if ((http != nullptr) + (tcp != nullptr) + (grpc != nullptr) != 1)
    throw Refused{"one of httpGet, tcpSocket and grpc was expected"};
  if (http) read_http(*http, probe);
  if (tcp) probe.kind = AppProbe::Kind::tcp_socket;
  if (grpc) {
    probe.kind = AppProbe::Kind::grpc;
    probe.service = text_in(*grpc, "service");
  }
  probe.port = port_in(*(http ? http : tcp ? tcp : grpc));
  const int64_t seconds = number_in(node, "timeoutSeconds", 86'400);
  probe.timeout = std::chrono::seconds(seconds);
  if (seconds == 0) {
    probe.timeout = hook ? std::chrono::milliseconds(limits::app_hook_time)
                         : std::chrono::milliseconds(limits::app_probe_time);
  }
  return probe;
}

Error refusal(const std::string& what) {
  return {
      .fault = Fault::internal, .side = Side::local, .context = "ISTIO_KUBE_APP_PROBERS: " + what};
}

}  // namespace

Result<AppProbes> decode_app_probes(std::string_view json) {
  AppProbes probes;
  if (json.empty()) return probes;
  if (json.size() > limits::document_bytes) return refusal("longer than the limit");
  const istio::Trees trees = istio::parse_json(json, 1);
  if (!trees.errors.empty()) return refusal("no JSON: " + trees.errors[0].reason);
  const Node& root = *trees.roots.at(0);
  if (root.kind != Node::Kind::mapping) return refusal("a JSON object was expected");
  if (root.entries.size() > limits::app_probes) return refusal("too many probes");
  for (const Node::Entry& entry : root.entries) {
    try {
      probes[entry.key] = read_probe(entry.key, *entry.value);
    } catch (const Refused& refused) {
      return refusal("\"" + entry.key + "\": " + refused.reason);
    }
  }
  return probes;
}

IpAddress probe_destination(const std::vector<std::string>& pod_addresses, bool legacy_localhost) {
  std::optional<IpAddress> own;
  if (!pod_addresses.empty()) own = IpAddress::parse(pod_addresses.front());
  if (own && !legacy_localhost) return *own;
  return own && own->is_v6() ? IpAddress::v6(in6addr_loopback) : IpAddress::v4(0x7f000001);
}

}  // namespace sallyport::admin
