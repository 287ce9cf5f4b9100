// /debug/egressz: what was learned, judged by the configuration of now.
#include "agent/admin/egress.h"

#include "tests/unit/admin/admin_fixture.h"

namespace sallyport::admin {
namespace {

using observe::EgressDestination;
using observe::EgressProtocol;

class EgressPage : public AdminTest {
protected:
  bool declared(const std::string& name, const std::string& to, EgressProtocol protocol) {
    const auto address = *SocketAddress::parse(to);
    observe::EgressReport report;
    report.destinations.push_back(
        {.name = name, .address = address.ip(), .port = address.port(), .protocol = protocol});
    judge(*service_->snapshots().current(), report);
    EXPECT_FALSE(report.registry_only);
    return report.destinations.front().declared;
  }
};

// The fixture's one ServiceEntry: a.test, HTTP on port 80.
TEST_F(EgressPage, SaysWhatAResourceNamesMeanwhile) {
  EXPECT_TRUE(declared("a.test", "192.0.2.1:80", EgressProtocol::http));
  EXPECT_FALSE(declared("b.test", "192.0.2.1:80", EgressProtocol::http));
  EXPECT_FALSE(declared("", "192.0.2.1:80", EgressProtocol::http));
  EXPECT_FALSE(declared("a.test", "192.0.2.1:443", EgressProtocol::tls));
  EXPECT_FALSE(declared("", "192.0.2.1:5432", EgressProtocol::tcp));
  EXPECT_FALSE(declared("", "192.0.2.1:53", EgressProtocol::udp));
  EXPECT_FALSE(declared("a.test", "192.0.2.1:443", EgressProtocol::quic));
}

TEST_F(EgressPage, SaysThatNothingIsLearned) {
  const auto answer = get("/debug/egressz");
  EXPECT_NE(answer.find("HTTP/1.1 404"), std::string::npos) << answer;
  EXPECT_NE(answer.find("start the sidecar with --learn"), std::string::npos) << answer;
}

TEST(EgressJson, HasAFieldForEachFact) {
  observe::EgressReport report;
  report.since_us = 1'000'000;
  report.beyond = 7;
  report.destinations.push_back({.name = "db.example.com",
                                 .by_dns = true,
                                 .address = *IpAddress::parse("192.0.2.1"),
                                 .port = 5432,
                                 .passed = 3,
                                 .refused = 1,
                                 .first_us = 2'000'000,
                                 .last_us = 3'500'000,
                                 .processes = {"\xff\"\n"}});
  EXPECT_EQ(egress_json(report), R"({
 "outboundTrafficPolicy": "ALLOW_ANY",
 "since": "1970-01-01T00:00:01.000Z",
 "beyond": 7,
 "destinations": [
  {
   "name": "db.example.com",
   "nameByDns": true,
   "address": "192.0.2.1",
   "port": 5432,
   "protocol": "TCP",
   "passed": 3,
   "refused": 1,
   "declared": false,
   "firstSeen": "1970-01-01T00:00:02.000Z",
   "lastSeen": "1970-01-01T00:00:03.500Z",
   "processes": [
    "\u00ff\"\n"
   ]
  }
 ]
}
)");
}

}  // namespace
}  // namespace sallyport::admin
