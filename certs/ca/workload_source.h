// The SPIFFE Workload API as a source: a SPIRE agent's socket streams the workload's identity and
// each newer one.
//
// Threading: as IdentitySource.
#pragma once
#include <memory>
#include <string_view>

#include "certs/ca/identity_settings.h"
#include "certs/ca/identity_source.h"

namespace sallyport::ca {

// `spiffe_id`: the workload's; of several identities the one that has it is taken, else the first,
// which is the default one by the standard. `warn` gets a line where the key comes in clear over a
// network.
std::unique_ptr<IdentitySource> make_workload_source(
    boost::asio::io_context& io, WorkloadApiSettings settings, std::string spiffe_id,
    const std::function<void(const std::string&)>& warn = {});

// What is connected to for an endpoint of SPIFFE_Workload_Endpoint: unix:///path for a socket,
// ADDRESS:PORT for tcp://, where the standard allows no name: whoever answers for one would be sent
// nothing secret, but would give the workload its key. Error: what is wrong with it.
Result<std::string> workload_address(const std::string& endpoint);

// What an X509SVIDResponse gives, in PEM. Errors name what cannot be read.
Result<IdentityMaterial> read_svid(std::string_view message, std::string_view spiffe_id);

}  // namespace sallyport::ca
