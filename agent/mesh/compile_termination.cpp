#include "agent/mesh/compile_termination.h"

namespace sallyport::mesh {
namespace {

using Mode = istio::ServerTlsMode;

constexpr std::string_view workload_identity = "default", workload_roots = "ROOTCA";
constexpr std::string_view builtin_form = "builtin://", secret_form = "kubernetes://",
                           gateway_form = "kubernetes-gateway://", map_form = "configmap://",
                           external_form = "sds://", cacert = "-cacert";

Error closes(const BoundServer& server, std::string why) {
  return {Fault::denied, Side::local, false, std::move(why),
          text_at(server.ref(), server.server->tls->line)};
}

// The Secret of the proxy's own namespace that a credential's name means (2.9). istiod asks for an
// external SDS server's name as a Secret where there is no such server.
Result<std::string> secret_named(const std::string& written, const BoundServer& server,
                                 const CompileInput& input) {
  std::string_view name = written;
  for (const auto form : {secret_form, gateway_form, external_form})
    if (name.starts_with(form)) name.remove_prefix(form.size());
  if (name.find("://") != name.npos) {
    return closes(server, "credentialName '" + written +
                              "' is not available: only NAME, kubernetes://[NAMESPACE/]NAME, "
                              "kubernetes-gateway://NAMESPACE/NAME and builtin:// are");
  }
  if (const auto slash = name.find('/'); slash != name.npos) {
    if (name.substr(0, slash) != input.proxy.namespace_name) {
      return closes(server, "credentialName '" + written +
                                "' names a Secret of another namespace than the proxy's (" +
                                input.proxy.namespace_name + ")");
    }
    name.remove_prefix(slash + 1);
  }
  if (name.empty()) return closes(server, "credentialName '" + written + "' names nothing");
  return std::string(name);
}

Result<std::string> roots_named(const std::string& written, const BoundServer& server,
                                const CompileInput& input) {
  if (written == builtin_form) return std::string(workload_roots);
  if (written.starts_with(map_form)) return written;
  auto name = secret_named(written, server, input);
  if (!name) return name.error();
  auto out = std::string(secret_form) + *name;
  return out.ends_with(cacert) ? out : out + std::string(cacert);
}

Result<void> set_secrets(const BoundServer& server, const CompileInput& input,
                         TlsTermination& out) {
  const auto& tls = *server.server->tls;
  for (const auto& written : tls.credential_names) {
    if (written == builtin_form) {
      out.certificates.emplace_back(workload_identity);
      continue;
    }
    auto name = secret_named(written, server, input);
    if (!name) return name.error();
    out.certificates.push_back(std::string(secret_form) + *name);
  }
  if (!out.asks_for_client()) return {};
  const auto& of_ca = tls.ca_credential_name;
  auto roots = roots_named(of_ca.empty() ? tls.credential_names.front() : of_ca, server, input);
  if (!roots) return roots.error();
  out.roots = std::move(*roots);
  return {};
}

Result<void> set_server_files(const BoundServer& server, const CompileInput& input,
                              TlsTermination& out) {
  const auto& tls = *server.server->tls;
  for (const auto& pair : tls.certificates)
    out.certificates.push_back("file-cert:" + pair.certificate + "~" + pair.private_key);
  if (!out.asks_for_client()) return {};
  if (tls.ca_certificates.empty() && !tls.ca_credential_name.empty()) {
    auto roots = roots_named(tls.ca_credential_name, server, input);
    if (!roots) return roots.error();
    out.roots = std::move(*roots);
    return {};
  }
  out.roots = "file-root:" + tls.ca_certificates;
  if (!tls.ca_crl.empty()) out.roots += "~" + tls.ca_crl;
  return {};
}

// The server's own words, else those of the mesh (tlsDefaults). The mesh's own TLS takes Istio's
// parameters, whatever is written.
Result<void> set_parameters(const BoundServer& server, const istio::MeshConfig& mesh,
                            TlsTermination& out) {
  using istio::TlsVersion;
  const auto& tls = *server.server->tls;
  static const istio::TlsDefaults none;
  const auto& defaults = mesh.tls_defaults ? *mesh.tls_defaults : none;
  out.lowest = tls.lowest;
  if (out.lowest == TlsVersion::automatic && defaults.only_tls_1_3) out.lowest = TlsVersion::v1_3;
  out.highest = tls.highest;
  out.cipher_suites = tls.cipher_suites.empty() ? defaults.cipher_suites : tls.cipher_suites;
  out.ecdh_curves = tls.ecdh_curves.empty() ? defaults.ecdh_curves : tls.ecdh_curves;
  const auto lowest = out.lowest == TlsVersion::automatic ? TlsVersion::v1_2 : out.lowest;
  if (out.highest == TlsVersion::automatic || lowest <= out.highest) return {};
  return closes(server,
                "tls.maxProtocolVersion is below the lowest version, which is " +
                    std::string(tls.lowest == TlsVersion::automatic
                                    ? defaults.only_tls_1_3 ? "that of meshConfig.tlsDefaults"
                                                            : "TLSV1_2 unless it is written"
                                    : "its minProtocolVersion"));
}

}  // namespace

Result<TlsTermination> compile_termination(const BoundServer& server, const CompileInput& input) {
  const auto& tls = *server.server->tls;
  TlsTermination out;
  out.mode = tls.mode;
  if (out.asks_for_client()) {
    out.names = tls.subject_alt_names;
    out.skip_verify = tls.insecure_skip_verify;
  }
  if (tls.mode == Mode::istio_mutual) {
    if (!tls.ca_crl.empty())
      return closes(
          server, "tls.caCrl is not available with ISTIO_MUTUAL: whom it revokes would be let in");
    out.certificates = {std::string(workload_identity)};
    out.roots = workload_roots;
    return out;
  }
  if (out.asks_for_client()) {
    out.certificate_spki = tls.certificate_spki;
    out.certificate_hash = tls.certificate_hash;
  }
  const auto set = tls.credential_names.empty() ? set_server_files(server, input, out)
                                                : set_secrets(server, input, out);
  if (!set) return set.error();
  if (const auto done = set_parameters(server, input.mesh, out); !done) return done.error();
  return out;
}

std::vector<std::string> secret_names(const TlsTermination& tls) {
  std::vector<std::string> out;
  const auto add = [&out](const std::string& name) {
    if (!name.empty() && name != workload_identity && name != workload_roots) out.push_back(name);
  };
  for (const auto& name : tls.certificates) add(name);
  add(tls.roots);
  return out;
}

}  // namespace sallyport::mesh
