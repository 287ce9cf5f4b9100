// ServerTLSSettings: how a Gateway's server takes TLS (istio-api.md 1.5), with Istio's validation.
#include <algorithm>
#include <set>

#include "agent/istio/base64.h"
#include "agent/istio/gateway.h"
#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr Choice server_modes[] = {{"PASSTHROUGH", 0},  {"SIMPLE", 1},
                                   {"MUTUAL", 2},       {"AUTO_PASSTHROUGH", 3},
                                   {"ISTIO_MUTUAL", 4}, {"OPTIONAL_MUTUAL", 5}};
constexpr Choice server_versions[] = {
    {"TLS_AUTO", 0}, {"TLSV1_0", 1}, {"TLSV1_1", 2}, {"TLSV1_2", 3}, {"TLSV1_3", 4}};
constexpr std::size_t certificates_max = 2;  // the CRD's: one RSA, one ECDSA

std::string listed(const std::set<std::string>& names) {
  std::string out = "[";
  for (const auto& name : names) out += (out.size() > 1 ? " " : "") + name;
  return out + "]";
}

// Names that Istio does not know are left out, as istiod does.
std::vector<std::string> server_suites(Fields& tls) {
  std::vector<std::string> out;
  std::set<std::string> invalid, twice;
  for (auto& name : tls.texts("cipherSuites")) {
    if (name.empty()) continue;
    if (!is_cipher_suite(name)) {
      invalid.insert(name);
    } else if (std::find(out.begin(), out.end(), name) != out.end()) {
      twice.insert(name);
    } else {
      out.push_back(std::move(name));
    }
  }
  if (!invalid.empty())
    tls.warn("cipherSuites", "ignoring invalid cipher suites: " + listed(invalid));
  if (!twice.empty())
    tls.warn("cipherSuites", "ignoring duplicate cipher suites: " + listed(twice));
  return out;
}

// What the fields give, before anything is judged: `serverCertificate` and `privateKey` are one
// certificate, even if one of them is missing.
struct CertificateFields {
  ServerCertificate own;
  std::vector<ServerCertificate> list;  // tlsCertificates
  std::string credential;
  std::vector<std::string> credentials;
  bool has_list = false, has_credentials = false;

  bool has_own() const { return !own.certificate.empty() && !own.private_key.empty(); }
  bool any_own() const { return !own.certificate.empty() || !own.private_key.empty(); }
};

CertificateFields read_certificates(Fields& tls) {
  CertificateFields out;
  out.own = {tls.text("serverCertificate"), tls.text("privateKey")};
  out.credential = tls.text("credentialName");
  out.has_credentials = tls.has("credentialNames");
  out.credentials = tls.texts("credentialNames");
  out.has_list = tls.has("tlsCertificates");
  tls.each(
      "tlsCertificates",
      [&](Fields& one) {
        out.list.push_back({one.text("serverCertificate"), one.text("privateKey")});
        one.ignore({"caCertificates"});  // not read by istiod either
      },
      Unknown::refuse);
  return out;
}

void check_no_certificates(const ServerTls& tls, const CertificateFields& given, Fields& fields) {
  const std::string cannot = "ISTIO_MUTUAL TLS cannot have associated ";
  if (!given.own.certificate.empty())
    fields.error("serverCertificate", cannot + "server certificate");
  if (!given.own.private_key.empty()) fields.error("privateKey", cannot + "private key");
  if (!tls.ca_certificates.empty()) fields.error("caCertificates", cannot + "CA bundle");
  if (!given.list.empty()) fields.error("tlsCertificates", cannot + "tlsCertificates");
  if (!given.credential.empty()) fields.error("credentialName", cannot + "credentialName");
  if (!given.credentials.empty()) fields.error("credentialNames", cannot + "credentialNames");
}

// One source; of secrets not more than the CRD takes.
void check_sources(const CertificateFields& given, Fields& fields) {
  const int sources = int{given.has_own()} + int{!given.credential.empty()} +
                      int{!given.credentials.empty()} + int{!given.list.empty()};
  if (sources > 1) {
    fields.error("",
                 "only one of credential_name, credential_names, "
                 "server_certificate/private_key, tls_certificates should be specified");
  }
  const auto secrets = given.credentials.size();
  if (given.has_credentials && (secrets == 0 || secrets > certificates_max))
    fields.error("credentialNames", "must have 1 or 2 items");
  if (given.has_list && given.list.empty())
    fields.error("tlsCertificates", "must have 1 or 2 items");
}

bool is_mutual(ServerTlsMode mode) {
  return mode == ServerTlsMode::mutual || mode == ServerTlsMode::optional_mutual;
}

// Of a server whose certificates are files.
void check_files(const ServerTls& tls, const CertificateFields& given, Fields& fields) {
  const std::string prefix = is_mutual(tls.mode) ? "MUTUAL TLS" : "SIMPLE TLS";
  if (is_mutual(tls.mode) && tls.ca_certificates.empty())
    fields.error("caCertificates", prefix + " requires a client CA bundle");
  const auto check_one = [&](const ServerCertificate& one, const std::string& at) {
    if (one.certificate.empty())
      fields.error(at + "serverCertificate", prefix + " requires a server certificate");
    if (one.private_key.empty())
      fields.error(at + "privateKey", prefix + " requires a private key");
  };
  if (given.list.empty()) return check_one(given.own, "");
  if (given.list.size() > certificates_max)
    fields.warn("tlsCertificates", prefix + " can support up to 2 server certificates");
  for (std::size_t i = 0; i < given.list.size(); ++i)
    check_one(given.list[i], "tlsCertificates[" + std::to_string(i) + "].");
}

void check_revocation(const ServerTls& tls, const CertificateFields& given, Fields& fields) {
  if (tls.ca_crl.empty()) return;
  if (!given.credential.empty()) {
    fields.error("caCrl",
                 "CRL is not supported with credentialName. CRL has to be specified in "
                 "the credential");
  }
  if (tls.mode == ServerTlsMode::simple)
    fields.error("caCrl", "CRL is not supported with SIMPLE TLS");
}

// Envoy refuses a listener with another form of hash; here the resource is refused.
bool is_hash(std::string text) {
  if (text.size() == 95) {
    for (std::size_t i = 2; i < text.size(); i += 3)
      if (text[i] != ':') return false;
    std::erase(text, ':');
  }
  constexpr std::string_view digits = "0123456789abcdefABCDEF";
  return text.size() == 64 && text.find_first_not_of(digits) == text.npos;
}

void check_pins(const ServerTls& tls, Fields& fields) {
  for (const auto& text : tls.certificate_spki) {
    const auto bytes = decode_base64(text);
    if (!bytes || bytes->size() != 32)
      fields.error("verifyCertificateSpki", quoted(text) + " is no SHA-256 in base64");
  }
  for (const auto& text : tls.certificate_hash) {
    if (!is_hash(text))
      fields.error("verifyCertificateHash", quoted(text) + " is no SHA-256 in hex");
  }
}

// istio/istio:pkg/config/validation, validateTLSOptions.
void check_certificates(const ServerTls& tls, const CertificateFields& given, Fields& fields) {
  if (tls.mode == ServerTlsMode::istio_mutual) return check_no_certificates(tls, given, fields);
  const bool any = given.any_own() || !given.list.empty() || !given.credential.empty() ||
                   !given.credentials.empty() || !tls.ca_certificates.empty() ||
                   !tls.ca_crl.empty();
  if (is_passthrough(tls) && any) {
    const auto mode = server_modes[static_cast<std::size_t>(tls.mode)].name;
    fields.warn("mode",
                std::string(mode) + " mode does not use certificates, they will be ignored");
  }
  check_sources(given, fields);
  if (!is_passthrough(tls)) {
    if (!given.credential.empty() || !given.credentials.empty()) return;
    check_files(tls, given, fields);
  }
  check_revocation(tls, given, fields);
}

}  // namespace

ServerTls decode_server_tls(Fields& fields) {
  ServerTls tls;
  tls.line = fields.line();
  const auto mode = fields.choice("mode", server_modes);
  tls.mode = static_cast<ServerTlsMode>(mode.value_or(0));
  tls.https_redirect = fields.boolean("httpsRedirect").value_or(false);
  const CertificateFields given = read_certificates(fields);
  tls.certificates = given.list;
  tls.certificates.resize(std::min(given.list.size(), certificates_max));
  if (given.any_own()) tls.certificates = {given.own};
  tls.credential_names = given.credentials;
  if (!given.credential.empty()) tls.credential_names = {given.credential};
  tls.ca_certificates = fields.text("caCertificates");
  tls.ca_crl = fields.text("caCrl");
  tls.ca_credential_name = fields.text("caCertCredentialName");
  tls.subject_alt_names = fields.texts("subjectAltNames");
  tls.certificate_spki = fields.texts("verifyCertificateSpki");
  tls.certificate_hash = fields.texts("verifyCertificateHash");
  tls.lowest =
      static_cast<TlsVersion>(fields.choice("minProtocolVersion", server_versions).value_or(0));
  tls.highest =
      static_cast<TlsVersion>(fields.choice("maxProtocolVersion", server_versions).value_or(0));
  tls.cipher_suites = server_suites(fields);
  tls.ecdh_curves = decode_ecdh_curves(fields);
  tls.insecure_skip_verify = fields.boolean("insecureSkipVerify").value_or(false);
  const bool below_1_2 = tls.lowest == TlsVersion::v1_0 || tls.lowest == TlsVersion::v1_1;
  if (below_1_2 && fields.texts("cipherSuites").empty()) {
    fields.warn("minProtocolVersion",
                "TLS version below TLSV1_2 require setting compatible ciphers as by default they "
                "no longer include compatible ciphers.");
  }
  check_pins(tls, fields);
  // What a mode that does not exist has to do with certificates can't be told.
  const bool no_such_mode = !mode && !fields.text("mode").empty();
  if (!no_such_mode) check_certificates(tls, given, fields);
  return tls;
}

}  // namespace sallyport::istio
