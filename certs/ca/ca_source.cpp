#include "certs/ca/ca_source.h"

#include <protocols/istio_ca.pb.h>

#include <optional>

#include "agent/config/file.h"
#include "agent/config/secret_keys.h"
#include "agent/core/limits.h"
#include "certs/ca/ca_service.h"
#include "certs/ca/grpc_call.h"
#include "certs/ca/identity_check.h"

namespace sallyport::ca {
namespace {

constexpr const char* system_roots = "SYSTEM";

class CaSource : public IdentitySource {
public:
  CaSource(boost::asio::io_context& io, CaSettings settings, std::string spiffe_id)
      : io_(io), settings_(std::move(settings)), spiffe_id_(std::move(spiffe_id)) {}

  void fetch(Deliver deliver) override {
    call_.reset();
    deliver_ = std::move(deliver);
    answer_.reset();
    if (auto begun = begin(); !begun) deliver_(begun.error());
  }
  bool follows() const override { return false; }
  std::string name() const override { return "CA " + settings_.address; }

private:
  Result<void> begin() {
    GrpcTarget target;
    target.address = settings_.address;
    if (auto read = read_target(target); !read) return read.error();
    auto request = make_request(target.certificate != nullptr);
    if (!request) return request.error();
    call_ = std::make_unique<GrpcCall>(
        io_, std::move(target), std::move(*request),
        GrpcCall::Handlers{[this](std::string message) { answer_ = std::move(message); },
                           [this](Result<void> result) { finish(std::move(result)); }});
    return {};
  }

  // Read for every call: roots, tokens and certificates are replaced while we run.
  Result<void> read_target(GrpcTarget& target) const {
    if (settings_.root_file == system_roots) {
      auto roots = certs::TrustStore::system();
      if (!roots) return roots.error();
      target.roots = std::move(*roots);
    } else {
      auto text = config::read_file(settings_.root_file, limits::pem_file_bytes);
      if (!text) return while_doing("the CA's root " + settings_.root_file, text.error());
      auto roots = certs::TrustStore::parse(*text);
      if (!roots) return while_doing("the CA's root " + settings_.root_file, roots.error());
      target.roots = std::move(*roots);
    }
    if (!config::exists(settings_.chain_file)) return {};
    auto pem = config::read_pem({settings_.chain_file, settings_.key_file});
    if (!pem) return pem.error();
    auto pair = certs::KeyPair::parse(pem->first, pem->second);
    if (!pair) return while_doing(settings_.chain_file, pair.error());
    target.certificate = std::move(*pair);
    return {};
  }

  Result<GrpcRequest> make_request(bool has_certificate) {
    auto signing = make_signing_request(spiffe_id_, settings_.key);
    if (!signing) return signing.error();
    key_pem_ = std::move(signing->key_pem);
    istio::v1::auth::IstioCertificateRequest message;
    message.set_csr(signing->csr_pem);
    message.set_validity_duration(settings_.ttl.count());
    if (!settings_.cert_signer.empty()) {
      auto& fields = *message.mutable_metadata()->mutable_fields();
      fields["CertSigner"].set_string_value(settings_.cert_signer);
    }
    GrpcRequest request{create_certificate_path, {}, message.SerializeAsString()};
    request.time = settings_.call_time;
    if (!settings_.cluster_id.empty())
      request.metadata.emplace_back("clusterid", settings_.cluster_id);
    if (has_certificate && !config::exists(settings_.token_file)) return request;
    auto token = config::read_file(settings_.token_file, limits::token_bytes);
    if (!token) return while_doing("the token " + settings_.token_file, token.error());
    const auto end = token->find_last_not_of(" \t\r\n");
    token->resize(end == token->npos ? 0 : end + 1);
    const auto printable = [](char c) { return c > ' ' && c <= '~'; };
    if (token->empty() || !std::all_of(token->begin(), token->end(), printable)) {
      return Error{.fault = Fault::missing_secret,
                   .context = "the token " + settings_.token_file + " is empty, or no token"};
    }
    request.metadata.emplace_back("authorization", "Bearer " + *token);
    return request;
  }

  void finish(Result<void> result) {
    const auto call = std::move(call_);  // ends with this function
    if (!result) return deliver_(explained(result.error()));
    deliver_(material());
  }

  // A CA tells the caller nothing more, so that it can't be probed.
  Error explained(Error error) const {
    if (error.context.starts_with("UNAUTHENTICATED"))
      error.context += "; the reason stands in the log of the CA " + settings_.address;
    return error;
  }

  Result<IdentityMaterial> material() {
    istio::v1::auth::IstioCertificateResponse response;
    if (!answer_ || !response.ParseFromString(*answer_)) {
      return Error{.fault = Fault::protocol,
                   .context = "the answer is no IstioCertificateResponse"};
    }
    // Leaf first, roots last; istiod's client takes nothing shorter either.
    if (response.cert_chain_size() < 2)
      return Error{.fault = Fault::protocol, .context = "the answer has no chain with its root"};
    IdentityMaterial material;
    for (int i = 0; i + 1 < response.cert_chain_size(); ++i)
      material.chain_pem += response.cert_chain(i) + '\n';
    auto roots = join_certificates({response.cert_chain(response.cert_chain_size() - 1)});
    if (!roots) return while_doing("the answer's roots", roots.error());
    material.roots_pem = std::move(*roots);
    material.key_pem = std::move(key_pem_);
    material.spiffe_id = spiffe_id_;
    return material;
  }

  boost::asio::io_context& io_;
  CaSettings settings_;
  std::string spiffe_id_;
  Deliver deliver_;
  SecretText key_pem_;
  std::optional<std::string> answer_;
  std::unique_ptr<GrpcCall> call_;
};

}  // namespace

std::unique_ptr<IdentitySource> make_ca_source(boost::asio::io_context& io, CaSettings settings,
                                               std::string spiffe_id) {
  return std::make_unique<CaSource>(io, std::move(settings), std::move(spiffe_id));
}

}  // namespace sallyport::ca
