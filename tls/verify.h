// Whether a certificate speaks for one of the names that a configuration asks for, as Envoy decides
// it. Pure. The common name never counts.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "certs/key_pair.h"

using X509_STORE_CTX = struct x509_store_ctx_st;

namespace sallyport::tls {

// Envoy's dnsNameMatch: without regard to case; one `*`, in the leftmost label of `pattern` only,
// stands for (a part of) one label, but not in an A-label ("xn--..."). An IP literal matches only
// literally.
bool dns_name_matches(std::string_view name, std::string_view pattern);

// Any of `names` equals a URI, IP or e-mail SAN or matches a DNS SAN.
bool any_name_matches(const std::vector<std::string>& names,
                      const certs::CertificateInfo& certificate);

// Why X509_verify_cert said no, with the certificate that it stopped at: "unknown CA: issuer ...".
std::string chain_failure(X509_STORE_CTX& verification);

// "[a, b]": for operators, safe to log, cut after a few.
std::string list_text(const std::vector<std::string>& names);
std::string alternative_names_text(const certs::CertificateInfo& certificate);

}  // namespace sallyport::tls
