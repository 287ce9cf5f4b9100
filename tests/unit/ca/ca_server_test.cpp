// The CA and its client over a real connection: who gets a certificate, and for whom.
#include "certs/ca/ca_server.h"

#include <boost/asio/io_context.hpp>

#include "agent/config/file.h"
#include "certs/ca/ca_source.h"
#include "certs/ca/grpc_call.h"
#include "certs/ca/identity_check.h"
#include "certs/ca/server_limits.h"
#include "tests/support/test_certs.h"
#include "tests/support/test_tokens.h"
#include "tests/unit/config/temporary_directory.h"

#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::ca {
namespace {

using namespace std::chrono_literals;

const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";
constexpr const char* machine_token = "0123456789abcdef";

const test::TokenIssuer& issuer() {
  static const auto one = test::TokenIssuer::es256();
  return one;
}

class RealCa : public testing::Test {
protected:
  RealCa() {
    options_.listen = *SocketAddress::parse("127.0.0.1:0");
    options_.self_signed = true;
    options_.ttl = 1h;
    options_.ttl_max = 24h;
    options_.dns_names = {"localhost"};
    options_.addresses = {"127.0.0.1"};
    options_.keys_file = files_.path("jwks.json");
    options_.tokens_file = files_.path("tokens");
    files_.write("jwks.json", issuer().jwks());
    files_.write("tokens", std::string(machine_token) + " vms/db\n");
    files_.write("token", issuer().token(test::TokenIssuer::claims("default", "sleep")) + "\n");
  }
  void start() {
    auto server = CaServer::start(
        io_, options_, [this](const std::string& line) { info_.push_back(line); },
        [this](const std::string& line) { warnings_.push_back(line); });
    ASSERT_TRUE(server) << server.error().context;
    server_ = std::move(*server);
    files_.write("root.pem", server_->roots_pem());
    settings_.address = server_->address().text();
    settings_.root_file = files_.path("root.pem");
    settings_.token_file = files_.path("token");
    settings_.ttl = 60s;
  }
  Result<IdentityMaterial> fetch(const std::string& id = sleep) {
    const auto source = make_ca_source(io_, settings_, id);
    std::optional<Result<IdentityMaterial>> got;
    source->fetch([&](Result<IdentityMaterial> delivered) { got.emplace(std::move(delivered)); });
    while (!got) io_.run_one();
    return std::move(*got);
  }
  std::string reason(const std::string& id = sleep) {
    const auto got = fetch(id);
    return got ? "given" : got.error().context;
  }
  static std::shared_ptr<const certs::KeyPair> checked(const IdentityMaterial& material) {
    const auto roots = certs::TrustStore::parse(material.roots_pem);
    auto pair = check_identity(material, **roots, std::time(nullptr));
    EXPECT_TRUE(pair) << pair.error().context;
    return pair ? *pair : nullptr;
  }

  test::TemporaryDirectory files_;
  boost::asio::io_context io_;
  CaServerOptions options_;
  CaSettings settings_;
  std::vector<std::string> info_, warnings_;
  std::unique_ptr<CaServer> server_;
};

TEST_F(RealCa, AServiceAccountsJwtGetsItsCertificate) {
  start();
  const auto material = fetch();
  ASSERT_TRUE(material) << material.error().context;
  const auto pair = checked(*material);
  ASSERT_TRUE(pair);
  EXPECT_LE(pair->info().not_after, std::time(nullptr) + 61);
  const std::string& line = info_.back();
  EXPECT_TRUE(line.starts_with("issued " + sleep + " to 127.0.0.1:")) << line;
  EXPECT_NE(line.find("by its JWT: serial " + pair->info().serial + ", valid until "),
            std::string::npos)
      << line;
}

TEST_F(RealCa, ItsRootIsGivenToAFileWithoutTheKey) {
  options_.root_file = files_.path("out.pem");
  files_.write("out.pem", "of the last start");
  start();
  const auto written = config::read_file(options_.root_file, 65536);
  ASSERT_TRUE(written);
  EXPECT_EQ(*written, server_->roots_pem());
  EXPECT_EQ(written->find("PRIVATE KEY"), std::string::npos);
}

TEST_F(RealCa, ARootsFileThatCannotBeWrittenStopsTheStart) {
  options_.root_file = files_.path("none/out.pem");
  const auto server = CaServer::start(
      io_, options_, [](const auto&) {}, [](const auto&) {});
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().context.find("none/out.pem"), std::string::npos);
}

TEST_F(RealCa, AMachinesTokenGetsTheAccountOfItsLine) {
  start();
  files_.write("token", machine_token);
  EXPECT_EQ(reason("spiffe://cluster.local/ns/vms/sa/db"), "given");
}

TEST_F(RealCa, ACertificateOfItsOwnRenewsItselfWithoutAToken) {
  start();
  const auto first = fetch();
  ASSERT_TRUE(first);
  files_.write("cert.pem", first->chain_pem);
  files_.write("key.pem", std::string(first->key_pem.view()));
  settings_.chain_file = files_.path("cert.pem");
  settings_.key_file = files_.path("key.pem");
  settings_.token_file = files_.path("none");
  EXPECT_EQ(reason(), "given");
  EXPECT_NE(info_.back().find("by its certificate"), std::string::npos) << info_.back();
}

TEST_F(RealCa, AStrangersCertificateIsNobodys) {
  start();
  const auto stranger = test::Authority::root("Stranger").issue({.uris = {sleep}});
  files_.write("cert.pem", stranger.chain_pem);
  files_.write("key.pem", stranger.key_pem);
  settings_.chain_file = files_.path("cert.pem");
  settings_.key_file = files_.path("key.pem");
  EXPECT_NE(reason(), "given");
  EXPECT_EQ(info_.size(), 1u);  // serving
}

TEST_F(RealCa, WhoCannotSayWhoItIsGetsNothing) {
  start();
  const std::string told =
      "UNAUTHENTICATED: request authenticate failure; the reason stands in the log of the CA " +
      settings_.address;
  const std::pair<std::string, const char*> bad[] = {
      {issuer().token(test::TokenIssuer::claims("default", "sleep", "vault")), "another audience"},
      {issuer().token(test::TokenIssuer::claims("default", "sleep", "istio-ca", -5)), "expired"},
      {test::TokenIssuer::es256().token(test::TokenIssuer::claims("default", "sleep")),
       "none of the keys"},
      {"0123456789abcdeX", "no JWT"},
  };
  for (const auto& [token, why] : bad) {
    files_.write("token", token);
    EXPECT_EQ(reason(), told);
    EXPECT_NE(warnings_.back().find(why), std::string::npos) << warnings_.back();
    EXPECT_EQ(warnings_.back().find(token), std::string::npos);
  }
}

TEST_F(RealCa, AnotherIdThanTheCallersIsRefused) {
  start();
  const std::string admin = "spiffe://cluster.local/ns/default/sa/admin";
  EXPECT_EQ(reason(admin), "INVALID_ARGUMENT: CSR signing error (the CSR asks for " + admin +
                               ", the caller is " + sleep + ")");
  EXPECT_TRUE(warnings_.back().starts_with("refused " + sleep + " at 127.0.0.1:"));
}

TEST_F(RealCa, ALongerLifeThanAllowedIsRefusedAsIstiodDoes) {
  start();
  settings_.ttl = 25h;
  EXPECT_NE(reason().find("INVALID_ARGUMENT: CSR signing error (requested TTL 90000 s is greater"),
            std::string::npos);
}

TEST_F(RealCa, ANewRootIsServedAndBothAreGivenWhileItRotates) {
  const auto first = test::Authority::root("First"), second = test::Authority::root("Second");
  options_.self_signed = false;
  options_.directory = files_.path("ca");
  files_.write("ca/ca-cert.pem", first.pem());
  files_.write("ca/ca-key.pem", first.key_pem());
  files_.write("ca/root-cert.pem", first.pem());
  start();
  const auto before = fetch();
  ASSERT_TRUE(before) << before.error().context;
  EXPECT_EQ(before->roots_pem, first.pem());

  files_.replace("ca/root-cert.pem", first.pem() + second.pem());
  while (server_->roots_pem() == first.pem()) io_.run_one();
  const auto both = fetch();
  ASSERT_TRUE(both);
  EXPECT_EQ(both->roots_pem, first.pem() + second.pem());

  files_.replace("ca/ca-key.pem", second.key_pem());  // not a pair yet: it goes on as before
  while (warnings_.empty()) io_.run_one();
  EXPECT_NE(warnings_.back().find("it goes on as before"), std::string::npos) << warnings_.back();
  files_.replace("ca/ca-cert.pem", second.pem());
  while (info_.back().find("the CA is now \"CN=Second\"") == std::string::npos) io_.run_one();
  files_.write("root.pem", first.pem() + second.pem());
  const auto after = fetch();
  ASSERT_TRUE(after) << after.error().context;
  EXPECT_EQ(checked(*after)->info().issuer, "CN=Second");
}

TEST_F(RealCa, ASelfSignedCaWhoseFilesVanishStaysWhoItIs) {
  options_.directory = files_.path("ca");
  start();
  const std::string root = server_->roots_pem();
  std::filesystem::rename(files_.path("ca"), files_.path("away"));
  std::filesystem::create_directory(files_.path("ca"));
  server_->reload();
  EXPECT_EQ(server_->roots_pem(), root);
  EXPECT_TRUE(std::filesystem::is_empty(files_.path("ca"))) << "a new root was written";
  EXPECT_NE(warnings_.back().find("ca-cert.pem"), std::string::npos) << warnings_.back();
  EXPECT_NE(warnings_.back().find("it goes on as before"), std::string::npos) << warnings_.back();
  EXPECT_EQ(reason(), "given");
}

TEST_F(RealCa, KeysAndTokensAreFollowedLive) {
  start();
  files_.write("token", "a-token-that-is-new");
  EXPECT_NE(reason("spiffe://cluster.local/ns/vms/sa/new"), "given");
  files_.replace("tokens", "a-token-that-is-new vms/new\n");
  while (reason("spiffe://cluster.local/ns/vms/sa/new") != "given") io_.run_one();
}

TEST_F(RealCa, ManyAtOnceAreServed) {
  start();
  std::vector<std::unique_ptr<IdentitySource>> sources;
  std::size_t given = 0, ended = 0;
  for (int i = 0; i < 40; ++i) {
    sources.push_back(make_ca_source(io_, settings_, sleep));
    sources.back()->fetch([&](Result<IdentityMaterial> delivered) {
      given += delivered ? 1 : 0;
      ++ended;
    });
  }
  while (ended < sources.size()) io_.run_one();
  EXPECT_EQ(given, sources.size());
}

// A client that a test talks for.
class RawClient {
public:
  RawClient(const SocketAddress& server, const std::string& bytes)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage{};
    const socklen_t size = server.fill(storage);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&storage), size), 0);
    EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), ssize_t(bytes.size()));
  }
  RawClient(const RawClient&) = delete;
  ~RawClient() { ::close(fd_); }

  bool was_closed() const {
    char byte = 0;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN;
  }

private:
  int fd_;
};

TEST_F(RealCa, SilentClientsAndNonsenseCostNobodyElseAnything) {
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(server_->address(), ""));
    clients.push_back(std::make_unique<RawClient>(server_->address(), "GET / HTTP/1.1\r\n\r\n"));
  }
  EXPECT_EQ(reason(), "given");
  EXPECT_NE(warnings_.at(0).find("connection of 127.0.0.1:"), std::string::npos) << warnings_[0];
}

TEST_F(RealCa, WhoHoldsConnectionsHeDoesNotUseGivesThemToNewcomers) {
  start();
  std::vector<std::unique_ptr<RawClient>> silent;
  for (std::size_t i = 0; i < limits::ca_connections_per_address; ++i)
    silent.push_back(std::make_unique<RawClient>(server_->address(), ""));
  io_.run_for(limits::grpc_grace + 100ms);
  EXPECT_EQ(reason(), "given");
  EXPECT_TRUE(silent.front()->was_closed()) << "the oldest";
  EXPECT_FALSE(silent.back()->was_closed());
  EXPECT_NE(warnings_.back().find(": 1 closed"), std::string::npos) << warnings_.back();
}

// What a call ends with.
class RealCaCalled : public RealCa {
protected:
  std::string end_of(GrpcRequest request) {
    GrpcTarget target;
    target.address = settings_.address;
    target.roots = *certs::TrustStore::parse(server_->roots_pem());
    std::optional<Result<void>> ended;
    GrpcCall call(io_, target, std::move(request),
                  {nullptr, [&](Result<void> result) { ended = std::move(result); }});
    while (!ended) io_.run_one();
    return *ended ? "OK" : ended->error().context;
  }
};

TEST_F(RealCaCalled, OtherMethodsAreUnknown) {
  start();
  EXPECT_EQ(end_of({"/istio.v1.auth.Other/Method", {}, "", false}),
            "UNIMPLEMENTED: unknown method /istio.v1.auth.Other/Method");
}

TEST_F(RealCaCalled, ALongRequestIsRefusedAndTheNextOneServed) {
  start();
  const std::string path = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
  const std::string bearer = "Bearer " + std::string(machine_token);
  const std::string long_message(100'000, 'x');
  EXPECT_EQ(end_of({path, {{"authorization", bearer}}, long_message, false}),
            "RESOURCE_EXHAUSTED: a message of more than 65536 bytes");
  EXPECT_EQ(end_of({path, {}, long_message, false}),
            "UNAUTHENTICATED: request authenticate failure")
      << "who it is comes before what it sends";
  EXPECT_EQ(end_of({path, {}, "", false}), "UNAUTHENTICATED: request authenticate failure");
  EXPECT_EQ(reason(), "given");
}

}  // namespace
}  // namespace sallyport::ca
