// ClientTLSSettings: what a DestinationRule says about TLS towards a destination, with Istio's
// validation.
#include "agent/istio/kinds.h"

namespace sallyport::istio {
namespace {

constexpr Choice client_modes[] = {
    {"DISABLE", 0}, {"SIMPLE", 1}, {"MUTUAL", 2}, {"ISTIO_MUTUAL", 3}};

void check_skip_verify(const ClientTls& tls, Fields& fields) {
  const bool trusts_files = !tls.ca_certificates.empty() || !tls.subject_alt_names.empty();
  if (tls.mode == TlsMode::simple && (trusts_files || !tls.credential_name.empty())) {
    fields.error("insecureSkipVerify",
                 "cannot specify CaCertificates or CredentialName or SubjectAltNames when "
                 "InsecureSkipVerify is set true");
  }
  if (tls.mode == TlsMode::mutual && trusts_files) {
    fields.error(
        "insecureSkipVerify",
        "cannot specify CaCertificates or SubjectAltNames when InsecureSkipVerify is set true");
  }
}

void check(const ClientTls& tls, Fields& fields) {
  if (tls.insecure_skip_verify.value_or(false)) {
    check_skip_verify(tls, fields);
    if (!tls.ca_crl.empty()) fields.warn("caCrl", "no effect: insecureSkipVerify checks nothing");
  }
  const bool own = tls.mode == TlsMode::simple || tls.mode == TlsMode::mutual;
  if (own && !tls.credential_name.empty()) {
    if (!tls.client_certificate.empty() || !tls.ca_certificates.empty() ||
        !tls.private_key.empty() || !tls.ca_crl.empty()) {
      fields.error("credentialName",
                   "cannot specify client certificates or CA certificate or CA CRL If "
                   "credentialName is set");
    }
    return;
  }
  if (tls.mode != TlsMode::mutual) return;
  if (tls.client_certificate.empty()) {
    fields.error("clientCertificate", "client certificate required for mutual tls");
  }
  if (tls.private_key.empty()) fields.error("privateKey", "private key required for mutual tls");
}

}  // namespace

ClientTls decode_client_tls(Fields& fields) {
  ClientTls tls;
  tls.line = fields.line();
  tls.mode = static_cast<TlsMode>(fields.choice("mode", client_modes).value_or(0));
  tls.client_certificate = fields.text("clientCertificate");
  tls.private_key = fields.text("privateKey");
  tls.ca_certificates = fields.text("caCertificates");
  tls.ca_crl = fields.text("caCrl");
  tls.credential_name = fields.text("credentialName");
  tls.sni = fields.text("sni");
  tls.subject_alt_names = fields.texts("subjectAltNames");
  tls.insecure_skip_verify = fields.boolean("insecureSkipVerify");
  check(tls, fields);
  return tls;
}

}  // namespace sallyport::istio
