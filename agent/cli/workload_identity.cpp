#include "agent/cli/workload_identity.h"

#include <charconv>

#include "agent/istio/scalar.h"
#include "certs/ca/workload_source.h"

namespace sallyport::cli {
namespace {

// Where Istio's injector mounts them.
const std::string mounted = "/etc/certs/",
                  credentials = "/var/run/secrets/workload-spiffe-credentials/",
                  ca_root_path = "/var/run/secrets/istio/root-cert.pem",
                  ca_token_path = "/var/run/secrets/tokens/istio-token";

Error bad_identity(std::string text) {
  return {.fault = Fault::internal, .context = std::move(text)};
}

std::string value_of(const Environment& environment, const char* name,
                     const std::string& otherwise = "") {
  const char* value = environment(name);
  return value && *value ? value : otherwise;
}

bool is_true(const std::string& text) {  // as Go's strconv.ParseBool
  return text == "true" || text == "1" || text == "t" || text == "T" || text == "TRUE" ||
         text == "True";
}

Result<double> ratio(const Environment& environment, const char* name, double otherwise) {
  const std::string text = value_of(environment, name);
  if (text.empty()) return otherwise;
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() ||
      !(value >= 0 && value <= 1))
    return bad_identity(std::string(name) + ": \"" + text + "\" is not a number from 0 to 1");
  return value;
}

// Istio's default is RSA; ours is P-256, whose handshakes cost a fifth: it is asked for RSA by its
// size.
Result<ca::KeyKind> key_kind(const Environment& environment) {
  const std::string algorithm = value_of(environment, "ECC_SIGNATURE_ALGORITHM"),
                    curve = value_of(environment, "ECC_CURVE", "P256"),
                    bits = value_of(environment, "WORKLOAD_RSA_KEY_SIZE");
  if (!algorithm.empty() || bits.empty()) {
    if (!algorithm.empty() && algorithm != "ECDSA")
      return bad_identity("ECC_SIGNATURE_ALGORITHM: \"" + algorithm + "\" is not ECDSA");
    if (curve != "P256" && curve != "P384")
      return bad_identity("ECC_CURVE: \"" + curve + "\" is neither P256 nor P384");
    return curve == "P384" ? ca::KeyKind::ec_p384 : ca::KeyKind::ec_p256;
  }
  if (bits == "2048") return ca::KeyKind::rsa_2048;
  if (bits == "3072") return ca::KeyKind::rsa_3072;
  if (bits == "4096") return ca::KeyKind::rsa_4096;
  return bad_identity("WORKLOAD_RSA_KEY_SIZE: \"" + bits + "\" is none of 2048, 3072, 4096");
}

Result<ca::CaSettings> ca_settings(const WorkloadIdentityFlags& flags,
                                   const Environment& environment) {
  ca::CaSettings settings;
  settings.address =
      !flags.ca_address.empty() ? flags.ca_address : value_of(environment, "CA_ADDR");
  const auto colon = settings.address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == settings.address.size())
    return bad_identity("the CA's address \"" + settings.address + "\" is not host:port");
  const std::string provisioned = value_of(environment, "PROV_CERT");
  if (!provisioned.empty()) {
    settings.chain_file = provisioned + "/cert-chain.pem";
    settings.key_file = provisioned + "/key.pem";
  }
  const bool custom = value_of(environment, "PILOT_CERT_PROVIDER") == "custom";
  settings.root_file = custom                 ? mounted + "root-cert.pem"
                       : !provisioned.empty() ? provisioned + "/root-cert.pem"
                                              : ca_root_path;
  settings.root_file = value_of(environment, "CA_ROOT_CA", settings.root_file);
  if (!flags.ca_root.empty()) settings.root_file = flags.ca_root;
  settings.token_file = !flags.ca_token.empty() ? flags.ca_token : ca_token_path;
  auto key = key_kind(environment);
  if (!key) return key.error();
  settings.key = *key;
  const std::string ttl = value_of(environment, "SECRET_TTL", "24h");
  const auto time = istio::duration_value(ttl);
  if (!time || *time < std::chrono::seconds(1))
    return bad_identity("SECRET_TTL: \"" + ttl + "\" is not a duration of a second or more");
  settings.ttl = std::chrono::duration_cast<std::chrono::seconds>(*time);
  settings.cluster_id = value_of(environment, "ISTIO_META_CLUSTER_ID");
  settings.cert_signer = value_of(environment, "ISTIO_META_CERT_SIGNER");
  return settings;
}

Result<void> set_source(const WorkloadIdentityFlags& flags, const Environment& environment,
                        const std::function<bool(const std::string&)>& exists,
                        ca::IdentitySettings& settings) {
  const bool files = !flags.chain.empty() || !flags.key.empty() || !flags.roots.empty();
  if (files && (flags.chain.empty() || flags.key.empty() || flags.roots.empty()))
    return bad_identity("--identity-cert, --identity-key and --identity-root go together");
  if (files + !flags.workload_socket.empty() + !flags.ca_address.empty() > 1) {
    return bad_identity(
        "one source of the workload's certificate: --identity-cert, --workload-socket or "
        "--ca-address");
  }
  const auto use_ca = [&]() -> Result<void> {
    auto from = ca_settings(flags, environment);
    if (!from) return from.error();
    settings.source = std::move(*from);
    return {};
  };
  const auto use_workload_api = [&](const std::string& endpoint) -> Result<void> {
    if (auto address = ca::workload_address(endpoint); !address) return address.error();
    settings.source = ca::WorkloadApiSettings{endpoint};
    return {};
  };
  const std::string socket = value_of(environment, "SPIFFE_ENDPOINT_SOCKET");
  if (files) {
    settings.source = ca::IdentityFiles{flags.chain, flags.key, flags.roots};
  } else if (!flags.workload_socket.empty()) {
    return use_workload_api(flags.workload_socket);
  } else if (!flags.ca_address.empty()) {
    return use_ca();
  } else if (is_true(value_of(environment, "FILE_MOUNTED_CERTS"))) {
    settings.source = ca::IdentityFiles{mounted + "cert-chain.pem", mounted + "key.pem",
                                        mounted + "root-cert.pem"};
  } else if (!socket.empty()) {
    return use_workload_api(socket);
  } else if (exists(credentials + "certificates.pem")) {
    settings.source =
        ca::IdentityFiles{credentials + "certificates.pem", credentials + "private_key.pem",
                          credentials + "ca_certificates.pem"};
  } else if (exists(credentials + "cert-chain.pem")) {
    settings.source = ca::IdentityFiles{credentials + "cert-chain.pem", credentials + "key.pem",
                                        credentials + "root-cert.pem"};
  } else if (!value_of(environment, "CA_ADDR").empty()) {
    return use_ca();
  }
  return {};
}

}  // namespace

Result<ca::IdentitySettings> find_workload_identity(
    const WorkloadIdentityFlags& flags, const Environment& environment,
    const std::function<bool(const std::string&)>& exists) {
  ca::IdentitySettings settings;
  if (auto set = set_source(flags, environment, exists, settings); !set) return set.error();
  const auto grace = ratio(environment, "SECRET_GRACE_PERIOD_RATIO", settings.rotation.grace_ratio);
  if (!grace) return grace.error();
  const auto jitter =
      ratio(environment, "SECRET_GRACE_PERIOD_RATIO_JITTER", settings.rotation.grace_jitter);
  if (!jitter) return jitter.error();
  settings.rotation = {*grace, *jitter};
  settings.trust_domain =
      !flags.trust_domain.empty() ? flags.trust_domain : value_of(environment, "TRUST_DOMAIN");
  settings.more_roots_file = flags.more_roots;
  return settings;
}

}  // namespace sallyport::cli
