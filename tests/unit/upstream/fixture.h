// A worker's worth of upstream: loop, resolver, vault, metrics.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "agent/net/combine.h"
#include "agent/upstream/upstreams.h"
#include "tests/support/await.h"
#include "tests/support/dns_server.h"
#include "tests/support/tls_server.h"

namespace sallyport::upstream {

using namespace std::chrono_literals;
using test::TlsServer;

inline net::Task<void> until(net::Loop& loop, std::function<bool()> holds) {
  while (!holds()) co_await net::sleep_for(loop, 2ms);
}

inline net::Task<std::string> echo(net::Stream& stream, std::string text) {
  char bytes[256];
  if (!co_await stream.write_all(std::string_view(text))) co_return "write failed";
  const ssize_t n = co_await stream.read(bytes);
  co_return n < 0 ? "read failed" : std::string(bytes, static_cast<std::size_t>(n));
}

class UpstreamsTest : public testing::Test {
protected:
  std::shared_ptr<mesh::Cluster> cluster(std::vector<SocketAddress> to) {
    auto out = std::make_shared<mesh::Cluster>();
    out->name = "outbound|80||a.test";
    out->host = "a.test";
    for (const auto& address : to) {
      mesh::Endpoint endpoint;
      if (address.is_unix()) {
        endpoint.unix_socket = address;
      } else {
        endpoint.ip = address.ip();
        endpoint.port = address.port();
      }
      out->endpoints.push_back(std::move(endpoint));
    }
    return out;
  }
  std::shared_ptr<mesh::Cluster> secure(std::vector<SocketAddress> to) {
    auto out = cluster(std::move(to));
    out->tls.mode = mesh::Originate::simple;
    out->tls.sni = "a.test";
    out->tls.names = {"a.test"};
    out->tls.roots = "ca";
    out->tls.rule = std::make_shared<ResourceRef>(
        ResourceRef{"DestinationRule", "default", "originate", "rules.yaml", 12});
    return out;
  }
  std::shared_ptr<mesh::Cluster> named(std::string host, uint16_t port, mesh::Discovery how) {
    auto out = cluster({});
    out->discovery = how;
    out->endpoints.push_back({{}, std::move(host), port, 1});
    return out;
  }

  Acquired acquire(const mesh::ClusterPtr& from, Need need = {}) {
    return test::await(loop, upstreams->acquire(from, need));
  }
  Connection acquired(const mesh::ClusterPtr& from, Need need = {}) {
    auto got = acquire(from, need);
    EXPECT_TRUE(got) << (got ? "" : got.error().error.context);
    return got ? std::move(*got) : Connection();
  }
  std::string echoed(Connection& connection) {
    return test::await(loop, echo(connection.stream, "hello"));
  }
  void wait_until(std::function<bool()> holds) { test::await(loop, until(loop, std::move(holds))); }
  std::size_t idle() const {
    std::size_t sum = 0;
    for (const auto& info : upstreams->describe()) {
      for (const auto& endpoint : info.endpoints) sum += endpoint.idle;
    }
    return sum;
  }
  void use_dns(SocketAddress server, bool want_v6 = false) {
    upstreams.reset();
    resolver.emplace(loop, dns::ResolverOptions{{server}, true, want_v6, 1000ms, 1});
    upstreams.emplace(Upstreams::Parts{loop, *resolver, vault, metrics});
  }

  observe::WorkerMetrics metrics;
  net::Loop loop;
  Published<certs::Vault> vault{std::make_shared<const certs::Vault>()};
  std::optional<dns::Resolver> resolver{
      std::in_place, loop,
      dns::ResolverOptions{{{*IpAddress::parse("127.0.0.1"), 1}}, true, false, 100ms, 1}};
  std::optional<Upstreams> upstreams{std::in_place,
                                     Upstreams::Parts{loop, *resolver, vault, metrics}};
};

}  // namespace sallyport::upstream
