#include "certs/ca/extensions.h"

#include <openssl/pem.h>

#include "certs/describe.h"

namespace sallyport::ca {
namespace {

using NamePtr = std::unique_ptr<GENERAL_NAME, certs::OpensslFree<GENERAL_NAME_free>>;

bool push(GENERAL_NAMES& names, NamePtr name) {
  if (!name || sk_GENERAL_NAME_push(&names, name.get()) == 0) return false;
  static_cast<void>(name.release());  // the list has it
  return true;
}

NamePtr text_name(int type, const std::string& text) {
  NamePtr name(GENERAL_NAME_new());
  ASN1_IA5STRING* const value = ASN1_IA5STRING_new();
  if (!name || !value || ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) != 1) {
    ASN1_IA5STRING_free(value);
    return nullptr;
  }
  GENERAL_NAME_set0_value(name.get(), type, value);
  return name;
}

NamePtr address_name(const std::string& text) {
  NamePtr name(GENERAL_NAME_new());
  ASN1_OCTET_STRING* const value = a2i_IPADDRESS(text.c_str());
  if (!name || !value) {
    ASN1_OCTET_STRING_free(value);
    return nullptr;
  }
  GENERAL_NAME_set0_value(name.get(), GEN_IPADD, value);
  return name;
}

}  // namespace

ExtensionPtr alternative_names(const AlternativeNames& names, bool critical) {
  const certs::GeneralNamesPtr all(GENERAL_NAMES_new());
  if (!all) return nullptr;
  for (const std::string& uri : names.uris)
    if (!push(*all, text_name(GEN_URI, uri))) return nullptr;
  for (const std::string& name : names.dns)
    if (!push(*all, text_name(GEN_DNS, name))) return nullptr;
  for (const std::string& address : names.ips)
    if (!push(*all, address_name(address))) return nullptr;
  return ExtensionPtr(X509V3_EXT_i2d(NID_subject_alt_name, critical ? 1 : 0, all.get()));
}

std::string memory_text(BIO& bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Result<SecretText> key_text(const EVP_PKEY& key) {
  const certs::BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return Error{.fault = Fault::internal,
                 .context = "writing a key: " + certs::take_openssl_errors()};
  return SecretText(memory_text(*bio));
}

}  // namespace sallyport::ca
