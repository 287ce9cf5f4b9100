// The client of Istio's certificate service: an identity from a CA (istiod, istio-csr, ours), a key
// of its own for every request.
//
// Threading: as IdentitySource.
#pragma once
#include <memory>

#include "certs/ca/identity_settings.h"
#include "certs/ca/identity_source.h"

namespace sallyport::ca {

std::unique_ptr<IdentitySource> make_ca_source(boost::asio::io_context& io, CaSettings settings,
                                               std::string spiffe_id);

}  // namespace sallyport::ca
