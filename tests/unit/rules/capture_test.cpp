// The rules at work: a pod and a peer, each a network namespace, joined by a cable. Who gets a
// connection, and what it says of its original destination. The flows are those of Istio's own
// description.
#include <netinet/in.h>
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/socket.h>

#include <map>

#include "tests/support/iptables_namespace.h"

namespace sallyport::rules {
namespace {

enum class From : uint8_t { application, proxy, proxy_inbound_source, peer };

constexpr uint32_t proxy_id = 1337, application_id = 1000;

class Socket {
public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { close(fd_); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  int get() const { return fd_; }

private:
  int fd_;
};

SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

Socket open_socket(bool v4) {
  return Socket(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

bool bind_to(const Socket& socket, const SocketAddress& where) {
  sockaddr_storage storage;
  const socklen_t size = where.fill(storage);
  return bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0;
}

// The kernel's number of SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
SocketAddress original_destination(const Socket& socket, bool v4) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockopt(socket.get(), v4 ? SOL_IP : SOL_IPV6, 80, &storage, &size) != 0) return {};
  return SocketAddress::from(reinterpret_cast<sockaddr*>(&storage));
}

class Capture : public InNamespace, public testing::WithParamInterface<bool> {
protected:
  void SetUp() override {
    InNamespace::SetUp();
    pod_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    peer_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    enter(peer_);
    run("ip link set lo up; ip link add eth0 type veth peer name eth0 netns /proc/" +
        std::to_string(getpid()) + "/fd/" + std::to_string(pod_) +
        " && ip link set eth0 up && ip addr add 198.18.0.2/24 dev eth0 && ip -6 addr add "
        "2001:db8::2/64 dev eth0 nodad");
    listen_on("peer", 80);
    listen_on("peer", 443);
    enter(pod_);
    run("ip link set eth0 up && ip addr add 198.18.0.1/24 dev eth0 && ip -6 addr add "
        "2001:db8::1/64 dev eth0 nodad");
    for (const uint16_t port : {15001, 15006}) listen_on(std::to_string(port), port);
    for (const uint16_t port : {8080, 8081, 15021, 15008}) listen_on("application", port);
  }
  void TearDown() override {
    listeners_.clear();
    InNamespace::TearDown();
    close(pod_);
    close(peer_);
  }

  static bool v4() { return GetParam(); }
  static std::string local(uint16_t port) {
    return (v4() ? "198.18.0.1:" : "[2001:db8::1]:") + std::to_string(port);
  }
  static std::string peer(uint16_t port) {
    return (v4() ? "198.18.0.2:" : "[2001:db8::2]:") + std::to_string(port);
  }

  // Connects, and says who accepted and, of a captured connection, where it was going.
  std::string connect(From from, const std::string& to) {
    enter(from == From::peer ? peer_ : pod_);
    // The owner match looks at whom the socket belonged to when it was made.
    const uint32_t id = from == From::application ? application_id : proxy_id;
    setfsgid(id);
    setfsuid(id);
    const Socket client = open_socket(v4());
    setfsuid(0);
    setfsgid(0);
    if (from == From::proxy_inbound_source) {
      EXPECT_TRUE(bind_to(client, address(v4() ? "127.0.0.6:0" : "[::6]:0")));
    }
    sockaddr_storage storage;
    const socklen_t size = address(to).fill(storage);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&storage), size), 0)
        << to << ": " << strerror(errno);
    enter(pod_);
    return accepted();
  }

private:
  struct Listener {
    std::string name;
    Socket socket;
  };

  static void enter(int space) { ASSERT_EQ(setns(space, CLONE_NEWNET), 0); }

  void listen_on(const std::string& name, uint16_t port) {
    Socket socket = open_socket(v4());
    const int one = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ASSERT_TRUE(bind_to(socket, address((v4() ? "0.0.0.0:" : "[::]:") + std::to_string(port))));
    ASSERT_EQ(listen(socket.get(), 16), 0);
    listeners_.push_back({name, std::move(socket)});
  }

  std::string accepted() {
    std::vector<pollfd> polled;
    for (const auto& listener : listeners_) polled.push_back({listener.socket.get(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), 5000) != 1) return "nobody, or several";
    for (std::size_t i = 0; i < polled.size(); i++) {
      if (polled[i].revents == 0) continue;
      const Socket connection(accept4(polled[i].fd, nullptr, nullptr, SOCK_CLOEXEC));
      const auto& name = listeners_[i].name;
      return name[0] == '1' ? name + " for " + original_destination(connection, v4()).text() : name;
    }
    return "nobody";
  }

  int pod_ = -1, peer_ = -1;
  std::vector<Listener> listeners_;
};

TEST_P(Capture, EveryFlowOfAFullyCapturedPodTakesItsWay) {
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80))
      << "what the application opens";
  EXPECT_EQ(connect(From::proxy, peer(80)), "peer") << "what the proxy opens goes out";
  EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080)) << "what arrives";
  EXPECT_EQ(connect(From::proxy_inbound_source, local(8080)), "application")
      << "the inbound side to the application";
  EXPECT_EQ(connect(From::proxy, local(8080)), "15006 for " + local(8080))
      << "the proxy to an endpoint of its own pod";
  EXPECT_EQ(connect(From::application, local(8080)), "application")
      << "the application to its own address";
  EXPECT_EQ(connect(From::application, v4() ? "127.0.0.1:8080" : "[::1]:8080"), "application")
      << "to loopback";
  EXPECT_EQ(connect(From::proxy, v4() ? "127.0.0.1:8080" : "[::1]:8080"), "application")
      << "the proxy to loopback";
  EXPECT_EQ(connect(From::peer, local(15021)), "application") << "a probe at an excluded port";
  EXPECT_EQ(connect(From::peer, local(15008)), "application") << "the tunnel's listener";
}

TEST_P(Capture, ExclusionsAndInclusionsHold) {
  Options options = capture_all();
  options.exclude_outbound_ports = {443};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(443)), "peer") << "-o";
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80));

  options = capture_all();
  options.exclude_outbound_cidrs = parse_cidrs("198.18.0.2/32,2001:db8::2/128", "").value();
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "-x";

  options = capture_all();
  options.outbound_cidrs = "203.0.113.0/24";
  options.outbound_ports = {443};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "not in -i";
  EXPECT_EQ(connect(From::application, peer(443)), "15001 for " + peer(443)) << "-q";

  options.outbound_cidrs = "198.18.0.0/16,2001:db8::/64";
  options.inbound_ports = "8081";
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80)) << "in -i";
  EXPECT_EQ(connect(From::peer, local(8081)), "15006 for " + local(8081)) << "in -b";
  EXPECT_EQ(connect(From::peer, local(8080)), "application") << "not in -b";

  options = capture_all();
  options.exclude_interfaces = {"eth0"};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "-c, leaving";
  EXPECT_EQ(connect(From::peer, local(8080)), "application") << "-c, arriving";

  options = capture_all();
  options.proxy_uids = options.proxy_gids = {application_id};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "-u";
}

TEST_P(Capture, GuestsOfAVirtualMachineInterfaceAreOutbound) {
  Options options = capture_all();
  options.guest_interfaces = {"eth0"};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::peer, local(8080)), "15001 for " + local(8080));
}

TEST_P(Capture, EndsWithRemove) {
  ASSERT_TRUE(apply(capture_all()));
  ASSERT_TRUE(remove());
  EXPECT_EQ(connect(From::application, peer(80)), "peer");
  EXPECT_EQ(connect(From::peer, local(8080)), "application");
}

INSTANTIATE_TEST_SUITE_P(Families, Capture, testing::Values(true, false),
                         [](const auto& info) { return std::string(info.param ? "v4" : "v6"); });

}  // namespace
}  // namespace sallyport::rules
