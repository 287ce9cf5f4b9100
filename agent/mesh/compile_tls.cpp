// Where a connection's TLS mode is decided: see compile_tls.h.
#include "agent/mesh/compile_tls.h"

#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

constexpr std::string_view system_roots = "system", own_identity = "default", mesh_roots = "ROOTCA",
                           builtin = "builtin://";
constexpr std::string_view secret_prefix = "kubernetes://";
constexpr std::string_view map_prefix = "configmap://";
constexpr std::string_view ca_suffix = "-cacert";

Error refusal(const TlsQuestion& question, std::string why) {
  Error error;
  error.fault = Fault::denied;
  error.side = Side::local;
  error.context = std::move(why);
  if (const auto& ref = question.rule->metadata.ref) {
    ResourceRef at = *ref;
    if (question.tls->line > 0) at.line = question.tls->line;
    error.resource = at.text();
  }
  return error;
}

// What istiod's name forms mean here, but for those that name a Secret or a ConfigMap (2.9).
struct Form {
  std::string_view prefix, reason;
};
constexpr Form unavailable[] = {
    {builtin, "nothing comes after this prefix: the workload's own certificate has no name"},
    {"invalid://", "it is the name that never leads to anything"},
    {"sds://", "external SDS servers are not supported; put it in a Secret"},
    {"kubernetes-gateway://", "it is for gateways only"},
};

std::string quoted_name(const TlsQuestion& question) {
  return "credentialName '" + question.tls->credential_name + "'";
}

Error unavailable_form(const TlsQuestion& question) {
  for (const Form& form : unavailable) {
    if (question.tls->credential_name.starts_with(form.prefix)) {
      return refusal(question,
                     quoted_name(question) + " is not available: " + std::string(form.reason));
    }
  }
  return refusal(question, quoted_name(question) +
                               " is not available: only NAME, "
                               "kubernetes://[NAMESPACE/]NAME and configmap://NAMESPACE/NAME are");
}

// The Secret that credentialName means: always one of the proxy's own namespace (2.9).
Result<std::string> secret_of(const TlsQuestion& question) {
  std::string_view name = question.tls->credential_name;
  if (name.starts_with(secret_prefix)) {
    name.remove_prefix(secret_prefix.size());
    if (const auto slash = name.find('/'); slash != name.npos) {
      if (name.substr(0, slash) != question.workloads.input().proxy.namespace_name) {
        return refusal(question, quoted_name(question) +
                                     " names a Secret of another namespace than the proxy's");
      }
      name.remove_prefix(slash + 1);
    }
  }
  const bool own = name == builtin;  // the workload's own certificate
  if (!own && (name.empty() || name.find("://") != name.npos || name.find('/') != name.npos)) {
    return unavailable_form(question);
  }
  const bool of_gateway = question.workloads.input().proxy.type == istio::Proxy::Type::router;
  if (!question.rule->workload_selector && !of_gateway) {
    return refusal(question,
                   "credentialName on a sidecar needs a workloadSelector in the DestinationRule "
                   "(Istio sends plaintext here)");
  }
  return std::string(name);
}

// A ConfigMap is public: it needs no workloadSelector, and holds no key.
Result<void> set_config_map(const TlsQuestion& question, TlsOrigination& out) {
  if (out.mode == Originate::mutual) {
    return refusal(question, quoted_name(question) +
                                 " gives CA certificates only; mode MUTUAL needs a Secret with "
                                 "certificate and key");
  }
  out.roots = question.tls->credential_name;
  return {};
}

Result<void> set_secret(const TlsQuestion& question, TlsOrigination& out) {
  const auto secret = secret_of(question);
  if (!secret) return secret.error();
  if (*secret == builtin) {
    if (out.mode == Originate::mutual) out.certificate = own_identity;
    if (!out.skip_verify) out.roots = mesh_roots;
    return {};
  }
  if (out.mode == Originate::mutual) {
    if (secret->ends_with(ca_suffix)) {
      return refusal(question, quoted_name(question) +
                                   " names CA certificates; mode MUTUAL needs a Secret with "
                                   "certificate and key");
    }
    out.certificate = std::string(secret_prefix) + *secret;
  }
  if (out.skip_verify) return {};
  out.roots = std::string(secret_prefix) + *secret;
  if (!secret->ends_with(ca_suffix)) out.roots += ca_suffix;
  return {};
}

Result<void> set_files(const TlsQuestion& question, TlsOrigination& out) {
  const auto& tls = *question.tls;
  if (out.mode == Originate::mutual) {
    if (tls.client_certificate.empty() || tls.private_key.empty()) {
      return refusal(question, "tls.mode MUTUAL without a client certificate and its key");
    }
    out.certificate = "file-cert:" + tls.client_certificate + "~" + tls.private_key;
  }
  if (out.skip_verify) return {};
  const bool system = tls.ca_certificates.empty() || tls.ca_certificates == system_roots;
  if (system && !tls.ca_crl.empty()) {
    return refusal(question, "tls.caCrl needs caCertificates: a CRL goes with a CA from a file");
  }
  out.roots = system ? std::string(system_roots) : "file-root:" + tls.ca_certificates;
  if (!tls.ca_crl.empty()) out.roots += "~" + tls.ca_crl;
  return {};
}

Result<void> set_credentials(const TlsQuestion& question, TlsOrigination& out) {
  const std::string& name = question.tls->credential_name;
  if (name.empty()) return set_files(question, out);
  return name.starts_with(map_prefix) ? set_config_map(question, out) : set_secret(question, out);
}

// The name that TLS without a Host can use: Istio uses none; we take the service's, where there is
// only one (7).
std::string only_host(const TlsQuestion& question) {
  const auto& service = question.service;
  if (is_wildcard(service.host)) return {};
  if (question.port.kind == PortKind::detect) return service.host;
  return service.entry && service.entry->hosts.size() == 1 ? service.host : std::string();
}

void set_names(const TlsQuestion& question, TlsOrigination& out) {
  const auto& tls = *question.tls;
  // The rule's list counts; without one, the ServiceEntry's.
  const auto& listed =
      tls.subject_alt_names.empty() ? question.service.names : tls.subject_alt_names;
  if (!out.skip_verify) out.names = listed;
  // With `sni` given and no list, the chain alone is checked, as Istio does (2.8).
  out.sni = tls.sni;
  if (!tls.sni.empty()) return;
  out.sni = question.port.kind == PortKind::http ? std::string() : only_host(question);
  const bool by_host =
      question.port.kind == PortKind::http || question.port.kind == PortKind::detect;
  out.auto_sni = out.sni.empty() && by_host;
  if (out.skip_verify || !out.names.empty()) return;
  out.auto_san = out.auto_sni;
  if (!out.sni.empty()) out.names = {out.sni};
}

TlsOrigination of_mesh(const TlsQuestion& question) {
  return mesh_origination(question.service, question.port.port->number, question.subset,
                          question.served, question.workloads.input().mesh);
}

// No rule says anything: auto mTLS.
TlsOrigination automatic(const TlsQuestion& question) {
  const bool dialled = question.discovery == Discovery::original_dst;
  const auto gate = auto_mtls_gate(question.service, *question.port.port, dialled, question.served,
                                   question.workloads);
  if (!gate.open()) return {};
  auto out = of_mesh(question);
  out.automatic = gate.answer == AutoMtls::by_endpoint;
  return out;
}

// Its own SNI and names come before those of auto mTLS; the certificates are the mesh's.
TlsOrigination istio_mutual(const TlsQuestion& question) {
  auto out = of_mesh(question);
  const auto& tls = *question.tls;
  if (!tls.subject_alt_names.empty()) out.names = tls.subject_alt_names;
  if (!tls.sni.empty()) out.sni = tls.sni;
  if (question.discovery == Discovery::dynamic_dns && tls.sni.empty()) {
    out.sni.clear();
    out.auto_sni = true;
  }
  out.rule = question.rule->metadata.ref;
  out.line = tls.line;
  return out;
}

}  // namespace

Result<TlsOrigination> compile_tls(const TlsQuestion& question) {
  TlsOrigination out;
  if (!question.tls) return automatic(question);
  out.rule = question.rule->metadata.ref;
  out.line = question.tls->line;
  switch (question.tls->mode) {
    case istio::TlsMode::disable:
      return out;
    case istio::TlsMode::istio_mutual:
      return istio_mutual(question);
    case istio::TlsMode::simple:
      out.mode = Originate::simple;
      break;
    case istio::TlsMode::mutual:
      out.mode = Originate::mutual;
      break;
  }
  out.skip_verify = question.tls->insecure_skip_verify.value_or(false);
  if (const auto set = set_credentials(question, out); !set) return set.error();
  set_names(question, out);
  return out;
}

std::vector<std::string> secret_names(const TlsOrigination& tls) {
  std::vector<std::string> out;
  for (const auto* name : {&tls.certificate, &tls.roots}) {
    const bool given =
        name->empty() || *name == system_roots || *name == own_identity || *name == mesh_roots;
    if (!given) out.push_back(*name);
  }
  return out;
}

}  // namespace sallyport::mesh
