// Connections of an application that is faster than its sidecar: they wait, and lead to it.
#include <thread>

#include "tests/unit/rules/capture_fixture.h"

namespace sallyport::rules {
namespace {

using namespace std::chrono_literals;

class Hold : public InNamespace, public testing::WithParamInterface<Kind> {
protected:
  void SetUp() override {
    InNamespace::SetUp();
    add_addresses();
    run("ip link set test1 up; ip route add default dev test0; ip -6 route add default dev test0");
    Options options = capture_all();
    options.hold_until = std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now() +
                                                                 std::chrono::minutes(1));
    options.dns = DnsCapture{.all = true, .servers = {}};
    hold(options);
  }
  static void hold(const Options& options) {
    const auto applied = apply(of_kind(options, GetParam()));
    ASSERT_TRUE(applied) << applied.error().context;
    ASSERT_EQ(applied->report.find("refused, not held"), std::string::npos) << applied->report;
  }
  static bool v4() { return GetParam().v4; }
  static const char* somewhere() { return v4() ? "192.0.2.1:80" : "[2001:db8:7::1]:80"; }

  // A connection that the application begins.
  static OwnedSocket begin() {
    setfsgid(application_id);
    setfsuid(application_id);
    OwnedSocket socket(
        ::socket(v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    setfsuid(0);
    setfsgid(0);
    sockaddr_storage storage;
    const socklen_t size = address(somewhere()).fill(storage);
    (void)::connect(socket.get(), reinterpret_cast<sockaddr*>(&storage), size);
    return socket;
  }
  // 0: it is there; EINPROGRESS: it waits; else why not.
  static int state(const OwnedSocket& socket, std::chrono::milliseconds within) {
    pollfd polled{socket.get(), POLLOUT, 0};
    if (poll(&polled, 1, int(within.count())) == 0) return EINPROGRESS;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  }
  static OwnedSocket listen_as_agent() {
    OwnedSocket socket = open_socket(v4());
    EXPECT_TRUE(bind_to(socket, address(v4() ? "0.0.0.0:15001" : "[::]:15001")));
    EXPECT_EQ(listen(socket.get(), 512), 0);
    return socket;
  }
};

TEST_P(Hold, TwoHundredConnectionsWaitAndAllLeadToTheAgent) {
  std::vector<OwnedSocket> clients;
  for (int i = 0; i < 200; i++) clients.push_back(begin());
  for (const auto& client : clients) ASSERT_EQ(state(client, 0ms), EINPROGRESS);
  std::this_thread::sleep_for(100ms);
  for (const auto& client : clients) ASSERT_EQ(state(client, 0ms), EINPROGRESS) << "not refused";
  const auto agent = listen_as_agent();
  for (const auto& client : clients) ASSERT_EQ(state(client, 5s), 0);
  for (std::size_t i = 0; i < clients.size(); i++) {
    const OwnedSocket accepted(accept4(agent.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_EQ(original_destination(accepted, v4()).text(), somewhere());
  }
}

TEST_P(Hold, BehindItsTimeTheyAreRefusedAtOnce) {
  Options options = capture_all();
  options.hold_until = std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now() -
                                                               std::chrono::minutes(1));
  ASSERT_TRUE(remove());
  hold(options);
  EXPECT_EQ(state(begin(), 5s), ECONNREFUSED);
}

INSTANTIATE_TEST_SUITE_P(Families, Hold, all_kinds, name_of_kind);

}  // namespace
}  // namespace sallyport::rules
