// meshConfig.tlsDefaults (istio-api.md 1.12, 2.13): names that are not Istio's are left out with a
// warning, as istiod does.
#include <algorithm>

#include "agent/core/ascii.h"
#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr Choice lowest_versions[] = {{"TLS_AUTO", 0}, {"TLSV1_2", 2}, {"TLSV1_3", 3}};
constexpr std::string_view suites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                       "ECDHE-RSA-AES128-GCM-SHA256",
                                       "ECDHE-ECDSA-AES256-GCM-SHA384",
                                       "ECDHE-RSA-AES256-GCM-SHA384",
                                       "ECDHE-ECDSA-CHACHA20-POLY1305",
                                       "ECDHE-RSA-CHACHA20-POLY1305",
                                       "ECDHE-ECDSA-AES128-SHA",
                                       "ECDHE-RSA-AES128-SHA",
                                       "ECDHE-ECDSA-AES256-SHA",
                                       "ECDHE-RSA-AES256-SHA",
                                       "AES128-GCM-SHA256",
                                       "AES256-GCM-SHA384",
                                       "AES128-SHA",
                                       "AES256-SHA",
                                       "DES-CBC3-SHA"};
constexpr std::string_view curves[] = {"P-256", "P-384", "P-521", "X25519"};
// Known to Istio, but our OpenSSL (3.0) has it not: one unknown name would spoil the whole list.
constexpr std::string_view absent_curve = "X25519MLKEM768";

template <std::size_t size>
std::vector<std::string> known_names(std::string_view field, const std::string_view (&known)[size],
                                     Fields& fields) {
  std::vector<std::string> out;
  for (std::string& name : fields.texts(field)) {
    if (std::find(out.begin(), out.end(), name) != out.end()) {
      fields.warn(field, quoted(name) + " is listed twice");
    } else if (std::find(std::begin(known), std::end(known), name) != std::end(known)) {
      out.push_back(std::move(name));
    } else if (name == absent_curve) {
      fields.warn(field, quoted(name) + " is not available here and is left out");
    } else {
      fields.warn(field, "there is no " + quoted(name) + "; it is left out");
    }
  }
  return out;
}

}  // namespace

// "ALL" and words with an operator before them ("-ECDHE-RSA-AES128-SHA") are taken as they are.
bool is_cipher_suite(std::string_view name) {
  if (name == "ALL" || std::find(std::begin(suites), std::end(suites), name) != std::end(suites))
    return true;
  const char first = ascii::lower(name.empty() ? 'a' : name[0]);
  return !ascii::is_digit(first) && (first < 'a' || first > 'z');
}

std::vector<std::string> decode_ecdh_curves(Fields& fields) {
  return known_names("ecdhCurves", curves, fields);
}

std::shared_ptr<const TlsDefaults> decode_tls_defaults(Fields& fields) {
  auto out = std::make_shared<TlsDefaults>();
  out->only_tls_1_3 = fields.choice("minProtocolVersion", lowest_versions).value_or(0) == 3;
  out->cipher_suites = known_names("cipherSuites", suites, fields);
  out->ecdh_curves = decode_ecdh_curves(fields);
  return out;
}

}  // namespace sallyport::istio
