// Connections that begin with a PROXY protocol header: what it says, where it stands, and whom such
// a connection may serve.
#include "agent/sniff/proxy_protocol.h"

#include "tests/support/sockets.h"
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

SocketAddress at(std::string_view text) { return SocketAddress::parse(text).value(); }

class ProxyProtocol : public UpstreamsTest {
protected:
  std::shared_ptr<mesh::Cluster> told(const SocketAddress& to, mesh::ProxyProtocol version) {
    auto out = cluster({to});
    out->proxy_protocol = version;
    return out;
  }
  static Need need(const ClientAddresses& client, bool http = true) {
    Need out;
    out.client = &client;
    out.http = http;
    return out;
  }
  // What the server got before "hello", which it sends back as everything.
  std::string header_of(Connection& connection) {
    std::string all = echoed(connection);
    while (!all.ends_with("hello")) {
      char bytes[256];
      all.append(bytes, test::await(loop, read(connection.stream, bytes)));
    }
    return all.substr(0, all.size() - 5);
  }

  const ClientAddresses one_{at("203.0.113.7:4711"), at("198.18.0.9:80")};
  const ClientAddresses other_{at("203.0.113.7:4712"), at("198.18.0.9:80")};

private:
  static net::Task<std::size_t> read(net::Stream& stream, std::span<char> into) {
    const ssize_t n = co_await stream.read(into);
    co_return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
};

TEST_F(ProxyProtocol, Version1NamesTheClientInText) {
  TlsServer server({});
  auto connection = acquired(told(server.address(), mesh::ProxyProtocol::v1), need(one_));
  EXPECT_EQ(header_of(connection), "PROXY TCP4 203.0.113.7 198.18.0.9 4711 80\r\n");
}

TEST_F(ProxyProtocol, Version2NamesTheClientInBinary) {
  TlsServer server({});
  const ClientAddresses six{at("[2001:db8::7]:4711"), at("[2001:db8::9]:80")};
  for (const auto* client : {&one_, &six}) {
    auto connection = acquired(told(server.address(), mesh::ProxyProtocol::v2), need(*client));
    const auto header = sniff::read_proxy_header(header_of(connection));
    ASSERT_EQ(header.state, sniff::ProxyState::decided) << header.reason;
    EXPECT_EQ(header.version, 2);
    EXPECT_EQ(header.source, client->source);
    EXPECT_EQ(header.destination, client->destination);
  }
}

TEST_F(ProxyProtocol, OpaqueBytesFollowItAsRequestsDo) {
  TlsServer server({});
  auto connection = acquired(told(server.address(), mesh::ProxyProtocol::v1), need(one_, false));
  EXPECT_EQ(header_of(connection), "PROXY TCP4 203.0.113.7 198.18.0.9 4711 80\r\n");
}

TEST_F(ProxyProtocol, OfNoClientVersion2SaysLocalAndVersion1NamesTheConnectionItself) {
  TlsServer server({});
  auto second = acquired(told(server.address(), mesh::ProxyProtocol::v2));
  EXPECT_EQ(header_of(second), sniff::proxy_header_v2_local());
  auto first = acquired(told(server.address(), mesh::ProxyProtocol::v1));
  EXPECT_EQ(header_of(first), sniff::proxy_header_v1(first.local, server.address()));
}

TEST_F(ProxyProtocol, TheHeaderStandsBeforeTheClientHello) {
  const auto ca = test::Authority::root("CA");
  auto vault_with_ca = std::make_shared<certs::Vault>();
  vault_with_ca->entries["ca"].roots = *certs::TrustStore::parse(ca.pem());
  vault.publish(std::move(vault_with_ca));
  const auto server = test::TestSocket::listening();
  std::string got;
  std::thread serving([&] {
    const auto peer = server.accept();
    got = peer.read_until("\n");
    got += peer.read_exactly(3);
  });
  const auto to = secure({server.local()});
  to->proxy_protocol = mesh::ProxyProtocol::v1;
  EXPECT_FALSE(acquire(to, need(one_))) << "the test's server ends there";
  serving.join();
  EXPECT_EQ(got, "PROXY TCP4 203.0.113.7 198.18.0.9 4711 80\r\n\x16\x03\x01");
}

TEST_F(ProxyProtocol, AConnectionIsReusedForItsOwnClientOnly) {
  const auto server = test::TestSocket::listening();  // says nothing: its connections stay idle
  const auto to = told(server.local(), mesh::ProxyProtocol::v1);
  upstreams->give_back(acquired(to, need(one_)));
  EXPECT_FALSE(upstreams->take_idle(*to, need(other_)));
  EXPECT_FALSE(upstreams->take_idle(*to, {})) << "nor for nobody";
  EXPECT_FALSE(acquired(to, need(other_)).reused);
  const ClientAddresses same = one_;
  auto again = upstreams->take_idle(*to, need(same));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again.reused);
}

TEST_F(ProxyProtocol, OfSeveralClientsEachFindsItsOwn) {
  const auto server = test::TestSocket::listening();  // says nothing: its connections stay idle
  const auto to = told(server.local(), mesh::ProxyProtocol::v1);
  auto first = acquired(to, need(one_)), second = acquired(to, need(other_));
  auto nobodys = acquired(to);
  const auto firsts = first.local, seconds = second.local, thirds = nobodys.local;
  upstreams->give_back(std::move(first));
  upstreams->give_back(std::move(second));
  upstreams->give_back(std::move(nobodys));
  EXPECT_EQ(upstreams->take_idle(*to, need(one_)).local, firsts);
  EXPECT_EQ(upstreams->take_idle(*to, {}).local, thirds);
  EXPECT_EQ(upstreams->take_idle(*to, need(other_)).local, seconds);
}

TEST_F(ProxyProtocol, WhereThereIsNoRoomAnotherClientsIdleConnectionMakesIt) {
  TlsServer server({});
  const auto to = told(server.address(), mesh::ProxyProtocol::v1);
  to->max_connections = 1;
  upstreams->give_back(acquired(to, need(one_)));
  auto connection = acquired(to, need(other_));
  EXPECT_EQ(header_of(connection), "PROXY TCP4 203.0.113.7 198.18.0.9 4712 80\r\n");
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(metrics.upstream_cx_active.get(), 1u);
}

// TPROXY: of a client the server sees the address only.
TEST_F(ProxyProtocol, AConnectionWithAClientsAddressServesAllOfThatAddress) {
  const auto server = test::TestSocket::listening();  // says nothing: its connections stay idle
  const auto to = cluster({server.local()});
  to->client_source_mark = 77;
  const auto first = at("127.0.0.7:4711"), second = at("127.0.0.7:4712"), other = at("127.0.0.8:1");
  const ClientAddresses one{first, at("198.18.0.9:80")}, same{second, at("198.18.0.10:81")},
      another{other, at("198.18.0.9:80")};
  auto connection = acquired(to, need(one));
  EXPECT_EQ(connection.local.ip(), one.source.ip());
  upstreams->give_back(std::move(connection));
  EXPECT_FALSE(upstreams->take_idle(*to, need(another)));
  EXPECT_FALSE(upstreams->take_idle(*to, {})) << "nor for nobody";
  EXPECT_TRUE(upstreams->take_idle(*to, need(same)));
}

TEST_F(ProxyProtocol, WithoutItNobodyAsksWhoTheClientIs) {
  TlsServer server({});
  const auto to = told(server.address(), mesh::ProxyProtocol::none);
  auto connection = acquired(to, need(one_));
  EXPECT_EQ(header_of(connection), "");
  upstreams->give_back(std::move(connection));
  EXPECT_TRUE(upstreams->take_idle(*to, need(other_)));
}

}  // namespace
}  // namespace sallyport::upstream
