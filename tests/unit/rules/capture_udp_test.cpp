// UDP through the rules: DNS comes to the agent (iptables.md, flows 10 and 11), the rest goes by
// (12).
#include "tests/unit/rules/capture_fixture.h"

namespace sallyport::rules {
namespace {

class CaptureUdp : public Capture {
protected:
  void SetUp() override {
    Capture::SetUp();
    enter(peer_);
    serve("peer", peer(53));
    serve("peer", peer(443));
    enter(pod_);
    // As the agent opens it: by the proxy's user, and not at any address, for what answers the
    // application would have another.
    const Owned owned(proxy_id, proxy_id);
    serve("agent", v4() ? "127.0.0.1:15053" : "[::1]:15053");
  }
  void TearDown() override {
    servers_.clear();
    Capture::TearDown();
  }

  static Options with_dns(bool all) {
    Options options = capture_all();
    options.dns = DnsCapture{
        .all = all, .servers = {*IpAddress::parse("198.18.0.2"), *IpAddress::parse("2001:db8::2")}};
    return options;
  }

  // Who answers; with a source port, from it.
  std::string ask(From from, const std::string& to, uint16_t source_port = 0) {
    enter(pod_);
    const OwnedSocket client = open_as(from, SOCK_DGRAM);
    const std::string any = v4() ? "0.0.0.0:" : "[::]:";
    EXPECT_TRUE(bind_to(client, address(any + std::to_string(source_port))));
    sockaddr_storage storage;
    const socklen_t size = address(to).fill(storage);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
    EXPECT_EQ(send(client.get(), "?", 1, 0), 1);
    auto who = answer();
    char text[16];
    pollfd polled{client.get(), POLLIN, 0};
    if (poll(&polled, 1, 5000) != 1) return who + ", whose answer does not come";
    const ssize_t got = recv(client.get(), text, sizeof text, 0);
    EXPECT_EQ(std::string(text, got < 0 ? 0 : std::size_t(got)), who);
    return who;
  }

private:
  struct Server {
    std::string name;
    OwnedSocket socket;
  };
  void serve(const std::string& name, const std::string& at) {
    OwnedSocket socket(::socket(v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(bind_to(socket, address(at))) << at;
    servers_.push_back({name, std::move(socket)});
  }
  // The one who was asked answers with its name.
  std::string answer() {
    std::vector<pollfd> polled;
    for (const auto& server : servers_) polled.push_back({server.socket.get(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), 5000) != 1) return "nobody, or several";
    for (std::size_t i = 0; i < polled.size(); i++) {
      if (polled[i].revents == 0) continue;
      char byte = 0;
      sockaddr_storage storage{};
      socklen_t size = sizeof storage;
      auto* const client = reinterpret_cast<sockaddr*>(&storage);
      EXPECT_EQ(recvfrom(polled[i].fd, &byte, 1, 0, client, &size), 1);
      const auto& name = servers_[i].name;
      EXPECT_EQ(sendto(polled[i].fd, name.data(), name.size(), 0, client, size),
                ssize_t(name.size()));
      return name;
    }
    return "nobody";
  }
  std::vector<Server> servers_;
};

TEST_P(CaptureUdp, QuestionsOfTheApplicationComeToTheAgentAndItsOwnGoOut) {
  for (const bool all : {false, true}) {
    ASSERT_TRUE(apply(with_dns(all)));
    EXPECT_EQ(ask(From::application, peer(53)), "agent");
    EXPECT_EQ(ask(From::proxy, peer(53)), "peer");
    EXPECT_EQ(ask(From::application, peer(443)), "peer") << "QUIC goes by";
    EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80));
  }
}

// The zones: conntrack keeps one way a 5-tuple, and ports are used again (istio#33469).
TEST_P(CaptureUdp, APortThatTheAgentAskedFromIsTheApplicationsToo) {
  ASSERT_TRUE(apply(with_dns(true)));
  EXPECT_EQ(ask(From::proxy, peer(53), 40000), "peer");
  EXPECT_EQ(ask(From::application, peer(53), 40000), "agent");
  EXPECT_EQ(ask(From::proxy, peer(53), 40000), "peer");
}

TEST_P(CaptureUdp, OnlyTheServersOfResolvConfAreMeant) {
  Options options = with_dns(false);
  options.dns->servers = {*IpAddress::parse("192.0.2.53"), *IpAddress::parse("2001:db8:7::53")};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(ask(From::application, peer(53)), "peer") << "another server";
}

TEST_P(CaptureUdp, AnExcludedPort53IsNotCaptured) {
  Options options = with_dns(true);
  options.exclude_outbound_ports = {53};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(ask(From::application, peer(53)), "peer");
}

INSTANTIATE_TEST_SUITE_P(Families, CaptureUdp, all_kinds, name_of_kind);

}  // namespace
}  // namespace sallyport::rules
