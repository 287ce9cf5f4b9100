// The UDP policy at work: real datagrams, the real queue, conntrack and rules.
#include "iptables/queue/udp_policy.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "agent/mesh/compile.h"
#include "iptables/queue/udp_packet.h"
#include "tests/support/iptables_namespace.h"
#include "tests/support/quic_packets.h"

namespace sallyport::rules {
namespace {

using namespace std::chrono_literals;
using test::quic::client_hello;
using test::quic::crypto_frame;

constexpr const char* configuration = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: voice}
spec:
  hosts: [voice.test]
  ports: [{number: 3478, name: udp, protocol: UDP}]
  resolution: STATIC
  endpoints: [{address: 198.18.0.2}, {address: "2001:db8::2"}]
)";

mesh::SnapshotPtr compiled(bool registry_only, uint64_t version = 1) {
  mesh::CompileInput input;
  input.proxy.addresses = {"198.18.0.1", "2001:db8::1"};
  input.proxy.udp_policy = istio::UdpPolicy::enforce;
  if (registry_only) input.mesh.outbound_traffic_policy = istio::OutboundMode::registry_only;
  auto decoded = istio::decode(configuration, "udp.yaml");
  for (auto& resource : decoded.resources)
    input.resources.push_back(std::make_shared<const istio::Resource>(std::move(resource)));
  return mesh::compile(input, nullptr, version).snapshot;
}

std::string initial(const std::string& host) {
  return test::quic::packet({}, crypto_frame(0, client_hello(host)));
}

struct Kind {
  bool v4;
  Backend backend;
};
class Policy : public InNamespace, public testing::WithParamInterface<Kind> {
protected:
  static std::string peer(uint16_t port) {
    return (GetParam().v4 ? "198.18.0.2:" : "[2001:db8::2]:") + std::to_string(port);
  }
  static std::string iptables() {
    return program(GetParam().v4 ? Family::v4 : Family::v6, GetParam().backend);
  }
  void SetUp() override {
    InNamespace::SetUp();
    add_addresses();
    run("ip link set test1 up; ip neigh add 198.18.0.2 lladdr 02:00:00:00:00:01 dev test0; "
        "ip -6 neigh add 2001:db8::2 lladdr 02:00:00:00:00:01 dev test0");
    wire_ = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
    sockaddr_ll link{};
    link.sll_family = AF_PACKET;
    link.sll_protocol = htons(ETH_P_ALL);
    link.sll_ifindex = int(if_nametoindex("test1"));
    ASSERT_EQ(bind(wire_, reinterpret_cast<sockaddr*>(&link), sizeof link), 0);
    log_path_ = testing::TempDir() + "udp-policy-" + std::to_string(getpid()) + ".log";
    std::filesystem::remove(log_path_);
  }
  void TearDown() override {
    stop();
    close(wire_);
    std::filesystem::remove(log_path_);
    InNamespace::TearDown();
  }

  void start(istio::UdpPolicy mode, bool registry_only) {
    Options options = capture_all();
    options.backend = GetParam().backend;
    options.udp = UdpQueue{.fail_open = mode == istio::UdpPolicy::log, .dns_servers = {}};
    const auto applied = apply(options);
    ASSERT_TRUE(applied) << applied.error().context;
    read(mode, registry_only);
  }
  void read(istio::UdpPolicy mode, bool registry_only) {
    auto kernel = UdpPolicy::open(mode);
    ASSERT_TRUE(kernel) << kernel.error().context;
    published_ = std::make_unique<Published<mesh::Snapshot>>(compiled(registry_only));
    access_log_ = std::move(*observe::AccessLog::open({{.path = log_path_, .format = ""}}));
    writer_ = access_log_->writer();
    loop_ = std::make_unique<net::Loop>();
    policy_ =
        std::make_unique<UdpPolicy>(UdpPolicy::Sources{*loop_, *published_, metrics_, *writer_,
                                                       nullptr, [](const std::string&) {}},
                                    std::move(*kernel));
    thread_ = std::thread([this] { loop_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    policy_.reset();
    loop_.reset();
    writer_.reset();
    access_log_.reset();
  }

  // A client's socket, to there.
  static int client(const std::string& to) {
    const auto address = SocketAddress::parse(to).value();
    const int fd = socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage storage;
    const socklen_t size = address.fill(storage);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&storage), size), 0);
    return fd;
  }
  static int error_of(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  }
  // What becomes of a datagram: "out", "refused" (by ICMP), "nothing".
  std::string send(int fd, const std::string& payload) {
    while (arrives(0ms)) {
    }
    error_of(fd);  // of an earlier one
    // What the kernel refuses without asking us is told twice: EPERM at once, then the ICMP error.
    EXPECT_TRUE(::send(fd, payload.data(), payload.size(), 0) > 0 || errno == EPERM);
    for (int i = 0; i < 100; i++) {
      if (arrives(5ms)) return "out";
      if (error_of(fd) == ECONNREFUSED) return "refused";
    }
    return "nothing";
  }
  std::string send(const std::string& to, const std::string& payload) {
    const int fd = client(to);
    auto became = send(fd, payload);
    close(fd);
    return became;
  }
  // Whether a UDP datagram comes out of the pod.
  bool arrives(std::chrono::milliseconds within) {
    pollfd polled{wire_, POLLIN, 0};
    while (poll(&polled, 1, int(within.count())) == 1) {
      char packet[2'048];
      const auto size = recv(wire_, packet, sizeof packet, 0);
      if (read_udp_packet({packet, std::size_t(std::max<ssize_t>(size, 0))})) return true;
    }
    return false;
  }
  // How many packets ever came to user space.
  static unsigned queued() {
    std::istringstream line(run("cat /proc/net/netfilter/nfnetlink_queue"));
    unsigned fields[8] = {};
    for (auto& field : fields) line >> field;
    return fields[7];
  }
  std::string log() {
    stop();
    std::ifstream file(log_path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  observe::WorkerMetrics metrics_;

private:
  int wire_ = -1;
  std::string log_path_;
  std::unique_ptr<Published<mesh::Snapshot>> published_;
  std::unique_ptr<observe::AccessLog> access_log_;
  std::unique_ptr<observe::AccessLog::Writer> writer_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<UdpPolicy> policy_;
  std::thread thread_;

protected:
  void publish(mesh::SnapshotPtr next) { published_->publish(std::move(next)); }
};

TEST_P(Policy, UnderEnforceUndeclaredFlowsAreRefusedAtOnceAndDeclaredOnesPass) {
  start(istio::UdpPolicy::enforce, true);
  EXPECT_EQ(send(peer(443), initial("web.test")), "refused");
  EXPECT_EQ(send(peer(123), "time?"), "refused");
  EXPECT_EQ(send(peer(3478), "hello"), "out");
  EXPECT_EQ(metrics_.udp_refused.get(), 2u);
  EXPECT_EQ(metrics_.udp_allowed.get(), 1u);
  const auto lines = log();
  EXPECT_NE(
      lines.find("\"- - QUIC\" 0 UH udp_policy_refused - \"by_TCP_it_would_be_refused,_too\""),
      std::string::npos)
      << lines;
  EXPECT_NE(lines.find("\"- - UDP\" 0 UH udp_policy_refused - "
                       "\"nothing_declares_this_UDP_address_and_port\""),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find("BlackHoleCluster"), std::string::npos) << lines;
  EXPECT_NE(lines.find(" web.test "), std::string::npos) << lines;
}

TEST_P(Policy, UnderLogEverythingPassesAndIsLogged) {
  start(istio::UdpPolicy::log, true);
  EXPECT_EQ(send(peer(443), initial("web.test")), "out");
  const auto lines = log();
  EXPECT_NE(lines.find("\"- - QUIC\" 0 - udp_policy_would_refuse - \"by_TCP_it_would_be_refused"),
            std::string::npos)
      << lines;
}

// The cost is a flow's: two rules a datagram afterwards, and none of them comes to user space.
TEST_P(Policy, AVerdictStaysInTheKernel) {
  start(istio::UdpPolicy::enforce, true);
  const int voice = client(peer(3478)), web = client(peer(443));
  EXPECT_EQ(send(voice, "first"), "out");
  EXPECT_EQ(send(web, initial("web.test")), "refused");
  const auto seen = queued();
  run(iptables() + " -t filter -Z");
  for (int i = 0; i < 50; i++) ASSERT_EQ(send(voice, "more"), "out");
  const auto counters = lines_of(run(iptables() + "-save -c -t filter"), "[50:");
  EXPECT_EQ(counters.size(), 2u) << run(iptables() + "-save -c -t filter");
  for (int i = 0; i < 50; i++) ASSERT_EQ(send(web, initial("web.test")), "refused");
  EXPECT_EQ(queued(), seen);
  close(voice);
  close(web);
}

TEST_P(Policy, OtherRulesOfTheMeshAreFollowedByRefusedFlowsToo) {
  start(istio::UdpPolicy::enforce, true);
  const int fd = client(peer(443));
  EXPECT_EQ(send(fd, initial("web.test")), "refused");
  publish(compiled(false, 2));
  std::string became;
  for (int i = 0; i < 100 && became != "out"; i++) {
    std::this_thread::sleep_for(50ms);
    became = send(fd, initial("web.test"));
  }
  EXPECT_EQ(became, "out");
  close(fd);
}

TEST_P(Policy, AClientHelloInTwoDatagramsIsHeldUntilItIsWhole) {
  start(istio::UdpPolicy::enforce, false);
  const auto hello = client_hello("web.test");
  const std::string_view bytes = hello;
  const int fd = client(peer(443));
  const auto half = test::quic::packet({}, crypto_frame(0, bytes.substr(0, 40)));
  ASSERT_EQ(::send(fd, half.data(), half.size(), 0), ssize_t(half.size()));
  EXPECT_FALSE(arrives(200ms));
  EXPECT_EQ(send(fd, test::quic::packet({}, crypto_frame(40, bytes.substr(40)))), "out");
  EXPECT_TRUE(arrives(1s)) << "both";
  close(fd);
}

class PolicyOfIpv4 : public Policy {};
TEST_P(PolicyOfIpv4, AnswersOfTheApplicationsOwnServersPass) {
  start(istio::UdpPolicy::enforce, true);
  const int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_port = htons(5'353);
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
  // A datagram that comes in at test0, as from outside.
  std::string packet = test::quic::big_endian(0x4500, 2) + test::quic::big_endian(20 + 8 + 1, 2) +
                       test::quic::big_endian(0, 4) + test::quic::big_endian(0x4011, 2) +
                       std::string(2, '\0') + std::string("\xc6\x12\x00\x02\xc6\x12\x00\x01", 8);
  uint32_t sum = 0;
  for (std::size_t i = 0; i < 20; i += 2)
    sum += uint32_t(uint8_t(packet[i])) << 8 | uint8_t(packet[i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  packet.replace(10, 2, test::quic::big_endian(~sum & 0xffff, 2));
  packet += test::quic::big_endian(4'444, 2) + test::quic::big_endian(5'353, 2) +
            test::quic::big_endian(9, 2) + test::quic::big_endian(0, 2) + "q";
  const int raw = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_IP);
  to.sll_ifindex = int(if_nametoindex("test1"));
  to.sll_halen = 6;
  const auto mac = run("ip -o link show test0 | sed 's/.*ether //'");
  for (int i = 0; i < 6; i++)
    to.sll_addr[i] = uint8_t(std::stoi(mac.substr(std::size_t(3 * i), 2), nullptr, 16));
  ASSERT_EQ(
      sendto(raw, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
      ssize_t(packet.size()));
  pollfd polled{server, POLLIN, 0};
  ASSERT_EQ(poll(&polled, 1, 2'000), 1) << "the question came";
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  char question[8];
  ASSERT_EQ(
      recvfrom(server, question, sizeof question, 0, reinterpret_cast<sockaddr*>(&peer), &size), 1);
  ASSERT_EQ(sendto(server, "a", 1, 0, reinterpret_cast<sockaddr*>(&peer), size), 1);
  EXPECT_TRUE(arrives(1s));
  EXPECT_EQ(queued(), 0u);
  close(raw);
  close(server);
}

TEST_P(Policy, WithoutAnAgentEnforceIsClosedAndLogIsOpen) {
  start(istio::UdpPolicy::enforce, false);
  EXPECT_EQ(send(peer(123), "time?"), "out");
  stop();
  EXPECT_EQ(send(peer(123), "time?"), "nothing");
  ASSERT_TRUE(remove());
  start(istio::UdpPolicy::log, false);
  stop();
  EXPECT_EQ(send(peer(123), "time?"), "out");
}

TEST_P(Policy, AnAgentThatComesBackForgetsWhatTheOneBeforeRefused) {
  start(istio::UdpPolicy::enforce, true);
  const int fd = client(peer(123));
  EXPECT_EQ(send(fd, "time?"), "refused");
  stop();
  EXPECT_EQ(send(fd, "time?"), "refused") << "in the kernel, still";
  read(istio::UdpPolicy::enforce, false);
  EXPECT_EQ(send(fd, "time?"), "out");
  close(fd);
}

TEST_P(Policy, ASecondReaderIsToldSo) {
  start(istio::UdpPolicy::enforce, true);
  const auto second = UdpPolicy::open(istio::UdpPolicy::enforce);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().context.find("another process reads it"), std::string::npos)
      << second.error().context;
}

std::string name_of(const testing::TestParamInfo<Kind>& info) {
  return std::string(info.param.v4 ? "v4" : "v6") +
         (info.param.backend == Backend::nft ? "_nft" : "_legacy");
}
INSTANTIATE_TEST_SUITE_P(Families, Policy,
                         testing::Values(Kind{true, Backend::nft}, Kind{false, Backend::nft},
                                         Kind{true, Backend::legacy}, Kind{false, Backend::legacy}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Families, PolicyOfIpv4,
                         testing::Values(Kind{true, Backend::nft}, Kind{true, Backend::legacy}),
                         name_of);

}  // namespace
}  // namespace sallyport::rules
