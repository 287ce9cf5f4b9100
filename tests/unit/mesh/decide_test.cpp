// Where a captured connection goes, by its destination and first bytes
// (istio-api.md 2.6, 2.7, 2.15, 7).
#include "agent/mesh/decide.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

const Answer passthrough{"PassthroughCluster", "-"};
const Answer black_hole{"BlackHoleCluster", "-", 0, true};
const Answer allow_any{"PassthroughCluster", "allow_any"};
const Answer block_all{"-", "block_all", 502};
Answer http_to(std::string cluster) { return {std::move(cluster), "default"}; }
Answer tcp_to(std::string cluster) { return {std::move(cluster), "-"}; }

World outside_world() {
  World world;
  world.add(entry({"edition.cnn.com", "default", "DNS", {"80 HTTP", "443 HTTPS"}}))
      .add(entry({"*.example.org", "default", "NONE", {"80 HTTP", "443 TLS"}}))
      .add(entry({"special.example.org", "default", "DNS", {"80 HTTP", "443 TLS"}}))
      .add(entry({"vip.example.com",
                  "default",
                  "DNS",
                  {"80 HTTP", "443 TLS"},
                  "  addresses: [192.0.2.10]\n"}))
      .add(entry({"db.example.com", "default", "DNS", {"5432 TCP"}, "  addresses: [192.0.2.20]\n"}))
      .add(entry(
          {"net.example.com", "default", "NONE", {"7000 TCP"}, "  addresses: [192.0.2.0/24]\n"}))
      .add(entry({"subnet.example.com",
                  "default",
                  "NONE",
                  {"7000 TCP"},
                  "  addresses: [192.0.2.128/25]\n"}))
      .add(entry({"any.example.com", "default", "NONE", {"9000 TCP"}}));
  return world;
}

struct RequestCase {
  const char* rule;
  const char* destination;
  const char* host;
  Answer expect;
};
void PrintTo(const RequestCase& c, std::ostream* out) { *out << c.rule; }
const RequestCase request_cases[] = {
    {"2.1: Host picks the service", "203.0.113.1:80", "edition.cnn.com",
     http_to("outbound|80||edition.cnn.com")},
    {"2.1: Host with port too", "203.0.113.1:80", "edition.cnn.com:80",
     http_to("outbound|80||edition.cnn.com")},
    {"7: the port in Host is ignored", "203.0.113.1:80", "edition.cnn.com:8080",
     http_to("outbound|80||edition.cnn.com")},
    {"2.1: case is ignored", "203.0.113.1:80", "Edition.CNN.com",
     http_to("outbound|80||edition.cnn.com")},
    {"2.1: trailing dot", "203.0.113.1:80", "edition.cnn.com.",
     http_to("outbound|80||edition.cnn.com")},
    {"2.6: destination IP is ignored for HTTP", "192.0.2.10:80", "edition.cnn.com",
     http_to("outbound|80||edition.cnn.com")},
    {"2.6: an IPv6 destination too", "[2001:db8::7]:80", "edition.cnn.com",
     http_to("outbound|80||edition.cnn.com")},
    {"2.1: wildcard", "203.0.113.1:80", "a.example.org", http_to("outbound|80||*.example.org")},
    {"2.1: wildcard at any depth", "203.0.113.1:80", "a.b.example.org",
     http_to("outbound|80||*.example.org")},
    {"2.1: a wildcard is not its own parent", "203.0.113.1:80", "example.org", allow_any},
    {"2.1: an exact name before a wildcard", "203.0.113.1:80", "special.example.org",
     http_to("outbound|80||special.example.org")},
    {"7: a VIP written as Host works", "203.0.113.1:80", "192.0.2.10",
     http_to("outbound|80||vip.example.com")},
    {"2.7: unknown Host", "203.0.113.1:80", "unlisted.example", allow_any},
    {"2.7: no Host", "203.0.113.1:80", "", allow_any},
    {"a Host longer than any name", "203.0.113.1:80",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     allow_any},
    {"2.7: HTTP on a port that declares nothing is bytes", "203.0.113.1:8081", "edition.cnn.com",
     passthrough},
    {"HTTP on a TLS port without an SNI is bytes", "203.0.113.1:443", "edition.cnn.com",
     passthrough},
};
class Request : public testing::TestWithParam<RequestCase> {};
TEST_P(Request, GoesTo) {
  const auto& c = GetParam();
  EXPECT_EQ(outside_world().compile().http(c.destination, c.host), c.expect) << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, Request, testing::ValuesIn(request_cases));

struct BytesCase {
  const char* rule;
  const char* destination;
  const char* sni;  // nullptr: opaque bytes
  Answer expect;
};
void PrintTo(const BytesCase& c, std::ostream* out) { *out << c.rule; }
const BytesCase bytes_cases[] = {
    {"2.6: TLS by SNI", "203.0.113.1:443", "edition.cnn.com",
     tcp_to("outbound|443||edition.cnn.com")},
    {"2.6: TLS by wildcard SNI", "203.0.113.1:443", "a.example.org",
     tcp_to("outbound|443||*.example.org")},
    {"2.7: unknown SNI passes", "203.0.113.1:443", "unlisted.example", passthrough},
    {"2.7: no SNI passes", "203.0.113.1:443", "", passthrough},
    {"opaque bytes on a TLS port pass", "203.0.113.1:443", nullptr, passthrough},
    {"7: a TLS entry with addresses matches by VIP", "192.0.2.10:443", "vip.example.com",
     tcp_to("outbound|443||vip.example.com")},
    {"7: SNI is ignored there", "192.0.2.10:443", "edition.cnn.com",
     tcp_to("outbound|443||vip.example.com")},
    {"7: and unmatched elsewhere", "203.0.113.1:443", "vip.example.com", passthrough},
    {"2.6: TCP by address and port", "192.0.2.20:5432", nullptr,
     tcp_to("outbound|5432||db.example.com")},
    {"2.6: another address of that port is unknown", "192.0.2.21:5432", nullptr, passthrough},
    {"2.6: TCP by CIDR", "192.0.2.3:7000", nullptr, tcp_to("outbound|7000||net.example.com")},
    {"2.1: the longest prefix wins", "192.0.2.200:7000", nullptr,
     tcp_to("outbound|7000||subnet.example.com")},
    {"2.6: outside the CIDR", "198.51.100.1:7000", nullptr, passthrough},
    {"1.1: TCP without addresses takes the port", "203.0.113.99:9000", nullptr,
     tcp_to("outbound|9000||any.example.com")},
    {"7: TLS on a port declared HTTP goes to the dialled address", "203.0.113.1:80",
     "edition.cnn.com", passthrough},
    {"7: opaque bytes on a port declared HTTP too", "203.0.113.1:80", nullptr, passthrough},
    {"2.7: no listener", "203.0.113.1:22", nullptr, passthrough},
};
class Bytes : public testing::TestWithParam<BytesCase> {};
TEST_P(Bytes, GoTo) {
  const auto& c = GetParam();
  const auto world = outside_world().compile();
  EXPECT_EQ(c.sni ? world.tls(c.destination, c.sni) : world.bytes(c.destination), c.expect)
      << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, Bytes, testing::ValuesIn(bytes_cases));

// 2.7, 7: what REGISTRY_ONLY changes.
TEST(RegistryOnly, AnswersUnknownHostsAndClosesUnknownConnections) {
  const auto world = outside_world().registry_only().compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "edition.cnn.com"),
            http_to("outbound|80||edition.cnn.com"));
  EXPECT_EQ(world.http("203.0.113.1:80", "unlisted.example"), block_all);
  EXPECT_EQ(world.tls("203.0.113.1:443", "edition.cnn.com"),
            tcp_to("outbound|443||edition.cnn.com"));
  EXPECT_EQ(world.tls("203.0.113.1:443", "unlisted.example"), black_hole);
  EXPECT_EQ(world.tls("203.0.113.1:80", "edition.cnn.com"), black_hole);
  EXPECT_EQ(world.bytes("203.0.113.1:22"), black_hole);
  EXPECT_EQ(world.http("203.0.113.1:8081", "edition.cnn.com"), black_hole);
}

// 2.15: what dials the proxy itself would come back for ever.
TEST(Loop, IsRefused) {
  const auto world = outside_world().compile();
  const auto refused = [&](std::string_view to) {
    return find_listener(world.snapshot(), at(to)).refused;
  };
  EXPECT_TRUE(refused("198.18.0.5:15001"));
  EXPECT_TRUE(refused("203.0.113.1:15001")) << "Istio's chain holds for any address";
  EXPECT_TRUE(refused("127.0.0.1:15006"));
  EXPECT_TRUE(refused("[::1]:15006"));
  EXPECT_TRUE(refused("198.18.0.5:15006"));
  EXPECT_FALSE(refused("203.0.113.1:15006")) << "another's port";
  EXPECT_FALSE(refused("198.18.0.5:80"));
  EXPECT_TRUE(find_listener(world.snapshot(), SocketAddress()).refused)
      << "no original destination";
  EXPECT_EQ(world.bytes("198.18.0.5:15001"), black_hole);
  EXPECT_EQ(world.http("198.18.0.5:15001", "edition.cnn.com"), black_hole);
}

// architecture.md, "sniff": a silent client's upstream is opened only where address and port alone
// yield one allowed TCP plan.
struct SilentCase {
  const char* rule;
  const char* destination;
  bool sniffs;
  const char* cluster;  // nullptr: wait for the client
  bool registry_only = false;
};
void PrintTo(const SilentCase& c, std::ostream* out) { *out << c.rule; }
const SilentCase silent_cases[] = {
    {"declared TCP: nothing to read", "192.0.2.20:5432", false, "outbound|5432||db.example.com"},
    {"declared TCP without addresses", "203.0.113.1:9000", false, "outbound|9000||any.example.com"},
    {"no listener", "203.0.113.1:22", false, "PassthroughCluster"},
    {"no listener, REGISTRY_ONLY: never before the refusal", "203.0.113.1:22", false, nullptr,
     true},
    {"declared HTTP", "203.0.113.1:80", true, nullptr},
    {"declared TLS by SNI", "203.0.113.1:443", true, nullptr},
    {"declared TLS by VIP", "192.0.2.10:443", true, nullptr},
    {"detected, by VIP", "192.0.2.30:6000", true, "outbound|6000||auto.example.com"},
    {"outside the CIDR of declared TCP", "198.51.100.1:7000", false, "PassthroughCluster"},
};
class SilentClient : public testing::TestWithParam<SilentCase> {};
TEST_P(SilentClient, HasItsUpstreamOpenedOnlyWhereOnePlanIsPossible) {
  const auto& c = GetParam();
  auto world = outside_world();
  world.add(
      entry({"auto.example.com", "default", "DNS", {"6000 -"}, "  addresses: [192.0.2.30]\n"}));
  if (c.registry_only) world.registry_only();
  world.compile();
  const auto arrival = find_listener(world.snapshot(), at(c.destination));
  EXPECT_EQ(arrival.sniff, c.sniffs) << c.rule;
  const std::string opened = arrival.silent_client ? arrival.silent_client->cluster->name : "-";
  EXPECT_EQ(opened, c.cluster ? c.cluster : "-") << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, SilentClient, testing::ValuesIn(silent_cases));

// 2.4: a port without a protocol is decided by the bytes.
TEST(DetectedPort, IsHttpByHostAndElseTcp) {
  World world;
  world
      .add(entry({"auto.example.com", "default", "DNS", {"6000 -"}, "  addresses: [192.0.2.30]\n"}))
      .add(entry({"other.example.com", "default", "DNS", {"6001 -"}}))
      .compile();
  EXPECT_EQ(world.http("192.0.2.30:6000", "auto.example.com"),
            http_to("outbound|6000||auto.example.com"));
  EXPECT_EQ(world.http("192.0.2.30:6000", "unlisted.example"), allow_any);
  EXPECT_EQ(world.bytes("192.0.2.30:6000"), tcp_to("outbound|6000||auto.example.com"));
  EXPECT_EQ(world.tls("192.0.2.30:6000", "auto.example.com"),
            tcp_to("outbound|6000||auto.example.com"));
  EXPECT_EQ(world.http("203.0.113.1:6000", "auto.example.com"), passthrough)
      << "only its VIP listens";
  EXPECT_EQ(world.http("203.0.113.1:6001", "other.example.com"),
            http_to("outbound|6001||other.example.com"));
  EXPECT_EQ(world.bytes("203.0.113.1:6001"), tcp_to("outbound|6001||other.example.com"));
}

// 2.3, 7: HTTP and TCP services share one port by sniffing.
TEST(SharedPort, SendsHttpByHostAndBytesToTheTcpService) {
  World world;
  world.add(entry({"web.example.com", "default", "DNS", {"8000 HTTP"}}))
      .add(entry({"raw.example.com", "default", "NONE", {"8000 TCP"}}))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:8000", "web.example.com"),
            http_to("outbound|8000||web.example.com"));
  EXPECT_EQ(world.bytes("203.0.113.1:8000"), tcp_to("outbound|8000||raw.example.com"));
  EXPECT_EQ(world.tls("203.0.113.1:8000", "x"), tcp_to("outbound|8000||raw.example.com"));
  EXPECT_FALSE(find_listener(world.snapshot(), at("203.0.113.1:8000")).silent_client);
}

// 2.1 "Envoy SNI filter chain order": a CIDR commits, also where its SNI does not match.
TEST(TlsByCidr, NeedsAddressAndSni) {
  World world;
  world
      .add(entry(
          {"tls.example.com", "default", "NONE", {"443 TLS"}, "  addresses: [192.0.2.0/24]\n"}))
      .add(entry({"free.example.com", "default", "DNS", {"443 TLS"}}))
      .compile();
  EXPECT_EQ(world.tls("192.0.2.1:443", "tls.example.com"), tcp_to("outbound|443||tls.example.com"));
  EXPECT_EQ(world.tls("203.0.113.1:443", "tls.example.com"), passthrough);
  EXPECT_EQ(world.tls("192.0.2.1:443", "free.example.com"), passthrough)
      << "the CIDR's chains have been chosen";
  EXPECT_EQ(world.tls("203.0.113.1:443", "free.example.com"),
            tcp_to("outbound|443||free.example.com"));
}

// HTTP/2 goes as bytes until it is read; never past a rule that asks for TLS.
TEST(Http2, PassesAsBytesOnlyWhereNoHostOfThePortIsGuarded) {
  World plain;
  plain.add(entry({"web.example.com"})).compile();
  EXPECT_EQ(plain.bytes("203.0.113.1:80", sniff::Protocol::http2), passthrough);
  World guarded;
  guarded.add(entry({"web.example.com"})).add(rule({"web.example.com"})).compile();
  EXPECT_EQ(guarded.bytes("203.0.113.1:80", sniff::Protocol::http2), black_hole);
  EXPECT_EQ(guarded.bytes("203.0.113.1:80"), passthrough) << "other bytes are as ever";
}

// style-anchors 3.2: an open connection asks the newest snapshot.
TEST(OpenConnection, FollowsTheNewSnapshot) {
  World world;
  world.add(entry({"web.example.com"})).compile();
  EXPECT_EQ(world.request("203.0.113.1:80", "web.example.com"),
            http_to("outbound|80||web.example.com"));
  world.input.resources.clear();
  world.compile();
  EXPECT_EQ(world.request("203.0.113.1:80", "web.example.com"), allow_any);
  world.registry_only().compile();
  EXPECT_EQ(world.request("203.0.113.1:80", "web.example.com"), block_all);
  world.add(entry({"db.example.com", "default", "DNS", {"80 TCP"}, "  addresses: [203.0.113.1]\n"}))
      .compile();
  EXPECT_EQ(world.request("203.0.113.1:80", "web.example.com"), (Answer{"-", "-", 404}))
      << "not HTTP any more";
}

TEST(ListenersAndTables, HaveIstiosNames) {
  const auto world = outside_world().compile();
  const auto& snapshot = world.snapshot();
  EXPECT_EQ(snapshot.by_port.at(80)->name, "0.0.0.0_80");
  EXPECT_EQ(snapshot.by_port.at(80)->http->name, "80");
  EXPECT_EQ(snapshot.by_address.at(at("192.0.2.20:5432"))->name, "192.0.2.20_5432");
  EXPECT_EQ(snapshot.catch_all->name, "virtualOutbound");
  EXPECT_EQ((*snapshot.by_port.at(80)->http->hosts.find("edition.cnn.com"))->name,
            "edition.cnn.com:80");
  EXPECT_EQ(snapshot.inbound_passthrough->name, "InboundPassthroughCluster");
}

}  // namespace
}  // namespace sallyport::mesh
