// `sallyport explain` where the plan is mutual TLS of the mesh: whether the workload has its
// certificate, and what the server presents, of files or of what the running proxy shows.
#include "agent/cli/explain_identity.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/admin/certificates.h"
#include "agent/cli/explain.h"
#include "tests/support/tls_server.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

using test::Authority;
using test::TlsServer;

constexpr const char* server_id = "spiffe://cluster.local/ns/default/sa/server";
constexpr const char* own_id = "spiffe://cluster.local/ns/default/sa/default";

// The admin port of a proxy: one body for whoever asks.
class Admin {
public:
  explicit Admin(const std::string& body)
      : answer_("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body) {
    listening_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_storage storage{};
    socklen_t size = SocketAddress(*IpAddress::parse("127.0.0.1"), 0).fill(storage);
    if (bind(listening_, reinterpret_cast<sockaddr*>(&storage), size) != 0) std::abort();
    if (listen(listening_, 8) != 0) std::abort();
    getsockname(listening_, reinterpret_cast<sockaddr*>(&storage), &size);
    address_ = SocketAddress::from(reinterpret_cast<sockaddr*>(&storage)).text();
    thread_ = std::thread([this] { serve(); });
  }
  ~Admin() {
    shutdown(listening_, SHUT_RDWR);
    thread_.join();
    close(listening_);
  }
  Admin(const Admin&) = delete;
  const std::string& address() const { return address_; }

private:
  void serve() const {
    for (int fd; (fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; close(fd)) {
      char request[4096];
      if (recv(fd, request, sizeof request, 0) <= 0) continue;
      send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
  }
  std::string answer_, address_;
  int listening_ = -1;
  std::thread thread_;
};

std::string dump_of(const std::string& active, const std::string& warming = "") {
  return R"({"configs":[{"@type":"type.googleapis.com/sallyport.admin.v1.FindingsDump"},)"
         R"({"@type":"type.googleapis.com/envoy.admin.v3.SecretsConfigDump",)"
         R"("dynamic_active_secrets":[)" +
         active + R"(],"dynamic_warming_secrets":[)" + warming + "]}]}";
}
std::string certificate(const std::string& pem) {
  return R"({"name":"default","secret":{"tls_certificate":{"certificate_chain":{"inline_bytes":")" +
         admin::base64(pem) + "\"}}}}";
}
std::string roots(const std::string& pem) {
  return R"({"name":"ROOTCA","secret":{"validation_context":{"trusted_ca":{"inline_bytes":")" +
         admin::base64(pem) + "\"}}}}";
}

class ExplainIdentity : public testing::Test {
protected:
  ExplainIdentity() {
    char path[] = "/tmp/sallyport-identity-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~ExplainIdentity() override { std::filesystem::remove_all(directory_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }
  // A Service whose one pod, of the mesh, is `server`.
  Outcome ask(const SocketAddress& server, std::vector<std::string> words) {
    const auto port = std::to_string(server.port());
    const auto rules =
        write("rules.yaml",
              "apiVersion: v1\nkind: Service\nmetadata: {name: server}\nspec:\n"
              "  clusterIP: 198.51.100.5\n  selector: {app: server}\n"
              "  ports: [{port: 80, name: http, targetPort: " +
                  port +
                  "}]\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: server\n"
                  "  labels: {app: server, security.istio.io/tlsMode: istio}\n"
                  "spec: {serviceAccountName: server, containers: [{name: istio-proxy}]}\n"
                  "status: {podIP: 127.0.0.1}\n");
    words.insert(words.end(), {"--to", "http://server/", rules});
    return run_command(run_explain, std::move(words));
  }
  std::vector<std::string> files(const test::Issued& own, const Authority& ca) {
    return {"--live",
            "--identity-cert",
            write("own.pem", own.chain_pem),
            "--identity-key",
            write("own.key", own.key_pem),
            "--identity-root",
            write("root.pem", ca.pem())};
  }
  TlsServer::Options server_of(const Authority& issuer, const std::string& id) {
    return {.certificate = issuer.issue({.uris = {id}}), .client_ca_pem = ca_.pem()};
  }
  test::Issued own() const { return ca_.issue({.common_name = "me", .uris = {own_id}}); }
  Authority ca_ = Authority::root("mesh");
  std::filesystem::path directory_;
};

TEST_F(ExplainIdentity, MountedFilesShakeHandsAsTheProxyDoes) {
  const TlsServer server(server_of(ca_, server_id));
  const auto told = ask(server.address(), files(own(), ca_));
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, std::string("identity      ") + own_id + ", valid until "))
      << told.output;
  EXPECT_TRUE(has(told.output, "chain and name are good")) << told.output;
  EXPECT_TRUE(has(told.output, "It goes through.\n")) << told.output;
  // The server notes its client a moment after it has sent us a ticket.
  for (int i = 0; server.seen().empty() && i < 1000; i++) usleep(10'000);
  ASSERT_EQ(server.seen().size(), 1u);
  EXPECT_EQ(server.seen()[0].client, "me");
  EXPECT_EQ(server.seen()[0].sni, "outbound_.80_._.server.default.svc.cluster.local");
  EXPECT_EQ(server.seen()[0].alpn, "istio-http/1.1,istio,http/1.1");
}

TEST_F(ExplainIdentity, AServerOfAnotherCaFailsTheLiveConnection) {
  const TlsServer server(server_of(Authority::root("other"), server_id));
  const auto told = ask(server.address(), files(own(), ca_));
  EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "the live connection FAILED")) << told.output;
}

TEST_F(ExplainIdentity, AServerOfAnotherNameFailsTheLiveConnection) {
  const TlsServer server(server_of(ca_, "spiffe://cluster.local/ns/default/sa/impostor"));
  const Admin admin(dump_of(certificate(own().chain_pem) + "," + roots(ca_.pem())));
  for (const auto& words : {files(own(), ca_), {"--live", "--admin", admin.address()}}) {
    const auto told = ask(server.address(), words);
    EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
    EXPECT_TRUE(has(told.output, "presented     CN=leaf; names spiffe://cluster.local/ns/default"))
        << told.output;
    EXPECT_TRUE(has(told.output, "FAILED: ")) << told.output;
  }
}

TEST_F(ExplainIdentity, OfTheRunningProxyTheServersSideIsTriedAndTheRestIsSaid) {
  const TlsServer server(server_of(ca_, server_id));
  const Admin admin(dump_of(certificate(own().chain_pem) + "," + roots(ca_.pem())));
  const auto told = ask(server.address(), {"--live", "--admin", admin.address()});
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "[the running proxy (" + admin.address() + ")]")) << told.output;
  EXPECT_TRUE(has(told.output, "chain and name are good")) << told.output;
  EXPECT_TRUE(has(told.output, "not tried     our own certificate was not shown")) << told.output;
  EXPECT_TRUE(has(told.output, "It goes through, as far as it was tried.")) << told.output;
}

TEST_F(ExplainIdentity, WithoutAnIdentityNothingIsCalledTried) {
  const TlsServer server(server_of(ca_, server_id));
  const auto told = ask(server.address(), {"--live"});
  EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "handshake     FAILED: not tried: neither files")) << told.output;
}

TEST_F(ExplainIdentity, ARunningProxyWithoutItsCertificateRefuses) {
  const SocketAddress nowhere(*IpAddress::parse("127.0.0.1"), 9);
  const Admin admin(dump_of(roots(ca_.pem()), R"({"name":"default","error_state":)"
                                              R"({"details":"CA ca:15012: refused"}})"));
  const auto told = ask(nowhere, {"--admin", admin.address()});
  EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
  EXPECT_TRUE(has(told.output,
                  "REFUSED: the running proxy has no workload certificate yet (default is "
                  "WARMING): CA ca:15012: refused (503)"))
      << told.output;
  const Admin without(dump_of(""));
  EXPECT_TRUE(has(ask(nowhere, {"--admin", without.address()}).output,
                  "REFUSED: the running proxy has no workload certificate (default): it was given "
                  "no CA, files or Workload API (503)"));
}

TEST_F(ExplainIdentity, ARunningProxysExpiredCertificateRefuses) {
  const auto old =
      ca_.issue({.uris = {own_id}, .valid_from_s = -2 * test::day_s, .valid_to_s = -test::hour_s});
  const Admin admin(dump_of(certificate(old.chain_pem) + "," + roots(ca_.pem())));
  const auto told = ask({*IpAddress::parse("127.0.0.1"), 9}, {"--admin", admin.address()});
  EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "REFUSED: the running proxy's certificate EXPIRED at "))
      << told.output;
}

// The files have a rule that is refused; the proxy beside them goes on by the one before.
TEST_F(ExplainIdentity, ARunningProxysLastGoodVersionIsToldBesideTheFiles) {
  const auto rules = write("broken.yaml",
                           "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
                           "metadata: {name: a}\nspec:\n  hosts: [a.test]\n"
                           "  ports: [{number: 80, name: http, protocol: HTTP}]\n"
                           "  resolution: DNS\n---\n"
                           "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
                           "metadata: {name: a}\nspec:\n  host: a.test\n"
                           "  trafficPolicy: {tls: {mode: SIMPEL}}\n");
  const auto ask = [&](const std::string& cluster) {
    const Admin admin(
        R"({"configs":[{"@type":"type.googleapis.com/sallyport.admin.v1.FindingsDump",)"
        R"("findings":[{"severity":"error","file":"broken.yaml","line":14,"reason":"SIMPEL"}]},)"
        R"({"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump",)"
        R"("dynamic_active_clusters":[{"cluster":{"name":"outbound|80||a.test",)" +
        cluster + "}}]}]}");
    return run_command(run_explain, {"--to", "http://a.test/", "--admin", admin.address(), rules});
  };
  const auto kept = ask(R"("transport_socket":{"typed_config":{"sni":"a.test"}})");
  EXPECT_EQ(kept.exit_code, 1) << kept.output << kept.errors;
  EXPECT_TRUE(has(kept.output,
                  "The running proxy, now: outbound|80||a.test is sent to, by the last good "
                  "version, as TLS with SNI a.test\nAfter a restart, by the files: It does NOT"))
      << kept.output;
  const auto closed = ask(R"("refused":"SIMPEL")");
  EXPECT_FALSE(has(closed.output, "The running proxy, now")) << closed.output;
  EXPECT_FALSE(has(closed.output, "may do otherwise")) << closed.output;
}

// What a policy or a Sidecar was before it went bad stands in no dump.
TEST_F(ExplainIdentity, WhatARunningProxyRefusesMayHaveALastGoodVersionThatNobodySees) {
  const auto rules = write("policy.yaml",
                           "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
                           "metadata: {name: a}\nspec:\n  hosts: [a.test]\n"
                           "  ports: [{number: 80, name: http, protocol: HTTP}]\n"
                           "  resolution: DNS\n---\n"
                           "apiVersion: networking.istio.io/v1\nkind: Sidecar\n"
                           "metadata: {name: default}\nspec: {egres: []}\n");
  const Admin admin(
      R"({"configs":[{"@type":"type.googleapis.com/sallyport.admin.v1.FindingsDump",)"
      R"("findings":[{"severity":"error","file":"policy.yaml","line":10,"reason":"egres"}]}]})");
  const auto told =
      run_command(run_explain, {"--to", "http://a.test/", "--admin", admin.address(), rules});
  EXPECT_TRUE(has(told.output, "By the files: the running proxy may do otherwise, see 1.\n"))
      << told.output;
}

}  // namespace
}  // namespace sallyport::cli
