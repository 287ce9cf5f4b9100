// The DNS proxy as an application meets it, by UDP and TCP: the mesh's names, the others, and what
// it does not swallow.
#include "dns/proxy.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <set>
#include <thread>

#include "agent/mesh/compile.h"
#include "dns/message.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

using test::DnsServer;
namespace wire = test::dns;
using Replies = std::vector<std::string>;

constexpr const char* services = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: named}
spec:
  hosts: [named.test]
  addresses: [10.1.2.3, 10.1.2.4]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: large}
spec:
  hosts: [large.test]
  addresses: [)";

mesh::SnapshotPtr compiled() {
  std::string text = services;
  for (int i = 0; i < 100; i++) text += (i ? ", 10.9.0." : "10.9.0.") + std::to_string(i + 1);
  text += "]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: NONE\n";
  mesh::CompileInput input;
  input.proxy.addresses = {"198.18.0.5"};
  input.proxy.dns_capture = true;
  auto decoded = istio::decode(text, "services.yaml");
  for (auto& resource : decoded.resources)
    input.resources.push_back(std::make_shared<const istio::Resource>(std::move(resource)));
  return mesh::compile(input, nullptr, 1).snapshot;
}

SocketAddress name_of(int fd) {
  sockaddr_storage storage;
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return SocketAddress::from(reinterpret_cast<sockaddr*>(&storage));
}

std::string query_for(std::string_view name, uint16_t type = wire::type_a, uint16_t id = 4711) {
  return wire::u16(id) + wire::u16(0x0100) + wire::u16(1) + wire::u16(0) + wire::u16(0) +
         wire::u16(0) + wire::wire_name(name) + wire::u16(type) + wire::u16(1);
}
// With room for `size` bytes (EDNS).
std::string with_room(std::string query, uint16_t size) {
  query[11] = 1;
  return query + '\0' + wire::u16(41) + wire::u16(size) + wire::u32(0) + wire::u16(0);
}

Replies answer_others(const wire::Question& q) {
  if (q.name == "absent.test") return {wire::reply(q, {}, wire::no_such_name)};
  if (q.name == "bare.test")
    return {wire::u16(q.id) + wire::u16(0x8180 | wire::server_failure) + wire::u32(0) +
            wire::u32(0)};
  if (q.name == "failing.test") return {wire::reply(q, {}, wire::server_failure)};
  return {wire::reply(q, {wire::address(q.name, "192.0.2.9", 60)})};
}

class ProxyTest : public testing::Test {
protected:
  void SetUp() override {
    const SocketAddress any(*IpAddress::parse("127.0.0.1"), 0);
    ProxySockets sockets;
    ASSERT_TRUE(open_proxy_sockets(any, sockets));
    udp_at_ = name_of(sockets.udp[0]);
    tcp_at_ = name_of(sockets.tcp[0]);
    ForwarderOptions options;
    options.servers = {server_.address()};
    proxy_ = std::make_unique<Proxy>(Proxy::Sources{loop_, snapshots_, metrics_},
                                     std::move(sockets), std::move(options));
    thread_ = std::thread([this] { loop_.run(); });
    udp_ = connected(SOCK_DGRAM, udp_at_);
  }
  void TearDown() override {
    loop_.stop();
    thread_.join();
    loop_.end_tasks();
    proxy_.reset();
    ::close(udp_);
  }
  static int connected(int kind, const SocketAddress& to) {
    const int fd = ::socket(AF_INET, kind | SOCK_CLOEXEC, 0);
    sockaddr_storage storage;
    const socklen_t size = to.fill(storage);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&storage), size), 0);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }
  std::string receive() {
    std::string bytes(65'535, '\0');
    const ssize_t size = ::recv(udp_, bytes.data(), bytes.size(), 0);
    bytes.resize(size > 0 ? std::size_t(size) : 0);
    return bytes;
  }
  std::string by_udp(const std::string& query) {
    EXPECT_EQ(::send(udp_, query.data(), query.size(), 0), ssize_t(query.size()));
    return receive();
  }
  std::string by_tcp(const std::string& query) {
    const int fd = connected(SOCK_STREAM, tcp_at_);
    const std::string framed = wire::u16(unsigned(query.size())) + query;
    // A connection that is one too many may be reset by now.
    (void)::send(fd, framed.data(), framed.size(), MSG_NOSIGNAL);
    const auto response = framed_from(fd);
    ::close(fd);
    return response;
  }
  static std::string framed_from(int fd) {
    unsigned char length[2];
    if (::recv(fd, length, 2, MSG_WAITALL) != 2) return {};
    std::string out(std::size_t{length[0]} << 8 | length[1], '\0');
    if (::recv(fd, out.data(), out.size(), MSG_WAITALL) != ssize_t(out.size())) return {};
    return out;
  }
  // Sorted: of several addresses each is the first in its turn.
  static std::string addresses(const std::string& response, std::string_view name) {
    const auto read =
        read_addresses({reinterpret_cast<const unsigned char*>(response.data()), response.size()},
                       name, Family::v4);
    if (!read) return read.error().context;
    std::set<std::string> texts;
    for (const auto& ip : read->addresses) texts.insert(ip.text());
    std::string out;
    for (const auto& text : texts) out += (out.empty() ? "" : " ") + text;
    return out;
  }
  static int rcode(const std::string& response) {
    return response.size() < 12 ? -1 : response[3] & 0xf;
  }
  static bool cut(const std::string& response) { return (response[2] & 0x02) != 0; }

  const DnsServer server_{answer_others};
  Published<mesh::Snapshot> snapshots_{compiled()};
  observe::WorkerMetrics metrics_;
  net::Loop loop_;
  std::unique_ptr<Proxy> proxy_;
  std::thread thread_;
  SocketAddress udp_at_, tcp_at_;
  int udp_ = -1;
};

TEST_F(ProxyTest, TheMeshsNamesAreAnsweredHere) {
  for (const auto& response : {by_udp(query_for("named.test")), by_tcp(query_for("named.test"))}) {
    EXPECT_EQ(addresses(response, "named.test"), "10.1.2.3 10.1.2.4");
    EXPECT_TRUE(response.starts_with(wire::u16(4711)));
  }
  EXPECT_EQ(server_.asked(), 0);
}

TEST_F(ProxyTest, AnotherFamilyOfTheMeshsNamesIsEmptyNotAbsent) {
  const auto response = by_udp(query_for("named.test", wire::type_aaaa));
  EXPECT_EQ(rcode(response), 0);
  EXPECT_EQ(response.substr(6, 2), wire::u16(0)) << "no answers";
  EXPECT_EQ(server_.asked(), 0);
}

TEST_F(ProxyTest, OtherTypesAndOtherNamesAreTheServers) {
  constexpr uint16_t type_mx = 15;
  EXPECT_NE(by_udp(query_for("named.test", type_mx)), "");
  EXPECT_EQ(server_.asked(), 1);
  EXPECT_EQ(addresses(by_udp(query_for("other.test")), "other.test"), "192.0.2.9");
  EXPECT_EQ(rcode(by_udp(query_for("absent.test"))), wire::no_such_name);
  EXPECT_EQ(rcode(by_udp(query_for("failing.test"))), wire::server_failure);
}

TEST_F(ProxyTest, AFailureThatIsAHeaderAloneGetsItsQuestionBack) {
  const auto query = query_for("bare.test");
  const auto response = by_udp(query);
  EXPECT_EQ(rcode(response), wire::server_failure);
  EXPECT_EQ(response.substr(12), query.substr(12)) << "clients pass over what has none";
}

TEST_F(ProxyTest, TheServersAnswersAreKept) {
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(addresses(by_udp(query_for("other.test")), "other.test"), "192.0.2.9");
    EXPECT_EQ(addresses(by_tcp(query_for("OTHER.test")), "other.test"), "192.0.2.9");
  }
  EXPECT_EQ(server_.asked(), 1);
}

TEST_F(ProxyTest, AnAnswerThatFindsNoRoomIsCutAndComesWholeByTcp) {
  const auto small = by_udp(query_for("large.test"));
  EXPECT_LE(small.size(), 512u);
  EXPECT_TRUE(cut(small));
  const auto large = by_udp(with_room(query_for("large.test"), 4096));
  EXPECT_FALSE(cut(large));
  EXPECT_FALSE(cut(by_tcp(query_for("large.test"))));
}

TEST_F(ProxyTest, NonsenseIsRefusedOrIgnoredAndWhatFollowsIsServed) {
  ::send(udp_, "", 0, 0);
  ::send(udp_, "short", 5, 0);
  std::string response = query_for("named.test");
  response[2] = char(0x80);
  ::send(udp_, response.data(), response.size(), 0);
  constexpr int format_error = 1;
  EXPECT_EQ(rcode(by_udp(query_for("named.test").substr(0, 20))), format_error);
  const std::string huge = query_for("named.test") + std::string(3'000, 'x');
  EXPECT_EQ(rcode(by_udp(huge)), 0) << "what lies behind is nobody's";
  EXPECT_EQ(addresses(by_udp(query_for("named.test")), "named.test"), "10.1.2.3 10.1.2.4");
}

TEST_F(ProxyTest, ManyQuestionsAtOnceAreAllAnswered) {
  std::set<std::string> ids;
  for (uint16_t i = 0; i < 100; i++) {
    const auto query = query_for(i % 3 == 0 ? "other.test" : "named.test", wire::type_a, i);
    ::send(udp_, query.data(), query.size(), 0);
  }
  for (int i = 0; i < 100; i++) ids.insert(receive().substr(0, 2));
  EXPECT_EQ(ids.size(), 100u);
}

TEST_F(ProxyTest, OneConnectionMayAskAgainAndAgain) {
  const int fd = connected(SOCK_STREAM, tcp_at_);
  std::string both;
  for (const uint16_t id : {1, 2}) {
    const auto query = query_for("named.test", wire::type_a, id);
    both += wire::u16(unsigned(query.size())) + query;
  }
  ASSERT_EQ(::send(fd, both.data(), both.size(), MSG_NOSIGNAL), ssize_t(both.size()));
  EXPECT_TRUE(framed_from(fd).starts_with(wire::u16(1)));
  EXPECT_TRUE(framed_from(fd).starts_with(wire::u16(2)));
  ::close(fd);
}

TEST_F(ProxyTest, ConnectionsBeyondTheLimitAreClosed) {
  std::vector<int> held;
  for (std::size_t i = 0; i < limits::dns_proxy_sessions; i++)
    held.push_back(connected(SOCK_STREAM, tcp_at_));
  EXPECT_EQ(by_tcp(query_for("named.test")), "");
  for (const int fd : held) ::close(fd);
  while (by_tcp(query_for("named.test")).empty()) std::this_thread::yield();
}

TEST_F(ProxyTest, ItCountsWhatIstiosAgentCounts) {
  by_udp(query_for("named.test"));
  by_udp(query_for("other.test"));
  EXPECT_EQ(metrics_.dns_proxy_requests.get(), 2u);
  EXPECT_EQ(metrics_.dns_proxy_forwarded.get(), 1u);
  EXPECT_EQ(metrics_.dns_proxy_failures.get(), 0u);
  EXPECT_EQ(metrics_.dns_proxy_time.count.get(), 1u);
  EXPECT_EQ(metrics_.dns_proxy_time.at_most[5].get(), 1u);
}

}  // namespace
}  // namespace sallyport::dns
