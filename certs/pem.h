// Certificates and CRLs out of PEM text. Text between the blocks and blocks of other kinds are
// passed over, as every reader of PEM does; a block of ours that is broken or cut off is an error,
// never a shorter list.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "certs/openssl_ptr.h"

namespace sallyport::certs {

struct PemContents {
  std::vector<X509Ptr> certificates;
  std::vector<CrlPtr> crls;
};

// Errors (Fault::missing_secret) name the block. At most limits::pem_bytes and `certificates_max`
// certificates.
Result<PemContents> read_pem(std::string_view text, std::size_t certificates_max);

// One certificate; empty: no memory.
std::string pem_text(const X509& certificate);

// Fault::missing_secret with this text.
Error missing_secret(std::string why);

}  // namespace sallyport::certs
