// A resolver that keeps its socket asks by the rules of today, not by those of its first question.
#include "iptables/dns_flows.h"

#include "tests/unit/rules/capture_fixture.h"

namespace sallyport::rules {
namespace {

class DnsFlows : public InNamespace, public testing::WithParamInterface<bool> {
protected:
  void SetUp() override {
    InNamespace::SetUp();
    server_ = listening("53");
    proxy_ = listening("15053");
    setfsuid(application_id);
    client_.emplace(udp());
    setfsuid(0);
    sockaddr_storage storage;
    const socklen_t size = at("53").fill(storage);
    ASSERT_EQ(connect(client_->get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  }

  // Who gets what the application asks now, always from the same socket.
  std::string asked() {
    EXPECT_EQ(send(client_->get(), "?", 1, 0), 1) << strerror(errno);
    pollfd polled[] = {{server_->get(), POLLIN, 0}, {proxy_->get(), POLLIN, 0}};
    if (poll(polled, 2, 5000) != 1) return "nobody, or both";
    char byte = 0;
    EXPECT_EQ(recv(polled[polled[0].revents == 0 ? 1 : 0].fd, &byte, 1, 0), 1);
    return polled[0].revents != 0 ? "server" : "proxy";
  }

  static Options with_dns() {
    Options options = capture_all();
    options.dns = DnsCapture{.all = true, .servers = {}};
    return options;
  }

private:
  static OwnedSocket udp() {
    return OwnedSocket(socket(GetParam() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  }
  static SocketAddress at(const std::string& port) {
    return address((GetParam() ? "127.0.0.1:" : "[::1]:") + port);
  }
  static std::unique_ptr<OwnedSocket> listening(const std::string& port) {
    auto out = std::make_unique<OwnedSocket>(udp());
    EXPECT_TRUE(bind_to(*out, at(port)));
    return out;
  }
  std::unique_ptr<OwnedSocket> server_, proxy_;
  std::optional<OwnedSocket> client_;
};

INSTANTIATE_TEST_SUITE_P(Families, DnsFlows, testing::Bool(),
                         [](const auto& test) { return test.param ? "v4" : "v6"; });

TEST_P(DnsFlows, asksTheProxyFromTheMomentOfCapture) {
  // conntrack notes flows from the first rule on that asks for it.
  ASSERT_TRUE(apply(capture_all()));
  ASSERT_EQ(asked(), "server");
  ASSERT_EQ(asked(), "server");
  const auto applied = apply(with_dns());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_NE(applied->report.find("DNS: 1 flow under way takes its new way"), std::string::npos)
      << applied->report;
  EXPECT_EQ(asked(), "proxy");
}

TEST_P(DnsFlows, asksTheServerAgainFromCleanUpOn) {
  ASSERT_TRUE(apply(with_dns()));
  ASSERT_EQ(asked(), "proxy");
  const auto removed = remove();
  ASSERT_TRUE(removed) << removed.error().context;
  EXPECT_EQ(asked(), "server");
}

TEST_P(DnsFlows, keepsWhatGoesTheRightWayAlready) {
  ASSERT_TRUE(apply(with_dns()));
  ASSERT_EQ(asked(), "proxy");
  EXPECT_EQ(forget_dns_flows(true), "");
}

}  // namespace
}  // namespace sallyport::rules
