#include "certs/ca/ca_service.h"

#include <protocols/istio_ca.pb.h>

#include "agent/config/file.h"
#include "agent/core/spiffe.h"
#include "certs/describe.h"

namespace sallyport::ca {
namespace {

constexpr const char* impersonation = "ImpersonatedIdentity";  // ztunnel's, for its node's pods
constexpr std::size_t log_bytes = 512;

Error denied(std::string reason) { return {.fault = Fault::denied, .context = std::move(reason)}; }

// The token of "Bearer TOKEN"; the scheme's case does not matter (RFC 9110).
std::string_view bearer_of(std::string_view header) {
  constexpr std::string_view scheme = "bearer ";
  if (header.size() <= scheme.size()) return {};
  for (std::size_t i = 0; i < scheme.size(); ++i)
    if ((header[i] | 0x20) != scheme[i]) return {};
  return header.substr(scheme.size());
}

}  // namespace

std::string CaService::id_of(const ServiceAccount& account) const {
  return SpiffeId{options_.trust_domain, account.namespace_name, account.name}.text();
}

Result<CaService::Caller> CaService::authenticate(const ServerCall& call) const {
  if (call.peer_uris.size() == 1) {
    const auto id = SpiffeId::parse(call.peer_uris.front());
    if (id && id->trust_domain == options_.trust_domain)
      return Caller{call.peer_uris.front(), "its certificate", call.peer};
    return denied("a client certificate for " +
                  certs::printable(call.peer_uris.front(), log_bytes));
  }
  const std::string_view token = bearer_of(call.authorization);
  if (token.empty()) return denied("neither a client certificate nor a bearer token");
  if (const auto known = tokens_.find(config::digest(token)); known != tokens_.end())
    return Caller{id_of(known->second), "a token of the file", call.peer};
  if (rules_.keys.empty()) return denied("a token that is not in the file of tokens");
  auto account = verify_token(token, rules_, options_.now());
  if (!account) return account.error();
  return Caller{id_of(*account), "its JWT", call.peer};
}

ServerAnswer CaService::refuse(const std::string& peer, const std::string& who, GrpcCode code,
                               std::string told, const std::string& why) const {
  options_.warn("refused " + who + " at " + peer + ": " + code_name(static_cast<int>(code)) + ": " +
                why);
  return {code, std::move(told), ""};
}

ServerAnswer CaService::create(const Caller& caller, const std::string& message) const {
  const std::string &id = caller.spiffe_id, &peer = caller.peer;
  istio::v1::auth::IstioCertificateRequest request;
  if (!request.ParseFromString(message)) {
    const char* why = "the request is no IstioCertificateRequest";
    return refuse(peer, id, GrpcCode::invalid_argument, why, why);
  }
  const auto& metadata = request.metadata().fields();
  const auto other = metadata.find(impersonation);
  if (other != metadata.end() && !other->second.string_value().empty()) {
    return refuse(peer, id, GrpcCode::unauthenticated,
                  "request impersonation authentication failure",
                  "it wants to be " + certs::printable(other->second.string_value(), log_bytes));
  }
  const std::chrono::seconds wished(request.validity_duration());
  if (wished > options_.ttl_max) {
    const std::string why = "requested TTL " + std::to_string(wished.count()) +
                            " s is greater than the max allowed TTL " +
                            std::to_string(options_.ttl_max.count()) + " s";
    return refuse(peer, id, GrpcCode::invalid_argument, "CSR signing error (" + why + ")", why);
  }
  auto issued = authority_->sign(request.csr(), id, wished.count() > 0 ? wished : options_.ttl,
                                 options_.now());
  if (!issued) {
    const std::string& why = issued.error().context;
    const bool theirs = issued.error().fault == Fault::protocol;
    return refuse(peer, id, theirs ? GrpcCode::invalid_argument : GrpcCode::internal,
                  "CSR signing error (" + why + ")", why);
  }
  istio::v1::auth::IstioCertificateResponse response;
  for (std::string& one : issued->chain) response.add_cert_chain(std::move(one));
  response.add_cert_chain(authority_->roots_pem());
  options_.info("issued " + id + " to " + peer + " by " + caller.means + ": serial " +
                issued->serial + ", valid until " + certs::time_text(issued->not_after));
  return {GrpcCode::ok, "", response.SerializeAsString()};
}

std::variant<ServerAnswer, GrpcServer::Serve> CaService::admit(const ServerCall& call) const {
  if (call.path != create_certificate_path) {
    return ServerAnswer{GrpcCode::unimplemented,
                        "unknown method " + certs::printable(call.path, 128), ""};
  }
  auto caller = authenticate(call);
  if (!caller) {  // why is the log's alone, as istiod has it
    return refuse(call.peer, "a caller", GrpcCode::unauthenticated, "request authenticate failure",
                  caller.error().context);
  }
  return [this, caller = std::move(*caller)](const std::string& message) {
    return create(caller, message);
  };
}

}  // namespace sallyport::ca
