#include "certs/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "agent/core/limits.h"
#include "certs/describe.h"

namespace sallyport::certs {
namespace {

// One block as PEM_read_bio leaves it. Its bytes may be a private key: they are wiped.
struct Block {
  char* label = nullptr;
  char* header = nullptr;
  unsigned char* der = nullptr;
  long size = 0;
  Block() = default;
  Block(const Block&) = delete;
  ~Block() {
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, static_cast<std::size_t>(size));
  }
};

bool is_certificate(std::string_view label) {
  return label == PEM_STRING_X509 || label == PEM_STRING_X509_OLD ||
         label == PEM_STRING_X509_TRUSTED;
}

Error broken(std::string_view what, std::size_t number) {
  return missing_secret(std::string(what) + " " + std::to_string(number) +
                        " of the PEM text cannot be read: " + take_openssl_errors());
}

Result<void> add(const Block& block, std::size_t certificates_max, PemContents& contents) {
  const unsigned char* at = block.der;
  if (is_certificate(block.label)) {
    if (contents.certificates.size() == certificates_max)
      return missing_secret("more than " + std::to_string(certificates_max) + " certificates");
    // A trusted certificate carries trust settings behind it; d2i_X509 reads the certificate alone.
    X509Ptr certificate(d2i_X509(nullptr, &at, block.size));
    if (!certificate) return broken("certificate", contents.certificates.size() + 1);
    contents.certificates.push_back(std::move(certificate));
  } else if (std::string_view(block.label) == PEM_STRING_X509_CRL) {
    CrlPtr crl(d2i_X509_CRL(nullptr, &at, block.size));
    if (!crl) return broken("CRL", contents.crls.size() + 1);
    contents.crls.push_back(std::move(crl));
  }
  return {};
}

}  // namespace

std::string pem_text(const X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  // OpenSSL 3.0 declares it without const; it only reads.
  if (!bio || PEM_write_bio_X509(bio.get(), const_cast<X509*>(&certificate)) != 1) return {};
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Error missing_secret(std::string why) {
  return {Fault::missing_secret, Side::local, false, std::move(why), {}};
}

Result<PemContents> read_pem(std::string_view text, std::size_t certificates_max) {
  if (text.size() > limits::pem_bytes)
    return missing_secret("longer than " + std::to_string(limits::pem_bytes) + " bytes");
  PemContents contents;
  if (text.empty()) return contents;  // which OpenSSL would call an error
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) return missing_secret(take_openssl_errors());
  for (std::size_t number = 1;; ++number) {
    Block block;
    if (PEM_read_bio(bio.get(), &block.label, &block.header, &block.der, &block.size) != 1) {
      const unsigned long error = ERR_peek_last_error();
      if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        return broken("block", number);
      ERR_clear_error();
      return contents;
    }
    if (auto added = add(block, certificates_max, contents); !added) return added.error();
  }
}

}  // namespace sallyport::certs
