// Who this proxy is: from flags, else from what Istio's injector gives a pod (environment, the
// downward API's labels file). Pure but for reading that one file.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/istio/resources.h"

namespace sallyport::cli {

struct IdentityFlags {  // empty: take it from the environment
  std::string name, namespace_name, service_account, labels_file;
  std::vector<std::string> addresses;
  std::vector<std::string> labels;  // key=value
  std::string udp_policy;           // off, log, enforce
};

// POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT, INSTANCE_IP (and INSTANCE_IPS, comma separated),
// ISTIO_META_INTERCEPTION_MODE, ISTIO_META_WORKLOAD_NAME, ISTIO_META_CLUSTER_ID, UDP_POLICY.
// `environment` returns nullptr for what is not set. Errors (Fault::internal): an address that is
// none, a label without `=`, a labels file that can't be read or parsed; a missing file at the
// default path is no error.
using Environment = std::function<const char*(const char*)>;
Result<istio::Proxy> find_identity(const IdentityFlags& flags, const Environment& environment);

// The downward API's format: one key="value" a line, the value quoted as Go's strconv.Quote does.
Result<istio::Labels> parse_labels_file(std::string_view text);

}  // namespace sallyport::cli
