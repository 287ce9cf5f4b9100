#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

// "0.1.0" as Envoy's SemanticVersion.
void dump_version(JsonWriter& json, std::string_view version) {
  json.object("version", [&] {
    for (const auto* const part : {"major_number", "minor_number", "patch"}) {
      const auto digits = version.substr(0, version.find('.'));
      version.remove_prefix(std::min(version.size(), digits.size() + 1));
      json.field(part, std::stoi(std::string(digits)));
    }
  });
}

}  // namespace

std::string node_id(const mesh::Snapshot& snapshot) {
  const istio::Proxy& proxy = snapshot.proxy;
  const char* type = proxy.type == istio::Proxy::Type::router ? "router~" : "sidecar~";
  return type + (proxy.addresses.empty() ? "" : proxy.addresses.front()) + "~" + proxy.name + "." +
         proxy.namespace_name + "~" + proxy.namespace_name + ".svc." + snapshot.mesh.cluster_domain;
}

void dump_node_metadata(JsonWriter& json, const istio::Proxy& proxy) {
  json.object("metadata", [&] {
    json.field("NAME", proxy.name);
    json.field("NAMESPACE", proxy.namespace_name);
    json.field("SERVICE_ACCOUNT", proxy.service_account);
    json.object("LABELS", [&] {
      for (const auto& [key, value] : proxy.labels) json.field(key, value);
    });
  });
}

void dump_bootstrap(JsonWriter& json, const mesh::Snapshot& snapshot) {
  json.object([&] {
    json.field("@type", "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump");
    json.object("bootstrap", [&] {
      json.object("node", [&] {
        json.field("id", node_id(snapshot));
        dump_node_metadata(json, snapshot.proxy);
        json.field("user_agent_name", "sallyport");
        json.object("user_agent_build_version", [&] { dump_version(json, SALLYPORT_VERSION); });
      });
    });
  });
}

void dump_findings(JsonWriter& json, const std::vector<istio::Finding>& findings) {
  json.object([&] {
    json.field("@type", "type.googleapis.com/sallyport.admin.v1.FindingsDump");
    json.array("findings", [&] {
      for (const auto& finding : findings) {
        json.object([&] {
          json.field("severity", finding.severity == istio::Severity::error ? "error" : "warning");
          json.field("file", finding.file);
          json.field("line", finding.line);
          json.field("kind", finding.kind);
          json.field("namespace", finding.namespace_name);
          json.field("name", finding.name);
          json.field("field", finding.field);
          json.field("reason", finding.reason);
        });
      }
    });
  });
}

}  // namespace sallyport::admin
