// Whether a peer's certificate is taken: its chain, its names, its pins; and why not.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cstdint>

#include "agent/core/spiffe.h"
#include "certs/describe.h"
#include "tls/connection.h"
#include "tls/context.h"
#include "tls/verify.h"

namespace sallyport::tls {
namespace {

bool is_about_crls(int error) {
  return error == X509_V_ERR_CERT_REVOKED || error == X509_V_ERR_CRL_HAS_EXPIRED ||
         error == X509_V_ERR_CRL_NOT_YET_VALID || error == X509_V_ERR_UNABLE_TO_GET_CRL ||
         error == X509_V_ERR_CRL_SIGNATURE_FAILURE || error == X509_V_ERR_DIFFERENT_CRL_SCOPE;
}

// Of the chain that was just verified, root included.
int64_t first_end_of(X509_STORE_CTX& verification) {
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(&verification);
  int64_t first = INT64_MAX;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    first = std::min(first, certs::seconds_of(X509_get0_notAfter(sk_X509_value(chain, i))));
  }
  return std::max<int64_t>(first, 1);  // 0 would stand for none
}

// Exactly one URI SAN (SPIFFE X.509-SVID section 2), a SPIFFE id of a trust domain of ours. Empty:
// it is.
std::string identity_failure(const std::vector<std::string>& trust_domains,
                             const certs::CertificateInfo& leaf) {
  if (leaf.uris.empty()) {
    return "the client certificate has no URI SAN: a SPIFFE id of trust domain " +
           list_text(trust_domains) + " is wanted; it has " + alternative_names_text(leaf);
  }
  if (leaf.uris.size() > 1) {
    return "the client certificate has " + std::to_string(leaf.uris.size()) +
           " URI SANs, a SPIFFE certificate has one: " + list_text(leaf.uris);
  }
  const auto domain = trust_domain_of(leaf.uris[0]);
  const bool ours = !domain.empty() && std::find(trust_domains.begin(), trust_domains.end(),
                                                 domain) != trust_domains.end();
  if (ours && has_spiffe_characters(leaf.uris[0])) return {};
  if (ours) {
    return "the client certificate's " + list_text(leaf.uris) +
           " has characters that no SPIFFE id has";
  }
  return "the client certificate's " + list_text(leaf.uris) + " is not of trust domain " +
         list_text(trust_domains);
}

// A digest that could not be worked out is in no list.
bool is_pinned(const std::vector<Sha256>& pins, const std::optional<Sha256>& digest) {
  return digest && std::find(pins.begin(), pins.end(), *digest) != pins.end();
}

// Each digest is worked out only for those who list some. Empty: it is pinned, or no pin is asked
// for.
std::string pin_failure(const ServerSettings& server, const X509& leaf) {
  const auto& keys = server.certificate_spki;
  const auto& certificates = server.certificate_hash;
  if (keys.empty() && certificates.empty()) return {};
  const auto key = keys.empty() ? std::nullopt : spki_sha256(leaf);
  if (is_pinned(keys, key)) return {};
  const auto whole = certificates.empty() ? std::nullopt : certificate_sha256(leaf);
  if (is_pinned(certificates, whole)) return {};
  std::string text = "the client certificate is not a pinned one:";
  if (key) text += " the SHA-256 of its SPKI is " + spki_pin_text(*key);
  if (key && whole) text += " and";
  if (whole) text += " its SHA-256 is " + certs::hexadecimal(*whole);
  return text;
}

std::string name_failure(const std::vector<std::string>& names, const certs::CertificateInfo& leaf,
                         const char* whose) {
  if (names.empty() || any_name_matches(names, leaf)) return {};
  return std::string("no SAN of the ") + whose + " certificate matches " + list_text(names) +
         "; it has " + alternative_names_text(leaf);
}

std::string client_failure(const ServerSettings& server, const X509& certificate) {
  if (!server.trust_domains.empty() || !server.names.empty()) {
    const certs::CertificateInfo leaf = certs::describe(certificate);
    std::string failure =
        server.trust_domains.empty() ? std::string() : identity_failure(server.trust_domains, leaf);
    if (failure.empty()) failure = name_failure(server.names, leaf, "client");
    if (!failure.empty()) return failure;
  }
  return pin_failure(server, certificate);
}

std::string server_failure(const std::vector<std::string>& names, const X509& certificate) {
  if (names.empty()) return {};
  return name_failure(names, certs::describe(certificate), "server");
}

// Empty: the certificate is good. Else the verification has the error that the alert is made of.
std::string failure_of_peer(X509_STORE_CTX& verification, const Handshake& handshake) {
  if (X509_verify_cert(&verification) != 1) {
    std::string failure = chain_failure(verification);
    if (is_about_crls(X509_STORE_CTX_get_error(&verification)) && !handshake.crls_from.empty())
      failure += " (CRL of " + handshake.crls_from + ")";
    return failure;
  }
  const X509& leaf = *X509_STORE_CTX_get0_cert(&verification);
  std::string failure = handshake.server ? client_failure(handshake.server->settings(), leaf)
                                         : server_failure(handshake.names, leaf);
  if (failure.empty()) return failure;
  // To a client OpenSSL has no alert for it, so certificate_unknown is sent, as by Envoy.
  X509_STORE_CTX_set_error(&verification, handshake.server ? X509_V_ERR_PERMITTED_VIOLATION
                                                           : X509_V_ERR_HOSTNAME_MISMATCH);
  return failure;
}

// Until when the verification holds: of a server's clients no longer than the CRLs it looked at.
// (A client of ours looks at its CRLs when it resumes.)
int64_t end_of(X509_STORE_CTX& verification, const Handshake& handshake) {
  const int64_t chain = first_end_of(verification);
  const int64_t crls = handshake.server ? handshake.server->crls_end() : 0;
  return crls == 0 ? chain : std::min(chain, crls);
}

}  // namespace

int verify_peer(X509_STORE_CTX* verification, void*) {
  SSL* const ssl = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509_STORE_CTX_set_error(verification, X509_V_OK);
  if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) return 1;
  Connection& connection = connection_of(*ssl);
  if (!connection.handshake) return 0;  // No certificate is due any more: fail closed.
  Handshake& handshake = *connection.handshake;
  // Certificates are held to it where old versions of TLS put the SSL itself on another.
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(verification), security_level);
  std::string failure = failure_of_peer(*verification, handshake);
  ERR_clear_error();
  connection.chain_ends = failure.empty() ? end_of(*verification, handshake) : 0;
  if (failure.empty()) return 1;
  if (handshake.server && handshake.server->settings().accept_untrusted) {
    X509_STORE_CTX_set_error(verification, X509_V_OK);
    return 1;
  }
  handshake.verify_failure = std::move(failure);
  return 0;
}

}  // namespace sallyport::tls
