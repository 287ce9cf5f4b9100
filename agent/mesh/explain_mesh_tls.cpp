#include "agent/mesh/explain_mesh_tls.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/auto_mtls.h"

namespace sallyport::mesh {
namespace {

constexpr std::size_t listed_most = 10;

std::string_view mode_text(istio::MutualTls mode) {
  switch (mode) {
    case istio::MutualTls::disable:
      return "DISABLE";
    case istio::MutualTls::strict:
      return "STRICT";
    default:
      return "PERMISSIVE";
  }
}

std::string policy_text(const MutualTlsChoice& choice) {
  if (!choice.from) return "no PeerAuthentication (PERMISSIVE)";
  return choice.from->text() + " " + std::string(mode_text(choice.mode));
}

// "outbound|80|v1|host" → "v1"
std::string_view subset_of(const Cluster& cluster) {
  std::string_view name = cluster.name;
  const auto first = name.find('|'), second = name.find('|', first + 1);
  const auto third = name.find('|', second + 1);
  if (third == name.npos) return {};
  return name.substr(second + 1, third - second - 1);
}

const istio::Labels* labels_of_subset(const CompileInput& input, const Cluster& cluster,
                                      std::string_view name) {
  for (const auto& resource : input.resources) {
    const auto* rule = std::get_if<istio::DestinationRule>(resource.get());
    if (!rule || !cluster.rule || *rule->metadata.ref != *cluster.rule) continue;
    for (const auto& subset : rule->subsets)
      if (subset.name == name) return &subset.labels;
  }
  return nullptr;
}

std::string who(const ServiceWorkload& workload) {
  const auto& about = *workload.metadata;
  return about.ref->kind + " " + about.namespace_name() + "/" + about.name();
}

class Teller {
public:
  Teller(const CompileInput& input, const Cluster& cluster)
      : input_(input), cluster_(cluster), scope_(input), workloads_(input) {}

  std::optional<ExplainedStep> tell();

private:
  bool find();
  std::optional<ExplainedStep> plaintext() const;
  ExplainedStep mutual();
  void add_endpoint(const ServiceWorkload& workload, uint16_t port, ExplainedStep& step);
  AutoMtlsGate gate() {
    const bool dialled = cluster_.discovery == Discovery::original_dst;
    return auto_mtls_gate(service_, *port_, dialled, *served_, workloads_);
  }

  const CompileInput& input_;
  const Cluster& cluster_;
  SidecarScope scope_;
  ServiceWorkloads workloads_;
  std::vector<istio::Finding> findings_;
  KnownService service_;
  const istio::ServicePort* port_ = nullptr;
  const ServedBy* served_ = nullptr;
  AutoMtlsGate gate_;
};

bool Teller::find() {
  std::vector<istio::Finding> unused;
  const ServiceScope all{scope_, {cluster_.host}};
  for (auto& known : known_services(input_, all, unused)) {
    if (known.host != cluster_.host || known.metadata->ref != cluster_.service) continue;
    for (const auto& port : known.ports)
      if (port.port->number == cluster_.port) port_ = port.port;
    if (!port_) continue;
    service_ = std::move(known);
    served_ = &workloads_.of(service_, findings_);
    gate_ = gate();
    return true;
  }
  return false;
}

std::optional<ExplainedStep> Teller::plaintext() const {
  ExplainedStep step{"TLS", "none is added: ", gate_.from ? gate_.from->text() : "", {}};
  switch (gate_.answer) {
    case AutoMtls::switched_off:
      step.text += "enableAutoMtls is false in the mesh config";
      return step;
    case AutoMtls::namespace_disables:
      step.text +=
          "PeerAuthentication of the service's namespace is DISABLE (those of workloads "
          "are not asked, as in Istio)";
      return step;
    case AutoMtls::nobody_known:
      step.text += "auto mTLS knows no endpoint of this service";
      return step;
    case AutoMtls::not_everybody:
      step.text +=
          "an endpoint of this service has no label security.istio.io/tlsMode: istio, and "
          "where the dialled address is used all have to";
      return step;
    default:
      return std::nullopt;
  }
}

void Teller::add_endpoint(const ServiceWorkload& workload, uint16_t port, ExplainedStep& step) {
  const auto mtls = endpoint_mtls(workload, port, workloads_.policies());
  const auto ip = IpAddress::parse(workload.entry.address);
  const bool unknown = ip && is_stand_in(*ip);
  std::string text = "endpoint " + (unknown ? "of port " : workload.entry.address + ":") +
                     std::to_string(port) + " (" + who(workload) + ") ";
  if (!mtls.labelled) {
    text += "has no label security.istio.io/tlsMode: istio → plaintext";
  } else {
    text += "has tlsMode istio, " + policy_text(mtls.policy) +
            (mtls.on() ? " → mutual TLS" : " → plaintext");
  }
  step.notes.push_back(std::move(text));
}

ExplainedStep Teller::mutual() {
  const auto& tls = cluster_.tls;
  ExplainedStep step{"TLS",
                     tls.automatic ? "auto mTLS: ISTIO_MUTUAL to endpoints that take it"
                     : tls.rule    ? "ISTIO_MUTUAL"
                                   : "auto mTLS: ISTIO_MUTUAL, every endpoint takes it",
                     "",
                     {}};
  if (tls.rule) {
    ResourceRef at = *tls.rule;
    if (tls.line > 0) at.line = tls.line;
    step.from = at.text();
  } else if (gate_.from) {
    step.from = gate_.from->text();
  }
  step.text += tls.sni.empty() ? "; SNI from Host" : "; SNI " + tls.sni;
  std::string names;
  for (const auto& name : tls.names) names += (names.empty() ? "" : " or ") + name;
  step.text += names.empty() ? "; the chain is verified, but no name: no service account is known"
                             : "; the certificate must name " + names;
  if (!tls.automatic) return step;
  const auto* labels = labels_of_subset(input_, cluster_, subset_of(cluster_));
  std::size_t left_out = 0;
  for (const auto& workload : served_->workloads) {
    const auto port = target_port(workload, *port_, service_.service != nullptr);
    if (!port || !workload.ready) continue;
    if (labels && !istio::selects(*labels, workload.entry.labels)) continue;
    if (step.notes.size() < listed_most)
      add_endpoint(workload, *port, step);
    else
      ++left_out;
  }
  if (left_out > 0) step.notes.push_back("and " + std::to_string(left_out) + " more endpoints");
  if (!served_->known && !cluster_.endpoints.empty()) {
    step.notes.emplace_back(
        "neither Pods nor EndpointSlices of the Service are known: its own "
        "address stands for them → plaintext");
  }
  return step;
}

std::optional<ExplainedStep> Teller::tell() {
  if (!cluster_.service || !find()) return std::nullopt;
  if (cluster_.tls.mode == Originate::none) return plaintext();
  return mutual();
}

}  // namespace

std::optional<ExplainedStep> explain_mesh_tls(const CompileInput& input, const Cluster& cluster) {
  return Teller(input, cluster).tell();
}

}  // namespace sallyport::mesh
