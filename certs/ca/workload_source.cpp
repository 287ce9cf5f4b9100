#include "certs/ca/workload_source.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <protocols/workload.pb.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "agent/core/address.h"
#include "agent/core/limits.h"
#include "certs/ca/extensions.h"
#include "certs/ca/grpc_call.h"
#include "certs/pem.h"

namespace sallyport::ca {
namespace {

constexpr std::string_view tcp_scheme = "tcp://", unix_scheme = "unix:";

Error bad_answer(std::string reason) {
  ERR_clear_error();
  return {.fault = Fault::protocol, .context = std::move(reason)};
}

// DER certificates one after another.
Result<std::string> certificates_of(const std::string& der, const char* what) {
  std::string pem;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  for (std::size_t count = 0; at != end; ++count) {
    if (count == limits::certificates_per_bundle)
      return bad_answer(std::string(what) + ": too many");
    const certs::X509Ptr one(d2i_X509(nullptr, &at, end - at));
    if (!one)
      return bad_answer(std::string(what) + ": certificate " + std::to_string(count + 1) +
                        " cannot be read");
    pem += certs::pem_text(*one);
  }
  return pem;
}

Result<SecretText> key_of(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const certs::KeyPtr key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
  if (!key) return bad_answer("x509_svid_key: no PKCS#8 key");
  return key_text(*key);
}

struct WipeKeys {
  X509SVIDResponse& response;
  ~WipeKeys() {
    for (auto& one : *response.mutable_svids()) {
      std::string& key = *one.mutable_x509_svid_key();
      OPENSSL_cleanse(key.data(), key.size());
    }
  }
};

class WorkloadSource : public IdentitySource {
public:
  WorkloadSource(boost::asio::io_context& io, WorkloadApiSettings settings, std::string spiffe_id)
      : io_(io), endpoint_(std::move(settings.endpoint)), spiffe_id_(std::move(spiffe_id)) {}

  void fetch(Deliver deliver) override {
    deliver_ = std::move(deliver);
    GrpcTarget target;
    target.tls = false;
    auto address = workload_address(endpoint_);
    if (!address) {
      return boost::asio::post(io_,
                               [this, guard = std::weak_ptr<int>(alive_), error = address.error()] {
                                 if (!guard.expired()) deliver_(error);
                               });
    }
    target.address = std::move(*address);
    // The header proves that no browser was talked into the request (SPIFFE_Workload_Endpoint).
    GrpcRequest request{
        "/SpiffeWorkloadAPI/FetchX509SVID", {{"workload.spiffe.io", "true"}}, "", true};
    call_ = std::make_unique<GrpcCall>(
        io_, std::move(target), std::move(request),
        GrpcCall::Handlers{[this](std::string message) {
                             const SecretText held(std::move(message));
                             deliver_(read_svid(held.view(), spiffe_id_));
                           },
                           [this](Result<void> result) {
                             deliver_(result ? bad_answer("the Workload API ended the stream")
                                             : result.error());
                           }});
  }
  bool follows() const override { return true; }
  std::string name() const override { return "Workload API " + endpoint_; }

private:
  boost::asio::io_context& io_;
  std::string endpoint_, spiffe_id_;
  Deliver deliver_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  std::unique_ptr<GrpcCall> call_;
};

}  // namespace

Result<IdentityMaterial> read_svid(std::string_view message, std::string_view spiffe_id) {
  X509SVIDResponse response;
  const WipeKeys wipe{response};
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return bad_answer("the answer is no X509SVIDResponse");
  if (response.svids().empty())
    return bad_answer("the Workload API has no identity for this workload");
  const X509SVID* chosen = &response.svids(0);
  for (const X509SVID& one : response.svids())
    if (one.spiffe_id() == spiffe_id) chosen = &one;
  auto chain = certificates_of(chosen->x509_svid(), "x509_svid");
  if (!chain) return chain.error();
  auto roots = certificates_of(chosen->bundle(), "bundle");
  if (!roots) return roots.error();
  auto key = key_of(chosen->x509_svid_key());
  if (!key) return key.error();
  if (chosen->spiffe_id().empty()) return bad_answer("an identity without a SPIFFE id");
  return IdentityMaterial{std::move(*chain), std::move(*key), std::move(*roots),
                          chosen->spiffe_id()};
}

Result<std::string> workload_address(const std::string& endpoint) {
  const auto wrong = [&](const char* why) {
    return Error{.fault = Fault::internal,
                 .context = "the Workload API's endpoint \"" + endpoint + "\": " + why};
  };
  if (endpoint.starts_with(tcp_scheme)) {
    const std::string address = endpoint.substr(tcp_scheme.size());
    if (!SocketAddress::parse(address))
      return wrong("tcp:// is followed by an IP address and a port, never by a name");
    return address;
  }
  if (endpoint.starts_with("unix:///")) return endpoint;
  // gRPC's other way to write it: unix:/path
  if (endpoint.starts_with("unix:/")) return "unix://" + endpoint.substr(unix_scheme.size());
  return wrong("neither unix:///PATH nor tcp://ADDRESS:PORT");
}

std::unique_ptr<IdentitySource> make_workload_source(
    boost::asio::io_context& io, WorkloadApiSettings settings, std::string spiffe_id,
    const std::function<void(const std::string&)>& warn) {
  const auto address = workload_address(settings.endpoint);
  const auto ip = address ? SocketAddress::parse(*address) : std::nullopt;
  if (ip && warn && !ip->ip().is_loopback()) {
    warn("the Workload API at " + settings.endpoint +
         " sends the workload's private key in clear over the network: a unix socket does not");
  }
  return std::make_unique<WorkloadSource>(io, std::move(settings), std::move(spiffe_id));
}

}  // namespace sallyport::ca
