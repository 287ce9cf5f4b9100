#include "certs/ca/certificate_maker.h"

#include <openssl/pem.h>
#include <openssl/rand.h>

#include "certs/describe.h"

namespace sallyport::ca {
namespace {

bool set_serial(X509& certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, of full length
  const certs::BignumPtr number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate));
}

bool set_names(X509& certificate, const CertificateFields& fields) {
  X509_NAME* const subject = X509_get_subject_name(&certificate);
  const auto* text = reinterpret_cast<const unsigned char*>(fields.organization.data());
  if (!fields.organization.empty() &&
      X509_NAME_add_entry_by_NID(subject, NID_organizationName, MBSTRING_UTF8, text,
                                 static_cast<int>(fields.organization.size()), -1, 0) != 1)
    return false;
  return X509_set_issuer_name(&certificate,
                              fields.issuer ? X509_get_subject_name(fields.issuer) : subject) == 1;
}

bool add(X509& certificate, const CertificateFields& fields, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509* const issuer = fields.issuer ? const_cast<X509*>(fields.issuer) : &certificate;
  X509V3_set_ctx(&context, issuer, &certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool add_extensions(X509& certificate, const CertificateFields& fields) {
  const bool ca = fields.is_ca;
  if (!add(certificate, fields, NID_basic_constraints,
           ca ? "critical,CA:TRUE" : "critical,CA:FALSE"))
    return false;
  if (!add(certificate, fields, NID_key_usage,
           ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature,keyEncipherment"))
    return false;
  if (ca && !add(certificate, fields, NID_subject_key_identifier, "hash")) return false;
  if (!ca && !add(certificate, fields, NID_ext_key_usage, "serverAuth,clientAuth")) return false;
  const bool issuer_has_id =
      fields.issuer && X509_get0_subject_key_id(const_cast<X509*>(fields.issuer));
  if (issuer_has_id && !add(certificate, fields, NID_authority_key_identifier, "keyid"))
    return false;
  const auto& names = fields.names;
  if (names.dns.empty() && names.uris.empty() && names.ips.empty()) return true;
  const ExtensionPtr extension = alternative_names(names, fields.organization.empty());
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

// Ed25519 hashes by itself; a P-384 key is worth SHA-384.
const EVP_MD* digest_for(const EVP_PKEY& key) {
  if (EVP_PKEY_get_base_id(&key) == EVP_PKEY_ED25519) return nullptr;
  return EVP_PKEY_get_base_id(&key) == EVP_PKEY_EC && EVP_PKEY_get_bits(&key) > 256 ? EVP_sha384()
                                                                                    : EVP_sha256();
}

}  // namespace

Result<certs::X509Ptr> make_certificate(const CertificateFields& fields) {
  certs::X509Ptr certificate(X509_new());
  const bool made =
      certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
      set_serial(*certificate) &&
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), fields.not_before) &&
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), fields.not_after) &&
      set_names(*certificate, fields) &&
      X509_set_pubkey(certificate.get(), fields.public_key) == 1 &&
      add_extensions(*certificate, fields) &&
      X509_sign(certificate.get(), fields.signing_key, digest_for(*fields.signing_key)) > 0;
  if (made) return certificate;
  return Error{.fault = Fault::internal,
               .context = "making a certificate: " + certs::take_openssl_errors()};
}

}  // namespace sallyport::ca
