#include "agent/observe/metric_labels.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/core/spiffe.h"

namespace sallyport::observe {
namespace {

constexpr std::string_view unknown_label = "unknown";

std::string or_unknown(std::string_view value) {
  return std::string(value.empty() ? unknown_label : value);
}

std::string namespace_in(const std::string& principal) {
  const auto id = SpiffeId::parse(principal);
  return id ? id->namespace_name : std::string();
}

// Where a destination's endpoint is a workload that is known.
const mesh::WorkloadFacts* find_workload(const mesh::ClusterPtr& cluster,
                                         const SocketAddress& endpoint) {
  if (!cluster || !endpoint.is_set()) return nullptr;
  for (const mesh::Endpoint& one : cluster->endpoints) {
    if (one.workload && !one.by_name() && one.address() == endpoint) return &*one.workload;
  }
  return nullptr;
}

// destination_service and destination_service_name; empty: not known.
struct ServiceLabels {
  std::string service, name;
};

bool is_catch_all(std::string_view cluster) {
  return cluster == "BlackHoleCluster" || cluster == "PassthroughCluster" ||
         cluster == "InboundPassthroughCluster";
}

// As istiod describes a cluster: a Service by its own name, the host of a ServiceEntry by itself.
ServiceLabels service_of(const Reporter& reporter, const mesh::Cluster& cluster) {
  const bool kubernetes = cluster.service->kind == "Service";
  if (!cluster.host.empty())
    return {cluster.host, kubernetes ? cluster.service->name : cluster.host};
  if (!kubernetes) return {};  // a port of ours that a ServiceEntry or Sidecar declares
  const auto& service = *cluster.service;
  return {service.name + "." + service.namespace_name + ".svc." + reporter.cluster_domain,
          service.name};
}

ServiceLabels service_labels(const Reporter& reporter, const AccessRecord& record,
                             const Destination& destination) {
  ServiceLabels out;
  if (names_host(reporter, record, destination)) {
    out.service = record.authority.substr(0, limits::metric_label_bytes);
    out.name = out.service;
  }
  if (record.route_name == "block_all")
    out.name = "BlackHoleCluster";
  else if (record.route_name == "allow_any")
    out.name = "PassthroughCluster";
  else if (is_catch_all(record.cluster))
    out.name = record.cluster;
  else if (destination.cluster && destination.cluster->service)
    return service_of(reporter, *destination.cluster);
  return out;
}

class LabelWriter {
public:
  LabelWriter(const Reporter& reporter, const AccessRecord& record, const Destination& destination)
      : reporter_(reporter),
        record_(record),
        destination_(destination),
        service_(service_labels(reporter, record, destination)) {
    out_.reserve(25);
    if (destination.principals) principals_ = *destination.principals;
  }
  MetricLabels run();

private:
  void put(std::string_view name, std::string_view value) {
    out_.push_back({name, or_unknown(value)});
  }
  void put_peer_source();
  void put_own_destination();
  void put_own_source();
  void put_peer_destination();
  void put_request();
  std::string_view security_policy() const;

  const Reporter& reporter_;
  const AccessRecord& record_;
  const Destination& destination_;
  const ServiceLabels service_;
  Principals principals_;
  MetricLabels out_;
};

// Of a client nothing is known but its certificate.
void LabelWriter::put_peer_source() {
  put("source_workload", {});
  put("source_canonical_service", {});
  put("source_canonical_revision", "latest");
  put("source_workload_namespace", namespace_in(principals_.peer));
  put("source_principal", principals_.peer);
  put("source_app", {});
  put("source_version", {});
  put("source_cluster", {});
}

void LabelWriter::put_own_destination() {
  const auto& own = reporter_.workload;
  put("destination_workload", own.workload);
  put("destination_workload_namespace", own.namespace_name);
  put("destination_principal", principals_.own);
  put("destination_app", own.app);
  put("destination_version", own.version);
  put("destination_service", service_.service.empty() ? own.canonical_service : service_.service);
  put("destination_canonical_service", own.canonical_service);
  put("destination_canonical_revision", own.canonical_revision);
  put("destination_service_name", service_.name.empty() ? own.canonical_service : service_.name);
  put("destination_service_namespace", own.namespace_name);
  put("destination_cluster", reporter_.cluster_id);
}

void LabelWriter::put_own_source() {
  const auto& own = reporter_.workload;
  put("source_workload", own.workload);
  put("source_canonical_service", own.canonical_service);
  put("source_canonical_revision", own.canonical_revision);
  put("source_workload_namespace", own.namespace_name);
  put("source_principal", principals_.own);
  put("source_app", own.app);
  put("source_version", own.version);
  put("source_cluster", reporter_.cluster_id);
}

void LabelWriter::put_peer_destination() {
  static const mesh::WorkloadFacts nobody{.workload = {},
                                          .namespace_name = {},
                                          .app = {},
                                          .version = {},
                                          .canonical_service = {},
                                          .canonical_revision = "latest"};
  const auto* found = find_workload(destination_.cluster, record_.upstream_host);
  const mesh::WorkloadFacts& peer = found ? *found : nobody;
  std::string in = namespace_in(principals_.peer);
  if (in.empty()) in = peer.namespace_name;
  put("destination_workload", peer.workload);
  put("destination_workload_namespace", in);
  put("destination_principal", principals_.peer);
  put("destination_app", peer.app);
  put("destination_version", peer.version);
  put("destination_service", service_.service);
  put("destination_canonical_service", peer.canonical_service);
  put("destination_canonical_revision", peer.canonical_revision);
  put("destination_service_name", service_.name);
  put("destination_service_namespace", in);
  put("destination_cluster", found ? reporter_.cluster_id : std::string());
}

// Only who serves can tell how it was asked.
std::string_view LabelWriter::security_policy() const {
  if (!record_.server_side) return unknown_label;
  return principals_.peer.empty() || principals_.own.empty() ? "none" : "mutual_tls";
}

void LabelWriter::put_request() {
  char flags[flags_max];
  put("request_protocol", record_.http ? "http" : "tcp");
  if (record_.http) {
    put("response_code", std::to_string(record_.response_code));
    out_.push_back({"grpc_response_status", {}});  // of gRPC; it goes through here as bytes
  }
  const char* const end = write_flags(flags, record_.flags, record_.http);
  put("response_flags", std::string_view(flags, static_cast<std::size_t>(end - flags)));
  put("connection_security_policy", security_policy());
}

MetricLabels LabelWriter::run() {
  put("reporter", record_.server_side ? "destination" : "source");
  if (record_.server_side) {
    put_peer_source();
    put_own_destination();
  } else {
    put_own_source();
    put_peer_destination();
  }
  put_request();
  return std::move(out_);
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ',';
  out.append(name) += '=';
  append_quoted(out, value);
}

}  // namespace

bool names_host(const Reporter& reporter, const AccessRecord& record,
                const Destination& destination) {
  const bool of_service = destination.cluster && destination.cluster->service;
  return record.http && !record.server_side && !reporter.gateway && !of_service;
}

MetricLabels labels_of(const Reporter& reporter, const AccessRecord& record,
                       const Destination& destination) {
  return LabelWriter(reporter, record, destination).run();
}

void overflow(MetricLabels& labels) {
  for (MetricLabel& label : labels) {
    if (label.name != "reporter" && label.name != "request_protocol") label.value = "overflow";
  }
}

std::string text_of(const MetricLabels& labels, const std::vector<MetricPlan::Tag>& tags,
                    const std::vector<std::string>& values) {
  std::string out;
  out.reserve(1024);
  const auto named = [&](std::string_view name) {
    return std::find_if(tags.begin(), tags.end(),
                        [&](const auto& tag) { return tag.name == name; });
  };
  for (const MetricLabel& label : labels) {
    const auto tag = named(label.name);
    if (tag == tags.end())
      append_label(out, label.name, label.value);
    else if (!tag->remove)
      append_label(out, label.name, values[tag->value]);
  }
  for (const MetricPlan::Tag& tag : tags) {
    const bool known = std::any_of(labels.begin(), labels.end(),
                                   [&](const auto& label) { return label.name == tag.name; });
    if (!known && !tag.remove) append_label(out, tag.name, values[tag.value]);
  }
  return out;
}

}  // namespace sallyport::observe
