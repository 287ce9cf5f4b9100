// An identity from mounted files that somebody else renews: Istio's FILE_MOUNTED_CERTS, the
// credentials of a workload-certificates volume, cert-manager's csi-driver.
//
// Threading: as IdentitySource. Follows the files (inotify) from the first fetch on.
#pragma once
#include <memory>

#include "certs/ca/identity_source.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::ca {

struct IdentityFiles {
  std::string chain, key, roots;  // paths
};

// Errors that it delivers name the file. It takes whatever SPIFFE id the certificate carries: who
// mounts a certificate says who the workload is. `expected_id`: the pod's own, as its service
// account has it; another is warned of. Empty: none is expected.
std::unique_ptr<IdentitySource> make_file_source(boost::asio::io_context& io, IdentityFiles files,
                                                 std::function<void(const std::string&)> warn,
                                                 std::string expected_id = {});

}  // namespace sallyport::ca
