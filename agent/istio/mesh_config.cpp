// MeshConfig and ProxyConfig (istio-api.md 1.11, 1.12): from a file or from the ConfigMap
// istio-system/istio.
#include "agent/istio/decode.h"
#include "agent/istio/documents.h"
#include "agent/istio/fields.h"
#include "agent/istio/http_fields.h"
#include "agent/istio/json.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"

namespace sallyport::istio {
namespace {

using std::chrono::milliseconds;

constexpr Choice mesh_outbound_modes[] = {{"REGISTRY_ONLY", 0}, {"ALLOW_ANY", 1}};
constexpr Choice log_encodings[] = {{"TEXT", 0}, {"JSON", 1}};

constexpr Choice client_cert_details[] = {{"UNDEFINED", 0},    {"SANITIZE", 1},
                                          {"FORWARD_ONLY", 2}, {"APPEND_FORWARD", 3},
                                          {"SANITIZE_SET", 4}, {"ALWAYS_FORWARD_ONLY", 5}};

GatewayTopology decode_gateway_topology(Fields& topology) {
  GatewayTopology out;
  const auto proxies = topology.integer("numTrustedProxies", 0, UINT32_MAX);
  out.trusted_proxies = static_cast<uint32_t>(proxies.value_or(0));
  if (const auto chosen = topology.choice("forwardClientCertDetails", client_cert_details))
    out.forward_client_cert = static_cast<ForwardClientCert>(*chosen);
  out.proxy_protocol = topology.object("proxyProtocol", [](Fields&) {});
  return out;
}

void decode_proxy_fields(ProxyConfig& config, Fields& fields) {
  if (const auto value = fields.integer("concurrency", 0, 1024)) {
    config.concurrency = static_cast<int>(*value);
  }
  if (const auto value = fields.duration("drainDuration")) config.drain_duration = *value;
  if (const auto value = fields.duration("terminationDrainDuration", milliseconds(0))) {
    config.termination_drain_duration = *value;
  }
  if (fields.has("statusPort")) config.status_port = fields.optional_port("statusPort");
  for (auto& [key, value] : fields.labels("proxyMetadata")) config.proxy_metadata[key] = value;
  // As a whole, unlike the maps: one in PROXY_CONFIG takes the place of the mesh's (istiod's
  // merge).
  fields.object("gatewayTopology", [&](Fields& topology) {
    config.gateway_topology = decode_gateway_topology(topology);
  });
  fields.ignore({"discoveryAddress", "serviceCluster", "meshId", "configPath", "binaryPath",
                 "controlPlaneAuthPolicy", "proxyAdminPort", "interceptionMode",
                 "holdApplicationUntilProxyStarts", "image"});
  fields.unsupported({"tracing", "proxyHeaders", "extraStatTags", "proxyStatsMatcher",
                      "privateKeyProvider", "caCertificatesPem", "readinessProbe",
                      "envoyAccessLogService", "envoyMetricsService", "environmentVariables",
                      "runtimeValues"});
}

void decode_outbound_policy(MeshConfig& config, Fields& policy) {
  const auto mode = policy.choice("mode", mesh_outbound_modes);
  if (mode) config.outbound_traffic_policy = static_cast<OutboundMode>(*mode);
  policy.unsupported({"tls"});
}

void decode_access_log(MeshConfig& config, Fields& fields) {
  config.access_log_file = fields.text("accessLogFile");
  config.access_log_format = fields.text("accessLogFormat");
  config.access_log_format_line = fields.line_of("accessLogFormat");
  const auto encoding = fields.choice("accessLogEncoding", log_encodings);
  if (encoding) config.access_log_encoding = static_cast<LogEncoding>(*encoding);
  if (config.access_log_encoding != LogEncoding::json || config.access_log_format.empty()) return;
  const Trees trees = parse_json(config.access_log_format, 1);
  const std::string wanted = "with accessLogEncoding JSON it must be a JSON object";
  if (!trees.errors.empty()) {
    const TreeError& error = trees.errors[0];
    fields.error("accessLogFormat",
                 wanted + "; its line " + std::to_string(error.line) + ": " + error.reason);
  } else if (trees.roots[0]->kind != Node::Kind::mapping) {
    fields.error("accessLogFormat",
                 wanted + ", found " + std::string(describe(trees.roots[0]->kind)));
  }
}

void decode_listening(MeshConfig& config, Fields& fields) {
  if (const uint16_t port = fields.port("proxyListenPort")) config.proxy_listen_port = port;
  if (const uint16_t port = fields.port("proxyInboundListenPort")) {
    config.proxy_inbound_listen_port = port;
  }
  if (const auto value = fields.duration("connectTimeout")) config.connect_timeout = *value;
  if (const auto value = fields.duration("protocolDetectionTimeout", milliseconds(0))) {
    config.protocol_detection_timeout = *value;
  }
  if (const auto value = fields.duration("dnsRefreshRate")) config.dns_refresh_rate = *value;
}

void decode_identity(MeshConfig& config, Fields& fields) {
  // Empty is not given, as in a protobuf message.
  if (auto text = fields.text("rootNamespace"); !text.empty()) config.root_namespace = text;
  if (auto text = fields.text("trustDomain"); !text.empty()) config.trust_domain = text;
  config.trust_domain_aliases = fields.texts("trustDomainAliases");
  if (std::erase(config.trust_domain_aliases, "") != 0)
    fields.error("trustDomainAliases", "an alias may not be empty");
  config.default_destination_rule_export_to = fields.texts("defaultDestinationRuleExportTo");
  config.default_service_export_to = fields.texts("defaultServiceExportTo");
  for (const auto& [name, entries] :
       {std::pair<std::string_view, const std::vector<std::string>&>(
            "defaultDestinationRuleExportTo", config.default_destination_rule_export_to),
        {"defaultServiceExportTo", config.default_service_export_to}}) {
    const Exported any{.namespace_name = ".", .is_service_entry = true};
    if (auto problem = export_to_problem(entries, any)) fields.error(name, *problem);
  }
}

// What a DestinationRule says for one service, for all.
void decode_traffic_defaults(MeshConfig& config, Fields& fields) {
  fields.object("tcpKeepalive",
                [&](Fields& block) { config.tcp_keepalive = decode_tcp_keepalive(block); });
  fields.object("localityLbSetting",
                [&](Fields& block) { config.locality = decode_locality_lb(block); });
  fields.object("defaultTrafficPolicy", [&](Fields& policy) {
    auto& defaults = config.default_traffic_policy.emplace();
    policy.object("connectionPool",
                  [&](Fields& block) { defaults.connection_pool = decode_connection_pool(block); });
    policy.object("outlierDetection", [&](Fields& block) {
      defaults.outlier_detection = decode_outlier_detection(block);
    });
  });
}

constexpr Choice inbound_modes[] = {{"PASSTHROUGH", 0}, {"LOCALHOST", 1}};

// Istio's own mutual TLS, and what reaches the workload.
void decode_mesh_tls(MeshConfig& config, Fields& fields) {
  config.enable_auto_mtls = fields.boolean("enableAutoMtls").value_or(true);
  fields.object("meshMTLS", [&](Fields& tls) { config.mesh_mtls = decode_tls_defaults(tls); });
  fields.object("inboundTrafficPolicy", [&](Fields& policy) {
    config.inbound_to_localhost = policy.choice("mode", inbound_modes).value_or(0) == 1;
  });
}

constexpr Choice normalizations[] = {{"DEFAULT", 0},
                                     {"NONE", 1},
                                     {"BASE", 2},
                                     {"MERGE_SLASHES", 3},
                                     {"DECODE_AND_MERGE_SLASHES", 4}};

void decode_path_normalization(MeshConfig& config, Fields& fields) {
  constexpr PathNormalization by_number[] = {
      PathNormalization::base, PathNormalization::none, PathNormalization::base,
      PathNormalization::merge_slashes, PathNormalization::decode_and_merge_slashes};
  const auto chosen = fields.choice("normalization", normalizations);
  if (chosen) config.path_normalization = by_number[*chosen];
}

void decode_mesh_fields(MeshConfig& config, Fields& fields) {
  fields.object(
      "outboundTrafficPolicy", [&](Fields& policy) { decode_outbound_policy(config, policy); },
      Unknown::refuse);
  decode_access_log(config, fields);
  config.extension_providers = decode_extension_providers(fields);
  config.default_providers = decode_default_providers(fields);
  decode_listening(config, fields);
  decode_identity(config, fields);
  fields.object("defaultHttpRetryPolicy",
                [&](Fields& retry) { config.default_retries = decode_default_retries(retry); });
  fields.object("tlsDefaults",
                [&](Fields& tls) { config.tls_defaults = decode_tls_defaults(tls); });
  fields.object("defaultConfig",
                [&](Fields& proxy) { decode_proxy_fields(config.default_config, proxy); });
  decode_mesh_tls(config, fields);
  decode_traffic_defaults(config, fields);
  fields.object("pathNormalization",
                [&](Fields& paths) { decode_path_normalization(config, paths); });
  // No matter without a control plane, or the same as what is done anyway.
  fields.ignore({"enablePrometheusMerge", "configSources", "ingressClass", "ingressService",
                 "ingressControllerMode", "ingressSelector", "caCertificates", "ca", "certificates",
                 "discoverySelectors", "disableEnvoyListenerLog", "enableEnvoyAccessLogService",
                 "verifyCertificateAtClient", "defaultVirtualServiceExportTo", "thriftConfig",
                 "enableTracing"});
  fields.unsupported(
      {"proxyHttpPort", "h2UpgradePolicy", "serviceSettings", "serviceEntryVisibility"});
}

// The line of the file where a block scalar's text begins; a one-line text stands where its node
// is.
int first_line_of(const Node& text) {
  return text.text.find('\n') == std::string::npos ? text.line : text.line + 1;
}

const Node* only_root(const Trees& trees, Report& report) {
  if (!trees.errors.empty()) {
    report.error(trees.errors[0].line, "", trees.errors[0].reason);
  } else if (trees.roots.size() > 1) {
    report.error(trees.roots[1]->line, "", "more than one document");
  }
  return report.first_error() || trees.roots.empty() ? nullptr : trees.roots[0];
}

// Reads one document, or the text in its `key` if it is a ConfigMap.
void read_document(const Document& document, std::string_view key, Report& report,
                   const std::function<void(Fields&)>& read) {
  if (const auto error = check_text(document)) return report.error(error->line, "", error->reason);
  const Trees trees = parse_trees(document.text, document.line);
  const Node* root = only_root(trees, report);
  if (!root) return;
  const Node* kind = root->find("kind");
  if (!kind || kind->text != "ConfigMap" || key.empty()) {
    Fields fields(*root, "", report);
    fields.ignore({"apiVersion", "kind"});
    read(fields);
    return fields.finish();
  }
  const Node* data = root->find("data");
  const Node* text = data ? data->find(key) : nullptr;
  if (!text || text->kind != Node::Kind::text) {
    return report.error(root->line, "data." + std::string(key), "required");
  }
  read_document({text->text, first_line_of(*text)}, "", report, read);
}

}  // namespace

MeshConfigResult decode_mesh_config(std::string_view text, std::string_view file) {
  MeshConfigResult result;
  Report report{std::string(file), result.findings};
  report.identify("MeshConfig", "", "");
  const std::vector<Document> documents = split_documents(text);
  if (documents.size() > 1) report.error(documents[1].line, "", "more than one document");
  if (documents.size() == 1) {
    read_document(documents[0], "mesh", report,
                  [&](Fields& fields) { decode_mesh_fields(result.config, fields); });
  }
  return result;
}

ProxyConfigResult decode_proxy_config(std::string_view text, std::string_view source,
                                      ProxyConfig base) {
  ProxyConfigResult result{std::move(base), {}};
  Report report{std::string(source), result.findings};
  report.identify("ProxyConfig", "", "");
  read_document({text, 1}, "", report,
                [&](Fields& fields) { decode_proxy_fields(result.config, fields); });
  return result;
}

}  // namespace sallyport::istio
