#include "agent/cli/running_proxy.h"

#include "agent/cli/admin_client.h"
#include "agent/cli/proxy_config_view.h"

namespace sallyport::cli {
namespace {

void add_secrets(const Json* list, bool active, RunningProxy& out) {
  for (const auto* one : elements(list)) {
    RunningProxy::Secret secret;
    secret.active = active;
    secret.pem = secret_pem(one);
    secret.problem = text_of(member(one, "error_state.details"));
    out.secrets.insert_or_assign(text_of(member(one, "name")), std::move(secret));
  }
}

std::string tls_of(const Json* cluster) {
  if (member(cluster, "transport_socket_matches"))
    return "mutual TLS of the mesh to endpoints that take it";
  const auto* socket = member(cluster, "transport_socket");
  if (!socket) return "plaintext";
  const auto sni = text_of(member(socket, "typed_config.sni"));
  return sni.empty() ? "TLS" : "TLS with SNI " + sni;
}

void add_clusters(const Json* list, RunningProxy& out) {
  for (const auto* one : elements(list)) {
    const auto* cluster = member(one, "cluster");
    out.clusters.insert_or_assign(
        text_of(member(cluster, "name")),
        RunningProxy::Cluster{text_of(member(cluster, "refused")), tls_of(cluster)});
  }
}

}  // namespace

RunningProxy read_running_proxy(const Json* dump, std::string admin) {
  RunningProxy out;
  out.admin = std::move(admin);
  if (const auto found = section(dump, "FindingsDump")) {
    for (const auto* one : elements(member(*found, "findings"))) {
      if (text_of(member(one, "severity")) != "error") continue;
      out.refused.push_back({text_of(member(one, "file")) + ":" + text_of(member(one, "line")),
                             text_of(member(one, "reason"))});
    }
  }
  if (const auto found = section(dump, "SecretsConfigDump")) {
    add_secrets(member(*found, "dynamic_active_secrets"), true, out);
    add_secrets(member(*found, "dynamic_warming_secrets"), false, out);
  }
  if (const auto found = section(dump, "ClustersConfigDump"))
    add_clusters(member(*found, "dynamic_active_clusters"), out);
  return out;
}

std::optional<RunningProxy> ask_running_proxy(const SocketAddress& admin) {
  const auto answer = ask_admin(admin, "GET", "/config_dump");
  if (!answer) return std::nullopt;
  const auto dump = JsonDocument::parse(*answer);
  if (!dump || !section(dump->root(), "FindingsDump")) return std::nullopt;
  return read_running_proxy(dump->root(), admin.text());
}

}  // namespace sallyport::cli
