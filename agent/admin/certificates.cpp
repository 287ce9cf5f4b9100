#include "agent/admin/certificates.h"

#include <openssl/evp.h>
#include <openssl/x509_vfy.h>

#include <ctime>
#include <map>

#include "agent/admin/json.h"
#include "certs/describe.h"
#include "certs/pem.h"

namespace sallyport::admin {
namespace {

void dump_names(JsonWriter& json, const certs::CertificateInfo& info) {
  const auto list = [&json](std::string_view key, const std::vector<std::string>& names) {
    for (const auto& name : names) {
      json.object([&] { json.field(key, name); });
    }
  };
  json.array("subject_alt_names", [&] {
    list("dns", info.dns_names);
    list("uri", info.uris);
    list("ip_address", info.ips);
    list("email", info.emails);
  });
}

void dump_certificate(JsonWriter& json, const std::string& path, const certs::CertificateInfo& info,
                      int64_t now) {
  constexpr int64_t day = 86'400;
  json.object([&] {
    json.field("path", path);
    json.field("serial_number", info.serial);
    json.field("subject", info.subject);
    dump_names(json, info);
    json.field("days_until_expiration",
               std::to_string(info.not_after > now ? (info.not_after - now) / day : 0));
    json.field("valid_from", utc_text(info.not_before));
    json.field("expiration_time", utc_text(info.not_after));
  });
}

}  // namespace

std::string certificates_json(const certs::Vault& vault, int64_t now) {
  JsonWriter json;
  json.object([&] {
    json.array("certificates", [&] {
      for (const auto& [name, entry] : vault.entries) {
        if (!entry.active()) continue;
        json.object([&, &name = name, &entry = entry] {
          json.array("ca_cert", [&] {
            if (!entry.roots) return;
            for (const auto& info : entry.roots->certificates()) {
              dump_certificate(json, name, info, now);
            }
          });
          json.array("cert_chain", [&] {
            if (entry.pair) dump_certificate(json, name, entry.pair->info(), now);
          });
        });
      }
    });
  });
  return json.take();
}

std::string chain_pem(const certs::KeyPair& pair) {
  std::string pem = certs::pem_text(*pair.leaf());
  for (X509* intermediate : pair.intermediates()) pem += certs::pem_text(*intermediate);
  return pem;
}

// In the order of the file, which the store does not keep: what reads a bundle looks at its first.
std::string roots_pem(const certs::TrustStore& roots) {
  STACK_OF(X509)* const all = X509_STORE_get1_all_certs(roots.store());
  std::map<std::pair<std::string, std::string>, X509*> by_issuer_and_serial;
  for (int i = 0; i < sk_X509_num(all); i++) {
    X509* const one = sk_X509_value(all, i);
    const auto info = certs::describe(*one);
    by_issuer_and_serial[{info.issuer, info.serial}] = one;
  }
  std::string pem;
  for (const auto& info : roots.certificates()) {
    const auto at = by_issuer_and_serial.find({info.issuer, info.serial});
    if (at != by_issuer_and_serial.end()) pem += certs::pem_text(*at->second);
  }
  sk_X509_pop_free(all, X509_free);
  return pem;
}

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock adds a NUL
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string utc_text(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace sallyport::admin
