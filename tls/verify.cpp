#include "tls/verify.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cstdint>

#include "agent/core/address.h"
#include "agent/core/ascii.h"
#include "agent/core/spiffe.h"
#include "certs/describe.h"
#include "tls/connection.h"

namespace sallyport::tls {
namespace {

constexpr std::size_t listed_names = 10;       // of a certificate's, which may be hundreds
constexpr std::size_t name_bytes_shown = 253;  // a DNS name's longest
constexpr std::size_t uri_bytes_shown = 512;

bool label_matches(std::string_view label, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (pattern.find('*', star + 1) != std::string_view::npos) return false;
  return pattern.size() <= label.size() + 1 && label.starts_with(pattern.substr(0, star)) &&
         label.ends_with(pattern.substr(star + 1));
}

bool matches_exactly(std::string_view name, const certs::CertificateInfo& certificate) {
  const auto holds = [name](const std::vector<std::string>& sans) {
    return std::find(sans.begin(), sans.end(), name) != sans.end();
  };
  if (holds(certificate.uris) || holds(certificate.emails)) return true;
  const auto ip = IpAddress::parse(name);  // so that every spelling of an IPv6 address counts
  return ip && std::find(certificate.ips.begin(), certificate.ips.end(), ip->text()) !=
                   certificate.ips.end();
}

std::string quoted_subject(const X509* certificate) {
  if (!certificate) return "no certificate";
  const std::string subject = certs::subject_text(*certificate);
  const auto uris = certs::describe(*certificate).uris;
  if (subject.empty() && !uris.empty())  // a workload's: Istio leaves the subject empty
    return "URI SAN \"" + certs::printable(uris.front(), uri_bytes_shown) + "\"";
  return "subject \"" + subject + "\"";
}

// A date says too little of a workload's certificate, which lives for hours.
std::string when(const X509& certificate, int64_t seconds_since_1970) {
  constexpr int64_t short_life_s = 2 * int64_t{86'400};
  const certs::CertificateInfo info = certs::describe(certificate);
  const bool is_short = info.not_after - info.not_before <= short_life_s;
  return is_short ? certs::time_text(seconds_since_1970) : certs::date_text(seconds_since_1970);
}

std::string unknown_ca(const X509* certificate) {
  if (!certificate) return "unknown CA";
  return "unknown CA: issuer \"" + certs::issuer_text(*certificate) + "\" of " +
         quoted_subject(certificate) + " is not among the trusted ones";
}

std::string crl_text(X509_STORE_CTX& verification, std::string_view what) {
  const X509* certificate = X509_STORE_CTX_get_current_cert(&verification);
  return std::string(what) +
         (certificate ? ": issuer \"" + certs::issuer_text(*certificate) + "\"" : std::string());
}

// A CRL of that issuer may be there and be of a kind that OpenSSL does not use (an indirect one).
std::string no_crl_text(X509_STORE_CTX& verification) {
  const X509* certificate = X509_STORE_CTX_get_current_cert(&verification);
  if (!certificate) return "no CRL";
  STACK_OF(X509_CRL)* const crls =
      X509_STORE_CTX_get1_crls(&verification, X509_get_issuer_name(certificate));
  const bool present = sk_X509_CRL_num(crls) > 0;
  sk_X509_CRL_pop_free(crls, X509_CRL_free);
  if (present) return crl_text(verification, "CRL cannot be used");
  return "no CRL of its issuer \"" + certs::issuer_text(*certificate) + "\" for " +
         quoted_subject(certificate) + ": with CRLs, every CA of a chain needs one";
}

}  // namespace

std::string chain_failure(X509_STORE_CTX& verification) {
  const X509* certificate = X509_STORE_CTX_get_current_cert(&verification);
  const std::string who =
      X509_STORE_CTX_get_error_depth(&verification) > 0 ? "CA certificate" : "certificate";
  const int error = X509_STORE_CTX_get_error(&verification);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return who + " expired on " + when(*certificate, certs::describe(*certificate).not_after) +
             ": " + quoted_subject(certificate);
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return who + " not valid before " +
             when(*certificate, certs::describe(*certificate).not_before) + ": " +
             quoted_subject(certificate);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      return unknown_ca(certificate);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "unknown CA: the self-signed " + quoted_subject(certificate) +
             " is not among the trusted ones";
    case X509_V_ERR_CERT_REVOKED:
      return who + " revoked: serial " + certs::describe(*certificate).serial + ", " +
             quoted_subject(certificate);
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return crl_text(verification, "CRL has expired");
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return crl_text(verification, "CRL is not yet valid");
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
      return no_crl_text(verification);
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
      return crl_text(verification, "CRL was not signed by the CA that it names");
    case X509_V_ERR_INVALID_PURPOSE:
      return who + " not meant for this end of TLS (key usage): " + quoted_subject(certificate);
    default:
      return std::string(X509_verify_cert_error_string(error)) + ": " + quoted_subject(certificate);
  }
}

bool dns_name_matches(std::string_view name, std::string_view pattern) {
  const std::string wanted = ascii::lower_case(name), offered = ascii::lower_case(pattern);
  if (wanted == offered) return true;
  const std::size_t name_dot = wanted.find('.'), pattern_dot = offered.find('.');
  if (name_dot == std::string::npos || pattern_dot == std::string::npos) return false;
  const std::string_view label = std::string_view(offered).substr(0, pattern_dot);
  const std::string_view rest = std::string_view(offered).substr(pattern_dot + 1);
  if (label.find('*') == label.npos || rest.find('*') != rest.npos || label.starts_with("xn--"))
    return false;
  if (IpAddress::parse(name)) return false;
  return std::string_view(wanted).substr(name_dot + 1) == rest &&
         label_matches(std::string_view(wanted).substr(0, name_dot), label);
}

bool any_name_matches(const std::vector<std::string>& names,
                      const certs::CertificateInfo& certificate) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return matches_exactly(name, certificate) ||
           std::any_of(certificate.dns_names.begin(), certificate.dns_names.end(),
                       [&](const std::string& san) { return dns_name_matches(name, san); });
  });
}

std::string list_text(const std::vector<std::string>& names) {
  std::string text = "[";
  for (std::size_t i = 0; i < names.size() && i < listed_names; ++i)
    text += (i ? ", " : "") + certs::printable(names[i], name_bytes_shown);
  if (names.size() > listed_names)
    text += " and " + std::to_string(names.size() - listed_names) + " more";
  return text + "]";
}

std::string alternative_names_text(const certs::CertificateInfo& certificate) {
  std::vector<std::string> all = certificate.dns_names;
  for (const auto* more : {&certificate.uris, &certificate.ips, &certificate.emails})
    all.insert(all.end(), more->begin(), more->end());
  return all.empty() ? "none" : list_text(all);
}

}  // namespace sallyport::tls
