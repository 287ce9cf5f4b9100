// Certificate authorities, certificates and CRLs for tests, made in memory with OpenSSL: EC P-256
// keys (0.1 ms each), PEM out. Nothing is written to disk. For test sources of modules that link
// OpenSSL (certs and what uses it).
//
//   const auto ca = test::Authority::root("Test Root");
//   const auto server = ca.issue({.common_name = "server", .dns = {"a.example.com"}});
//   server.chain_pem, server.key_pem, ca.pem(), ca.crl({server.serial})
#pragma once
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace sallyport::test {

constexpr long hour_s = 3600, day_s = 24 * hour_s;

enum class KeyKind { ec, rsa, ed25519 };

struct CertificateSpec {
  std::string common_name = "leaf";
  std::vector<std::string> dns = {}, uris = {}, ips = {}, emails = {};
  long valid_from_s = -hour_s;  // seconds from now
  long valid_to_s = day_s;
  std::string extended_key_usage = "serverAuth,clientAuth";  // empty: no such extension
  bool rsa = false;  // RSA 2048 (slow to make) rather than P-256
  KeyKind kind = KeyKind::ec;
};

struct Issued {
  std::string chain_pem;  // the leaf, then the intermediates that issued it (not the root)
  std::string key_pem;    // PKCS #8
  long serial = 0;
  long not_after = 0;  // seconds since 1970
};

namespace detail {

template <auto Free>
struct FreeBy {
  void operator()(auto* object) const { Free(object); }
};
using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;
using Bio = std::unique_ptr<BIO, FreeBy<BIO_free>>;

inline void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("test certificates: ") + what);
}

inline std::string text_of(BIO* bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

inline Key make_key(const CertificateSpec& spec) {
  if (spec.kind == KeyKind::ed25519)
    return {EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free};
  const bool rsa = spec.rsa || spec.kind == KeyKind::rsa;
  Key key(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), EVP_PKEY_free);
  must(key != nullptr, "key");
  return key;
}

inline std::string pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  must(PEM_write_bio_X509(bio.get(), certificate) == 1, "certificate to PEM");
  return text_of(bio.get());
}

// With a pass phrase the key is encrypted.
inline std::string pem_of(EVP_PKEY* key, const char* pass_phrase = nullptr) {
  const Bio bio(BIO_new(BIO_s_mem()));
  must(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, pass_phrase ? EVP_aes_128_cbc() : nullptr,
                                     nullptr, 0, nullptr, const_cast<char*>(pass_phrase)) == 1,
       "key to PEM");
  return text_of(bio.get());
}

inline void add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, FreeBy<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  must(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
}

inline void make_indirect(X509_CRL* list) {
  const std::unique_ptr<X509_EXTENSION, FreeBy<X509_EXTENSION_free>> extension(X509V3_EXT_conf_nid(
      nullptr, nullptr, NID_issuing_distribution_point, "critical,indirectCRL:TRUE"));
  must(extension && X509_CRL_add_ext(list, extension.get(), -1) == 1, "indirect CRL");
}

inline std::string alternative_names(const CertificateSpec& spec) {
  std::string value;
  const auto add = [&value](const char* kind, const std::vector<std::string>& names) {
    for (const std::string& name : names) value += (value.empty() ? "" : ",") + (kind + name);
  };
  add("DNS:", spec.dns);
  add("URI:", spec.uris);
  add("IP:", spec.ips);
  add("email:", spec.emails);
  return value;
}

inline long next_serial() {
  static long last = 0xa0;  // a first digit that shows the case of hexadecimal texts
  return ++last;
}

inline Certificate make_unsigned(const CertificateSpec& spec, EVP_PKEY* key, long serial) {
  Certificate certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), spec.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), spec.valid_to_s);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1,
                             -1, 0);
  must(X509_set_pubkey(certificate.get(), key) == 1, "public key");
  return certificate;
}

}  // namespace detail

class Authority {
public:
  static Authority root(const std::string& common_name, CertificateSpec spec = {}) {
    spec.common_name = common_name;
    return Authority(spec, nullptr);
  }

  Authority intermediate(const std::string& common_name, CertificateSpec spec = {}) const {
    spec.common_name = common_name;
    return Authority(spec, this);
  }

  Issued issue(const CertificateSpec& spec) const {
    const detail::Key key = detail::make_key(spec);
    Issued issued;
    issued.serial = detail::next_serial();
    const detail::Certificate leaf = detail::make_unsigned(spec, key.get(), issued.serial);
    detail::add_extension(leaf.get(), NID_basic_constraints, "critical,CA:FALSE");
    if (!spec.extended_key_usage.empty())
      detail::add_extension(leaf.get(), NID_ext_key_usage, spec.extended_key_usage);
    if (const std::string names = detail::alternative_names(spec); !names.empty())
      detail::add_extension(leaf.get(), NID_subject_alt_name, names);
    sign(leaf.get());
    issued.not_after = std::time(nullptr) + spec.valid_to_s;
    issued.chain_pem = detail::pem_of(leaf.get()) + intermediates_pem_;
    issued.key_pem = detail::pem_of(key.get());
    return issued;
  }

  std::string pem() const { return detail::pem_of(certificate_.get()); }
  long serial() const { return ASN1_INTEGER_get(X509_get0_serialNumber(certificate_.get())); }
  std::string key_pem() const { return detail::pem_of(key_.get()); }

  // A CRL of this authority that names `serials`, good since a day ago until `valid_to_s` from
  // now. An indirect one speaks for several authorities: a kind that OpenSSL does not use unasked.
  std::string crl(const std::vector<long>& serials, long valid_to_s = day_s,
                  bool indirect = false) const {
    const std::unique_ptr<X509_CRL, detail::FreeBy<X509_CRL_free>> list(X509_CRL_new());
    X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
    const std::unique_ptr<ASN1_TIME, detail::FreeBy<ASN1_TIME_free>> time(ASN1_TIME_new());
    X509_CRL_set1_lastUpdate(list.get(), X509_gmtime_adj(time.get(), -day_s));
    for (const long serial : serials) {
      X509_REVOKED* const entry = X509_REVOKED_new();
      const std::unique_ptr<ASN1_INTEGER, detail::FreeBy<ASN1_INTEGER_free>> number(
          ASN1_INTEGER_new());
      ASN1_INTEGER_set(number.get(), serial);
      X509_REVOKED_set_serialNumber(entry, number.get());
      X509_REVOKED_set_revocationDate(entry, X509_gmtime_adj(time.get(), -hour_s));
      X509_CRL_add0_revoked(list.get(), entry);
    }
    X509_CRL_set1_nextUpdate(list.get(), X509_gmtime_adj(time.get(), valid_to_s));
    X509_CRL_sort(list.get());
    if (indirect) detail::make_indirect(list.get());
    detail::must(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) > 0, "CRL signature");
    const detail::Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(bio.get(), list.get());
    return detail::text_of(bio.get());
  }

private:
  Authority(const CertificateSpec& spec, const Authority* issuer)
      : key_(detail::make_key(spec)),
        certificate_(detail::make_unsigned(spec, key_.get(), detail::next_serial())) {
    detail::add_extension(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    detail::add_extension(certificate_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    detail::add_extension(certificate_.get(), NID_subject_key_identifier, "hash");
    (issuer ? issuer : this)->sign(certificate_.get());
    if (issuer) intermediates_pem_ = pem() + issuer->intermediates_pem_;
  }

  void sign(X509* certificate) const {
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate_.get()));
    detail::must(X509_sign(certificate, key_.get(), EVP_sha256()) > 0, "signature");
  }

  detail::Key key_;
  detail::Certificate certificate_;
  std::string intermediates_pem_;
};

// `key_pem` (not encrypted) once more, encrypted with a pass phrase.
inline std::string encrypted(const std::string& key_pem) {
  const detail::Bio bio(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const detail::Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr),
                        EVP_PKEY_free);
  return detail::pem_of(key.get(), "secret");
}

}  // namespace sallyport::test
