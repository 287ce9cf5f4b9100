// The whole CA: Istio's certificate service on a port, its CA, keys and tokens from files that are
// followed live.
//
// Threading: one io_context's thread.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::ca {

struct CaServerOptions {
  SocketAddress listen;
  std::string directory;     // of the CA's files; may be empty when self-signed
  bool self_signed = false;  // a root of its own, kept in `directory` if there is one
  std::string root_file;     // gets the roots, at the start and when they change; empty: none does
  std::string trust_domain = "cluster.local";
  std::chrono::seconds ttl, ttl_max;
  std::string keys_file;  // JWKS or PEM public keys; empty: no JWTs
  std::vector<std::string> audiences = {"istio-ca"};
  std::string issuer;                             // of JWTs; empty: any
  std::string tokens_file;                        // empty: none
  std::vector<std::string> dns_names, addresses;  // of its own certificate
};

class CaServer {
public:
  // Errors: a file that is missing or wrong, an address that cannot be listened on.
  static Result<std::unique_ptr<CaServer>> start(boost::asio::io_context& io,
                                                 CaServerOptions options,
                                                 std::function<void(const std::string&)> info,
                                                 std::function<void(const std::string&)> warn);
  ~CaServer();
  CaServer(const CaServer&) = delete;

  // Reads all files again; what is bad leaves the good in force, with a line in the log.
  void reload();
  SocketAddress address() const;
  const std::string& roots_pem() const;

private:
  struct State;
  explicit CaServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::ca
