// What a cluster means, in words.
#include <algorithm>

#include "agent/istio/names.h"
#include "agent/mesh/explain.h"
#include "agent/mesh/explain_mesh_tls.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

ExplainedStep rule_step(const CompileInput& input, const Cluster& cluster) {
  ExplainedStep step{"rule", "", text_at(cluster.rule), rules_not_chosen(input, cluster)};
  if (cluster.rule) {
    step.text = "this DestinationRule decides";
  } else {
    step.text = step.notes.empty() ? "no DestinationRule names this host"
                                   : "no DestinationRule decides for this proxy";
  }
  return step;
}

std::string with_or(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : " or ") + name;
  return out;
}

std::string verified(const TlsOrigination& tls, const std::string& host) {
  if (tls.skip_verify) return "nothing is verified (insecureSkipVerify)";
  if (!tls.names.empty()) return "the certificate must name " + with_or(tls.names);
  if (tls.auto_san) return "the certificate must name " + (host.empty() ? "the Host" : host);
  return "the chain is verified, but no name: any certificate of that CA will do";
}

void beware(const TlsOrigination& tls, ExplainedStep& step) {
  if (tls.skip_verify) {
    step.notes.emplace_back(
        "insecureSkipVerify: whoever answers is believed; give caCertificates instead");
  } else if (tls.names.empty() && !tls.auto_san) {
    step.notes.emplace_back("sni without subjectAltNames: give subjectAltNames to check the name");
  }
}

ExplainedStep tls_step(const CompileInput& input, const Cluster& cluster,
                       std::string_view authority) {
  const auto& tls = cluster.tls;
  ExplainedStep step{"TLS", "", text_at(tls.rule ? tls.rule : cluster.rule, tls.line), {}};
  if (cluster.refused) {
    step.text = "none: " + cluster.refused->context;
    return step;
  }
  if (tls.mode == Originate::istio_mutual || (tls.mode == Originate::none && !tls.rule)) {
    if (auto mesh = explain_mesh_tls(input, cluster)) return *mesh;
  }
  if (tls.mode == Originate::none) {
    step.text = cluster.rule ? "none is added: the rule says no tls, or DISABLE, for this port"
                             : "none is added: bytes leave as they came";
    return step;
  }
  HostRoom room;
  const std::string host(host_key(authority, room));
  step.text = tls.mode == Originate::mutual ? "MUTUAL" : "SIMPLE";
  const auto sni = !tls.sni.empty() ? tls.sni : tls.auto_sni ? host : std::string();
  step.text += sni.empty() ? "; no SNI" : "; SNI " + sni;
  if (tls.sni.empty() && tls.auto_sni) step.text += " (from Host)";
  step.text += "; " + verified(tls, host);
  beware(tls, step);
  return step;
}

std::string_view discovery_text(Discovery discovery) {
  switch (discovery) {
    case Discovery::original_dst:
      return "the address that was dialled";
    case Discovery::static_:
      return "addresses as configured";
    case Discovery::strict_dns:
      return "every address of a DNS name";
    case Discovery::logical_dns:
      return "one address of a DNS name";
    case Discovery::dynamic_dns:
      return "the addresses of the host that the client names, by DNS";
    default:
      return "found at run time";
  }
}

std::string place(const Endpoint& endpoint) {
  std::string out;
  if (endpoint.by_name()) {
    out = endpoint.host + ":" + std::to_string(endpoint.port);
  } else if (is_stand_in(endpoint.ip)) {
    out = "(address not known yet):" + std::to_string(endpoint.port);
  } else {
    out = (endpoint.unix_socket.is_set() ? "unix://" : "") + endpoint.address().text();
  }
  return endpoint.weight > 1 ? out + " (weight " + std::to_string(endpoint.weight) + ")" : out;
}

std::string_view balancing_text(const Cluster& cluster) {
  if (cluster.load && cluster.load->hash) return "consistent hash";
  switch (cluster.balancing) {
    case Balancing::round_robin:
      return "round robin";
    case Balancing::random:
      return "at random";
    default:
      return "the less busy of two";
  }
}

// Which locality is asked first: what is left of it decides before the balancing does.
void add_localities(const Cluster& cluster, ExplainedStep& step) {
  if (!cluster.load || cluster.load->groups.empty()) return;
  uint32_t first = UINT32_MAX;
  for (const auto& group : cluster.load->groups) first = std::min(first, group.priority);
  for (const auto& group : cluster.load->groups) {
    const auto name = group.locality.empty() ? "endpoints without a locality" : group.locality;
    step.notes.push_back(
        "locality: " + name + ": priority " + std::to_string(group.priority) +
        (group.priority == first ? ", asked first" : ", asked when those before are not healthy") +
        (group.weight > 0 ? ", weight " + std::to_string(group.weight) : ""));
  }
}

void add_outlier(const Cluster& cluster, ExplainedStep& step) {
  if (!cluster.load || !cluster.load->outlier) return;
  const auto& outlier = *cluster.load->outlier;
  std::string text;
  const auto add = [&text](uint32_t count, const char* what) {
    if (count > 0) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  };
  add(outlier.consecutive_5xx, "5xx in a row");
  add(outlier.consecutive_gateway, "gateway errors in a row");
  if (outlier.split_local_origin) add(outlier.consecutive_local_origin, "failed connects in a row");
  step.notes.push_back("outlierDetection: an endpoint is left out for " +
                       duration_text(outlier.base_ejection_time) + " or more after " + text +
                       "; at most " + std::to_string(outlier.max_ejection_percent) + "% of them");
}

ExplainedStep endpoints_step(const Cluster& cluster, bool client_tls) {
  constexpr std::size_t listed_most = 10;
  ExplainedStep step{
      "endpoints", std::string(discovery_text(cluster.discovery)), text_at(cluster.service), {}};
  if (cluster.original_dst_port) {
    step.text += ", at port " + std::to_string(cluster.original_dst_port);
  }
  std::size_t count = 0;
  for (const auto& endpoint : cluster.endpoints) {
    if (count == listed_most) break;
    step.text += (count++ == 0 ? ": " : ", ") + place(endpoint);
    const bool plaintext = !client_tls && cluster.tls.mode == Originate::none && !cluster.refused;
    if (plaintext && cluster.port != endpoint.port && istio::is_tls_number(endpoint.port)) {
      step.notes.push_back("plaintext goes to port " + std::to_string(endpoint.port) +
                           ", where servers speak TLS: a DestinationRule with tls for port " +
                           std::to_string(cluster.port) + " of " + cluster.host + " is missing");
    }
  }
  const auto more = cluster.endpoints.size() - count;
  if (more > 0) step.text += " and " + std::to_string(more) + " more";
  if (cluster.endpoints.size() > 1) {
    step.text += "; chosen: " + std::string(balancing_text(cluster));
    add_localities(cluster, step);
  }
  if (cluster.endpoints.empty() && cluster.discovery != Discovery::original_dst &&
      cluster.discovery != Discovery::dynamic_dns && !cluster.refused) {
    step.text += ": " + why_no_endpoint(cluster) + " (503 UH)";
  }
  return step;
}

ExplainedStep limits_step(const Cluster& cluster) {
  ExplainedStep step{"connection", "", text_at(cluster.rule), {}};
  step.text = "connect and handshake within " + duration_text(cluster.connect_timeout) +
              ", idle at most " + duration_text(cluster.http_idle);
  if (cluster.max_connections) {
    step.text += ", at most " + std::to_string(*cluster.max_connections) + " connections";
  }
  if (cluster.max_requests_per_connection) {
    step.text += ", " + std::to_string(*cluster.max_requests_per_connection) + " requests on each";
  }
  if (cluster.proxy_protocol != ProxyProtocol::none) {
    const bool first = cluster.proxy_protocol == ProxyProtocol::v1;
    step.notes.push_back(std::string("proxyProtocol: before everything else, TLS included, each "
                                     "begins with a PROXY protocol header, version ") +
                         (first ? "1" : "2") +
                         ", that names the client: requests of another client never share it");
  }
  add_outlier(cluster, step);
  return step;
}

constexpr uint32_t stand_ins = 240u << 24;

}  // namespace

IpAddress stand_in_address(uint32_t number) { return IpAddress::v4(stand_ins + 1 + number); }

bool is_stand_in(const IpAddress& ip) { return ip.is_v4() && ip.bytes()[0] == 240; }

std::vector<ExplainedStep> explain_cluster(const CompileInput& input, const Cluster& cluster,
                                           std::string_view authority, bool client_tls) {
  return {rule_step(input, cluster), tls_step(input, cluster, authority),
          endpoints_step(cluster, client_tls), limits_step(cluster)};
}

}  // namespace sallyport::mesh
