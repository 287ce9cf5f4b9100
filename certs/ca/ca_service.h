// What Istio's certificate service answers: who the caller is, and a certificate for that. No I/O.
//
// Threading: one thread's.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "certs/ca/authority.h"
#include "certs/ca/grpc_server.h"
#include "certs/ca/token.h"

namespace sallyport::ca {

inline constexpr const char* create_certificate_path =
    "/istio.v1.auth.IstioCertificateService/CreateCertificate";

class CaService {
public:
  struct Options {
    std::string trust_domain = "cluster.local";
    std::chrono::seconds ttl, ttl_max;  // of a request that wishes none, and at most
    // Seconds since 1970.
    std::function<int64_t()> now;
    // A line for each certificate issued, and for each refusal.
    std::function<void(const std::string&)> info, warn;
  };
  CaService(Options options, std::shared_ptr<const Authority> authority)
      : options_(std::move(options)), authority_(std::move(authority)) {}

  void set_authority(std::shared_ptr<const Authority> authority) {
    authority_ = std::move(authority);
  }
  void set_tokens(TokenRules rules, StaticTokens tokens) {
    rules_ = std::move(rules);
    tokens_ = std::move(tokens);
  }
  const Authority& authority() const { return *authority_; }

  // The id that is signed is the caller's, whatever the CSR says: of its client certificate (which
  // the transport verified against our roots), else of its bearer token. What it returns must not
  // outlive the service.
  std::variant<ServerAnswer, GrpcServer::Serve> admit(const ServerCall& call) const;

private:
  struct Caller {
    std::string spiffe_id;
    const char* means;  // "its certificate", ...
    std::string peer;   // address:port
  };
  Result<Caller> authenticate(const ServerCall& call) const;
  ServerAnswer create(const Caller& caller, const std::string& message) const;
  ServerAnswer refuse(const std::string& peer, const std::string& who, GrpcCode code,
                      std::string told, const std::string& why) const;
  std::string id_of(const ServiceAccount& account) const;

  Options options_;
  std::shared_ptr<const Authority> authority_;
  TokenRules rules_;
  StaticTokens tokens_;
};

}  // namespace sallyport::ca
