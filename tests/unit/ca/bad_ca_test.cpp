// CAs that are down, slow, talk nonsense or sign the wrong thing: each is refused by its name, and
// the old identity stays in force.
#include <boost/asio/io_context.hpp>

#include "certs/ca/ca_source.h"
#include "certs/ca/certificate_maker.h"
#include "certs/ca/csr.h"
#include "certs/ca/grpc_server.h"
#include "certs/ca/identity_manager.h"
#include "certs/describe.h"
#include "certs/pem.h"
#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"

#include <netinet/in.h>
#include <protocols/istio_ca.pb.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::ca {
namespace {

using namespace std::chrono_literals;

const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";

struct Signing {  // what a bad CA does with a good request
  std::string id = sleep;
  int64_t from = -60, until = 3600;  // seconds from now
  bool other_key = false, other_root = false, no_root = false;
};

const test::Authority& root() {
  static const auto one = test::Authority::root("Root");
  return one;
}

std::string sign(const Signing& how, const std::string& message) {
  istio::v1::auth::IstioCertificateRequest request;
  EXPECT_TRUE(request.ParseFromString(message));
  auto key = requested_key(request.csr(), sleep);
  EXPECT_TRUE(key);
  const certs::KeyPtr other(EVP_EC_gen("P-256"));
  const auto ca = certs::KeyPair::parse(root().pem(), root().key_pem());
  CertificateFields fields;
  fields.public_key = how.other_key ? other.get() : key->get();
  fields.issuer = (*ca)->leaf();
  fields.signing_key = (*ca)->key();
  fields.not_before = std::time(nullptr) + how.from;
  fields.not_after = std::time(nullptr) + how.until;
  fields.names.uris = {how.id};
  istio::v1::auth::IstioCertificateResponse response;
  response.add_cert_chain(certs::pem_text(**make_certificate(fields)));
  if (!how.no_root)
    response.add_cert_chain(how.other_root ? test::Authority::root("Other").pem() : root().pem());
  return response.SerializeAsString();
}

struct Case {
  const char* name;
  GrpcServer::Serve answer;
  const char* reason;
};

Case signing(const char* name, Signing how, const char* reason) {
  return {name,
          [how](const std::string& message) {
            return ServerAnswer{GrpcCode::ok, "", sign(how, message)};
          },
          reason};
}

const Case cases[] = {
    signing("signs another key", {.other_key = true}, "key"),
    signing("signs another SPIFFE id", {.id = "spiffe://cluster.local/ns/default/sa/admin"},
            "the certificate is for spiffe://cluster.local/ns/default/sa/admin, not for"),
    signing("signs another trust domain", {.id = "spiffe://evil/ns/default/sa/sleep"},
            "the certificate is for spiffe://evil/"),
    signing("gives an expired one", {.from = -3600, .until = -60}, "the certificate expired at"),
    signing("gives one that is not valid yet", {.from = 600},
            "the certificate is not valid before"),
    signing("gives a root that did not sign it", {.other_root = true},
            "its own roots do not verify the chain"),
    signing("gives no root", {.no_root = true}, "the answer has no chain with its root"),
    {"garbage for a message",
     [](const std::string&) {
       return ServerAnswer{GrpcCode::ok, "", "\xff\xff\xff garbage"};
     },
     "the answer is no IstioCertificateResponse"},
    {"an empty message", [](const std::string&) { return ServerAnswer{}; },
     "the answer has no chain with its root"},
    {"text for a chain",
     [](const std::string&) {
       istio::v1::auth::IstioCertificateResponse response;
       response.add_cert_chain("no");
       response.add_cert_chain("PEM");
       return ServerAnswer{GrpcCode::ok, "", response.SerializeAsString()};
     },
     "no certificate in the PEM text"},
    {"says no",
     [](const std::string&) {
       return ServerAnswer{GrpcCode::unauthenticated, "no", ""};
     },
     "UNAUTHENTICATED: no"},
    {"is broken",
     [](const std::string&) {
       return ServerAnswer{GrpcCode::internal, "oh", ""};
     },
     "INTERNAL: oh"},
};

class BadCa : public testing::Test {
protected:
  BadCa() {
    files_.write("token", "t");
    files_.write("root.pem", root().pem());
    settings_.root_file = files_.path("root.pem");
    settings_.token_file = files_.path("token");
  }
  void serve(const std::vector<std::string>& ips = {"127.0.0.1"}) {
    const auto own = root().issue({.ips = ips});
    auto server = GrpcServer::start(
        io_, *SocketAddress::parse("127.0.0.1:0"),
        *certs::KeyPair::parse(own.chain_pem, own.key_pem), *certs::TrustStore::parse(root().pem()),
        [this](const ServerCall&) { return answer_; }, [](const std::string&) {});
    ASSERT_TRUE(server) << server.error().context;
    server_ = std::move(*server);
    settings_.address = server_->address().text();
  }
  void manage() {
    manager_ = std::make_unique<IdentityManager>(
        io_, make_ca_source(io_, settings_, sleep), RotationPolicy{},
        IdentitySinks{[this](certs::VaultEntry pair, certs::VaultEntry) { now_ = pair; },
                      [](const std::string&) {}, [](const std::string&) {}});
    manager_->start();
  }
  std::string problem() {
    manage();
    while (now_.problem.empty() || now_.problem.starts_with("waiting")) io_.run_one();
    return now_.problem;
  }

  test::TemporaryDirectory files_;
  boost::asio::io_context io_;
  GrpcServer::Serve answer_;
  CaSettings settings_;
  certs::VaultEntry now_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<IdentityManager> manager_;
};

TEST_F(BadCa, IsNamedAndGivesNothing) {
  serve();
  for (const auto& c : cases) {
    answer_ = c.answer;
    now_ = {};
    EXPECT_NE(problem().find(c.reason), std::string::npos) << c.name << ": " << now_.problem;
    EXPECT_FALSE(now_.pair) << c.name;
    EXPECT_FALSE(manager_->ready()) << c.name;
  }
}

TEST_F(BadCa, LeavesTheOldIdentityInForce) {
  serve();
  for (const auto& c : cases) {
    now_ = {};
    answer_ = [](const std::string& message) {
      return ServerAnswer{GrpcCode::ok, "", sign({.until = 2}, message)};
    };
    manage();
    while (!now_.pair) io_.run_one();
    const auto good = now_.pair;
    answer_ = c.answer;
    while (now_.problem.empty()) io_.run_one();
    EXPECT_NE(now_.problem.find(c.reason), std::string::npos) << c.name << ": " << now_.problem;
    EXPECT_EQ(now_.pair, good) << c.name;
    EXPECT_TRUE(manager_->ready());
  }
}

// A listener that a test talks for.
class RawServer {
public:
  RawServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    ::listen(fd_, 16);
    port_ = ntohs(address.sin_port);
  }
  ~RawServer() { ::close(fd_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void answer(const std::string& bytes) {
    const int client = ::accept(fd_, nullptr, nullptr);
    EXPECT_EQ(::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL), ssize_t(bytes.size()));
    ::shutdown(client, SHUT_WR);
    char chunk[4096];
    while (::read(client, chunk, sizeof chunk) > 0) {
    }
    ::close(client);
  }

private:
  int fd_;
  int port_ = 0;
};

TEST_F(BadCa, ThatIsDownIsNamed) {
  settings_.address = RawServer().address();  // gone again
  EXPECT_EQ(problem(), "connect " + settings_.address + ": Connection refused");
}

TEST_F(BadCa, ThatHasNoNameIsNamed) {
  const std::string host(70, 'x');  // longer than a label may be: no DNS server is asked
  settings_.address = host + ":15012";
  EXPECT_TRUE(problem().starts_with("resolve " + host + ": ")) << now_.problem;
}

TEST_F(BadCa, ThatIsSilentIsGivenUp) {
  const RawServer silent;
  settings_.address = silent.address();
  settings_.call_time = 200ms;
  EXPECT_EQ(problem(), "no answer within the time");
}

TEST_F(BadCa, ThatSpeaksNoTlsIsNamed) {
  RawServer raw;
  settings_.address = raw.address();
  std::thread talker([&] { raw.answer("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  EXPECT_TRUE(problem().starts_with("TLS with " + settings_.address + ": ")) << now_.problem;
  talker.join();
}

TEST_F(BadCa, WithAnothersNameIsNamed) {
  serve({"192.0.2.1"});
  EXPECT_EQ(problem(), "TLS with " + settings_.address +
                           ": CERTIFICATE_VERIFY_FAILED: no SAN of the server certificate matches "
                           "[127.0.0.1]; it has [192.0.2.1]");
}

TEST_F(BadCa, OfAnotherRootIsNamed) {
  serve();
  files_.write("root.pem", test::Authority::root("Other").pem());
  const std::string told = problem();
  EXPECT_TRUE(told.starts_with("TLS with " + settings_.address +
                               ": CERTIFICATE_VERIFY_FAILED: unknown CA: issuer \""))
      << told;
}

TEST_F(BadCa, MissingRootAndTokenAreNamed) {
  serve();
  files_.remove("token");
  EXPECT_EQ(problem(), "the token " + settings_.token_file + ": No such file or directory");
  files_.remove("root.pem");
  now_ = {};
  EXPECT_EQ(problem(), "the CA's root " + settings_.root_file + ": No such file or directory");
}

}  // namespace
}  // namespace sallyport::ca
