// ISTIO_PROMETHEUS_ANNOTATIONS.
#include <algorithm>
#include <charconv>

#include "agent/admin/app_metrics.h"
#include "agent/core/limits.h"
#include "agent/istio/json.h"

namespace sallyport::admin {
namespace {

using istio::Node;

struct BadTarget {
  std::string reason;
};

// As istio-agent's list of ports that are the proxy's own.
constexpr uint16_t reserved_ports[] = {15000, 15001, 15004, 15006, 15008,
                                       15020, 15021, 15053, 15090};

std::string text_or_empty(const Node& node, std::string_view key) {
  const Node* const found = node.find(key);
  if (!found || found->kind == Node::Kind::null) return {};
  if (found->kind != Node::Kind::text)
    throw BadTarget{std::string(key) + ": a string was expected"};
  return found->text;
}

uint16_t port_of(const std::string& text, uint16_t status_port) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  if (std::from_chars(text.data(), end, port).ptr != end || port == 0)
    throw BadTarget{"port: \"" + text + "\" is no port"};
  const auto own = std::find(std::begin(reserved_ports), std::end(reserved_ports), port);
  if (port == status_port || own != std::end(reserved_ports))
    throw BadTarget{"port: " + text + " is the proxy's own, which would scrape itself"};
  return port;
}

ScrapeTarget target_in(const Node& node, uint16_t status_port) {
  ScrapeTarget out;
  const std::string port = text_or_empty(node, "port"), path = text_or_empty(node, "path");
  if (!port.empty()) out.port = port_of(port, status_port);
  if (!path.empty()) out.path = path.starts_with('/') ? path : "/" + path;
  for (const char letter : out.path) {
    if (static_cast<unsigned char>(letter) <= ' ' || letter == 0x7f)
      throw BadTarget{"path: blanks and control characters can't be sent"};
  }
  return out;
}

ScrapeTargets targets_in(const Node& root, uint16_t status_port) {
  if (root.kind != Node::Kind::mapping) throw BadTarget{"a JSON object was expected"};
  if (text_or_empty(root, "scrape") == "false") return {};
  const Node* const list = root.find("targets");
  if (!list || list->kind == Node::Kind::null) return {target_in(root, status_port)};
  if (list->kind != Node::Kind::sequence) throw BadTarget{"targets: a list was expected"};
  if (list->entries.empty()) return {target_in(root, status_port)};
  if (list->entries.size() > limits::app_metrics_targets) throw BadTarget{"targets: too many"};
  ScrapeTargets out;
  for (const Node::Entry& one : list->entries) {
    if (one.value->kind != Node::Kind::mapping || text_or_empty(*one.value, "port").empty())
      throw BadTarget{"targets: an object with a port was expected"};
    out.push_back(target_in(*one.value, status_port));
  }
  return out;
}

Error bad_annotations(const std::string& what) {
  return {.fault = Fault::internal,
          .side = Side::local,
          .context = "ISTIO_PROMETHEUS_ANNOTATIONS: " + what};
}

}  // namespace

Result<ScrapeTargets> decode_scrape_targets(std::string_view json, uint16_t status_port) {
  if (json.empty()) return ScrapeTargets();
  if (json.size() > limits::document_bytes) return bad_annotations("longer than the limit");
  const istio::Trees trees = istio::parse_json(json, 1);
  if (!trees.errors.empty()) return bad_annotations("no JSON: " + trees.errors[0].reason);
  try {
    return targets_in(*trees.roots.at(0), status_port);
  } catch (const BadTarget& bad) {
    return bad_annotations(bad.reason);
  }
}

}  // namespace sallyport::admin
