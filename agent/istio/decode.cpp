#include "agent/istio/decode.h"

#include <algorithm>
#include <ctime>

#include "agent/istio/decode_refused.h"
#include "agent/istio/documents.h"
#include "agent/istio/kind_names.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"
#include "agent/istio/scrape.h"

namespace sallyport::istio {
namespace {

constexpr int lists_in_lists_max = 4;

class Decoder {
public:
  explicit Decoder(SharedText file) : file_(std::move(file)) {}
  void document(const Document& document);
  Decoded take() { return std::move(decoded_); }
  std::vector<Resource> take_refused() { return std::move(refused_); }

private:
  void broken(const Document& document, const TreeError& error);
  void root(const Node& node, int depth);
  void list(Fields& fields, int depth);
  void resource(Fields& fields, Standing standing, const std::string& kind, const Node& node);
  void read(Fields& fields, Metadata metadata, Report& report, const Node& node);
  Metadata metadata(Fields& fields, const std::string& kind);
  void refuse(const Finding& finding, ResourceRefPtr ref, std::vector<std::string> hosts);
  void outside(const Node& node, Severity severity, std::string reason);

  SharedText file_;
  Decoded decoded_;
  std::vector<Resource> refused_;  // as far as they could be read
};

// As the API server writes it: "2026-01-02T03:04:05Z". 0: it is nothing of the kind.
int64_t seconds_of(const std::string& time) {
  std::tm parts{};
  const char* const end = ::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return end && *end == '\0' ? ::timegm(&parts) : 0;
}

// Of a VirtualService.
std::vector<std::string> named_gateways(const Node& node) {
  std::vector<std::string> out;
  const Node* spec = node.find("spec");
  const Node* gateways = spec ? spec->find("gateways") : nullptr;
  if (!gateways) return out;
  for (const Node::Entry& one : gateways->entries) out.push_back(one.value->text);
  return out;
}

// What a resource names, however wrong the rest of it is.
std::vector<std::string> named_hosts(const Node& node) {
  std::vector<std::string> hosts;
  const Node* spec = node.find("spec");
  if (!spec) return hosts;
  const auto add = [&](const Node& host) {
    if (host.is_scalar() && !host.text.empty()) hosts.push_back(lower_case(host.text));
  };
  for (const std::string_view field : {"host", "hosts"}) {
    const Node* value = spec->find(field);
    if (!value) continue;
    add(*value);
    for (const Node::Entry& entry : value->entries) add(*entry.value);
  }
  return hosts;
}

void Decoder::refuse(const Finding& finding, ResourceRefPtr ref, std::vector<std::string> hosts) {
  decoded_.refused.push_back(
      {finding, ref->kind, ref->namespace_name, ref->name, std::move(hosts), ref});
  // Of a document that no parser can read: everything.
  const bool selects = ref->kind == "PeerAuthentication" || ref->kind == "AuthorizationPolicy" ||
                       ref->kind == "Gateway";
  auto& refused = decoded_.refused.back();
  if (selects) refused.selector.emplace();
  if (ref->kind != "Gateway" || refused.hosts.empty()) return;
  refused.servers.emplace_back();
  for (const auto& host : refused.hosts) refused.servers.back().hosts.push_back(server_host(host));
}

// A finding about a document of no known kind. An error is a refusal too: what it was meant to be
// is not known, so that what it names must be closed and what the file gave before must stay.
void Decoder::outside(const Node& node, Severity severity, std::string reason) {
  Finding finding{severity, file_, node.line, "", "", "", "", std::move(reason)};
  decoded_.findings.push_back(finding);
  if (severity != Severity::error) return;
  refuse(finding, std::make_shared<ResourceRef>(ResourceRef{"", "", "", file_, node.line}),
         named_hosts(node));
}

// A document that no parser can read: one finding, and for each resource that seems to be in it a
// refusal.
void Decoder::broken(const Document& document, const TreeError& error) {
  std::vector<Scraped> found = scrape(document.text, document.line);
  Finding finding{Severity::error, file_, error.line, "", "", "", "", error.reason};
  if (found.size() == 1) {
    finding.kind = found[0].kind;
    finding.namespace_name = found[0].namespace_name;
    finding.name = found[0].name;
  }
  decoded_.findings.push_back(finding);
  if (found.empty()) found.push_back({"", "", "", {}, document.line});
  for (Scraped& resource : found) {
    refuse(finding,
           std::make_shared<ResourceRef>(ResourceRef{resource.kind, resource.namespace_name,
                                                     resource.name, file_, resource.line}),
           std::move(resource.hosts));
  }
}

void Decoder::document(const Document& document) {
  if (const auto error = check_text(document)) return broken(document, *error);
  const Trees trees = parse_trees(document.text, document.line);
  if (!trees.errors.empty()) return broken(document, trees.errors[0]);
  for (const Node* node : trees.roots) root(*node, 0);
}

void Decoder::root(const Node& node, int depth) {
  if (node.kind != Node::Kind::mapping) {
    return outside(node, Severity::error,
                   "expected a resource (apiVersion, kind, metadata), found " +
                       std::string(describe(node.kind)));
  }
  Report quiet{file_, decoded_.findings};
  Fields fields(node, "", quiet, Unknown::ignore);
  const std::string api_version = fields.text("apiVersion");
  const std::string kind = fields.text("kind");
  if (kind.empty()) return outside(node, Severity::error, "kind: required");
  if (kind.ends_with("List") && fields.has("items")) return list(fields, depth);
  if (api_version.empty() && !is_known_kind(kind)) {
    return outside(node, Severity::error, "apiVersion: required");
  }
  const Standing standing =
      api_version.empty() ? Standing::bad_version : standing_of(api_version, kind);
  if (standing == Standing::foreign) {
    return outside(node, Severity::warning,
                   one_line(kind) + " (" + one_line(api_version) + ") has no effect here");
  }
  resource(fields, standing, kind, node);
}

void Decoder::list(Fields& fields, int depth) {
  const Node& items = *fields.find("items");
  if (items.kind != Node::Kind::sequence) {
    return outside(items, Severity::error, "items: expected a list");
  }
  if (depth >= lists_in_lists_max) {
    return outside(items, Severity::error, "items: lists in lists in lists");
  }
  for (const Node::Entry& item : items.entries) root(*item.value, depth + 1);
}

Metadata Decoder::metadata(Fields& document, const std::string& kind) {
  Metadata metadata;
  ResourceRef ref{kind, "default", "", file_, document.line()};
  const bool given = document.object(
      "metadata",
      [&](Fields& fields) {
        ref.name = fields.text("name");
        const std::string namespace_name = fields.text("namespace");
        if (!namespace_name.empty()) ref.namespace_name = namespace_name;
        document.report().identify(kind, ref.namespace_name, ref.name);
        if (auto problem = resource_name_problem(ref.name)) {
          fields.error("name", ref.name.empty() ? "required" : *problem);
        }
        if (!is_dns_label(ref.namespace_name)) {
          fields.error("namespace", "invalid value " + quoted(ref.namespace_name));
        }
        metadata.created = seconds_of(fields.text("creationTimestamp"));
        metadata.labels = fields.labels("labels");
        metadata.annotations = fields.labels("annotations");
        // The whole resource once more, as kubectl leaves it.
        metadata.annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
        if (is_of_istio(kind) && kind != "AuthorizationPolicy" &&
            metadata.annotations.contains("istio.io/dry-run")) {
          fields.error("annotations", "unsupported annotation istio.io/dry-run");
        }
      },
      Unknown::ignore);  // Kubernetes adds many of its own
  if (!given) document.error("metadata", "required");
  metadata.ref = std::make_shared<ResourceRef>(std::move(ref));
  return metadata;
}

void Decoder::resource(Fields& quiet, Standing standing, const std::string& kind,
                       const Node& node) {
  Report report{file_, decoded_.findings};
  report.identify(kind, "", "");
  Fields document(node, "", report);
  const std::string api_version = document.text("apiVersion");
  document.ignore({"kind"});
  if (standing == Standing::unsupported) {
    const Node* metadata = quiet.find("metadata");
    const Node* name = metadata ? metadata->find("name") : nullptr;
    const Node* in = metadata ? metadata->find("namespace") : nullptr;
    report.identify(kind, in ? in->text : "default", name ? name->text : "");
    return report.warn(node.line, "", "this kind is not supported, has no effect");
  }
  Metadata identity = metadata(document, kind);
  if (standing == Standing::bad_version) {
    document.error("apiVersion",
                   api_version.empty() ? "required" : "no such version: " + quoted(api_version));
  }
  read(document, std::move(identity), report, node);
}

void Decoder::read(Fields& document, Metadata metadata, Report& report, const Node& node) {
  const ResourceRefPtr ref = metadata.ref;
  const auto keep = [&](auto resource) {
    document.finish();
    if (!report.first_error()) {
      decoded_.resources.emplace_back(std::move(resource));
    } else {
      refuse(*report.first_error(), ref,
             protects(ref->kind) ? named_hosts(node) : std::vector<std::string>());
      auto& refused = decoded_.refused.back();
      refused.selector = protected_workloads(ref->kind, node);
      if (ref->kind == "VirtualService") refused.gateways = named_gateways(node);
      if (ref->kind == "Gateway") refused.servers = readable_servers(node);
      refused_.emplace_back(std::move(resource));
    }
  };
  if (ref->kind == "ServiceEntry") return keep(decode_service_entry(std::move(metadata), document));
  if (ref->kind == "DestinationRule") {
    return keep(decode_destination_rule(std::move(metadata), document));
  }
  if (ref->kind == "VirtualService") {
    return keep(decode_virtual_service(std::move(metadata), document));
  }
  if (ref->kind == "WorkloadEntry") {
    return keep(decode_workload_entry(std::move(metadata), document));
  }
  if (ref->kind == "Gateway") return keep(decode_gateway(std::move(metadata), document));
  if (ref->kind == "Telemetry") return keep(decode_telemetry(std::move(metadata), document));
  if (ref->kind == "Sidecar") return keep(decode_sidecar(std::move(metadata), document));
  if (ref->kind == "WorkloadGroup") {
    return keep(decode_workload_group(std::move(metadata), document));
  }
  if (ref->kind == "Pod") return keep(decode_pod(std::move(metadata), document));
  if (ref->kind == "EndpointSlice") {
    return keep(decode_endpoint_slice(std::move(metadata), document));
  }
  if (ref->kind == "PeerAuthentication") {
    return keep(decode_peer_authentication(std::move(metadata), document));
  }
  if (ref->kind == "AuthorizationPolicy") {
    return keep(decode_authorization_policy(std::move(metadata), document));
  }
  if (ref->kind == "Service") return keep(decode_service(std::move(metadata), document));
  if (ref->kind == "Secret") return keep(decode_secret(std::move(metadata), document));
  keep(decode_config_map(std::move(metadata), document));
}

}  // namespace

Decoded decode(std::string_view text, std::string_view file) {
  Decoder decoder(file);
  for (const Document& document : split_documents(text)) decoder.document(document);
  return decoder.take();
}

std::vector<Resource> decode_refused(std::string_view text, std::string_view file) {
  Decoder decoder(file);
  for (const Document& document : split_documents(text)) decoder.document(document);
  return decoder.take_refused();
}

Decoded decode(const Document& document, const SharedText& file) {
  Decoder decoder(file);
  decoder.document(document);
  return decoder.take();
}

}  // namespace sallyport::istio
