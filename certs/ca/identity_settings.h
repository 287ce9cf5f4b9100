// Which source a workload's identity comes from, as flags and environment say.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <variant>

#include "agent/core/limits.h"
#include "certs/ca/file_source.h"
#include "certs/ca/rotation.h"
#include "certs/ca/signing_request.h"

namespace sallyport::ca {

struct CaSettings {
  std::string address;     // host:port
  std::string root_file;   // PEM, to verify the CA's server; "SYSTEM": the operating system's
  std::string token_file;  // read for every call; need not be there when there is a certificate
  std::string chain_file, key_file;  // client certificate for the CA; empty: none
  KeyKind key = KeyKind::ec_p256;
  std::chrono::seconds ttl{24 * 3600};  // that is asked for
  std::string cluster_id, cert_signer;  // istiod's; may be empty
  std::chrono::milliseconds call_time = limits::ca_call_time;
};

struct WorkloadApiSettings {
  std::string endpoint;  // unix:///PATH or tcp://ADDRESS:PORT
};

struct IdentitySettings {
  std::variant<std::monostate, IdentityFiles, CaSettings, WorkloadApiSettings> source;
  RotationPolicy rotation;
  std::string trust_domain;     // empty: the mesh configuration's
  std::string more_roots_file;  // PEM, beside those that the source gives; empty: none
  bool any() const { return source.index() != 0; }
};

// The source that they name; REQUIRES: any(). `spiffe_id`: who the workload is, which a CA's
// certificate must say; files that say another are taken with a warning. `warn` gets lines for the
// log.
std::unique_ptr<IdentitySource> make_source(boost::asio::io_context& io,
                                            const IdentitySettings& settings,
                                            const std::string& spiffe_id,
                                            std::function<void(const std::string&)> warn);

}  // namespace sallyport::ca
