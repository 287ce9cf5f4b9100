// A pod and a peer, each a network namespace, joined by a cable; who gets a connection, and what it
// says of its original destination.
#pragma once
#include <netinet/in.h>
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <map>

#include "tests/support/iptables_namespace.h"

namespace sallyport::rules {

enum class From : uint8_t {
  application,
  proxy,
  proxy_inbound_source,  // 127.0.0.6, ::6
  proxy_client_source,   // as TPROXY's upstream: the peer's address, with the mark
  proxy_group_only,      // an application with gid 1337
  in_proxy_group,        // one of whose supplementary groups is 1337
  second_proxy,          // another uid of -u
  peer
};

constexpr uint32_t proxy_id = 1337, application_id = 1000, second_proxy_id = 1338;

// To whom what is opened meanwhile belongs: the owner match looks at whom a socket belonged to when
// it was made.
class Owned {
public:
  Owned(uint32_t uid, uint32_t gid) {
    setfsgid(gid);
    setfsuid(uid);
  }
  ~Owned() {
    setfsuid(0);
    setfsgid(0);
  }
  Owned(const Owned&) = delete;
};

class OwnedSocket {
public:
  explicit OwnedSocket(int fd) : fd_(fd) {}
  ~OwnedSocket() { close(fd_); }
  OwnedSocket(OwnedSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedSocket& operator=(OwnedSocket&&) = delete;
  int get() const { return fd_; }

private:
  int fd_;
};

inline SocketAddress address(const std::string& text) { return SocketAddress::parse(text).value(); }

inline OwnedSocket open_socket(bool v4) {
  return OwnedSocket(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

inline bool bind_to(const OwnedSocket& socket, const SocketAddress& where) {
  sockaddr_storage storage;
  const socklen_t size = where.fill(storage);
  return bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0;
}

// The kernel's number of SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
inline SocketAddress original_destination(const OwnedSocket& socket, bool v4) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockopt(socket.get(), v4 ? SOL_IP : SOL_IPV6, 80, &storage, &size) != 0) return {};
  return SocketAddress::from(reinterpret_cast<sockaddr*>(&storage));
}

// The rules of which family are at work, and who put them there.
enum class By : uint8_t { iptables_nft, iptables_legacy, nft };
struct Kind {
  bool v4;
  By by;
};
inline const auto all_kinds = testing::Values(
    Kind{true, By::iptables_nft}, Kind{false, By::iptables_nft}, Kind{true, By::iptables_legacy},
    Kind{false, By::iptables_legacy}, Kind{true, By::nft}, Kind{false, By::nft});
inline std::string name_of_kind(const testing::TestParamInfo<Kind>& info) {
  const char* const by[] = {"iptables_nft", "iptables_legacy", "nft"};
  return std::string(info.param.v4 ? "v4_" : "v6_") + by[int(info.param.by)];
}
inline Options of_kind(Options options, const Kind& kind) {
  options.native = kind.by == By::nft;
  if (kind.by == By::iptables_legacy) options.backend = Backend::legacy;
  return options;
}

class Capture : public InNamespace, public testing::WithParamInterface<Kind> {
protected:
  static Options capture_all() { return of_kind(rules::capture_all(), GetParam()); }
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

  static bool v4() { return GetParam().v4; }
  static std::string local(uint16_t port) {
    return (v4() ? "198.18.0.1:" : "[2001:db8::1]:") + std::to_string(port);
  }
  static std::string peer(uint16_t port) {
    return (v4() ? "198.18.0.2:" : "[2001:db8::2]:") + std::to_string(port);
  }

  // Connects, and says who accepted and, of a captured connection, where it was going.
  std::string connect(From from, const std::string& to) {
    enter(from == From::peer ? peer_ : pod_);
    const OwnedSocket client = open_as(from, SOCK_STREAM);
    if (from == From::proxy_client_source) {
      const int mark = 1337;
      EXPECT_EQ(setsockopt(client.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
      become_transparent(client);
    }
    EXPECT_TRUE(bind_to(client, source_of(from)));
    sockaddr_storage storage;
    const socklen_t size = address(to).fill(storage);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&storage), size), 0)
        << to << ": " << strerror(errno);
    enter(pod_);
    return accepted();
  }

  // With a port that was none's before: what the kernel remembers of an earlier connection would
  // decide about a new one, whatever the rules are now.
  SocketAddress source_of(From from) {
    const auto port = std::to_string(next_port_++);
    EXPECT_LT(next_port_, 65000);
    if (from == From::proxy_inbound_source) return address((v4() ? "127.0.0.6:" : "[::6]:") + port);
    if (from == From::proxy_client_source)
      return address((v4() ? "198.18.0.2:" : "[2001:db8::2]:") + port);
    return address((v4() ? "0.0.0.0:" : "[::]:") + port);
  }
  OwnedSocket open_as(From from, int type) const {
    const bool applications =
        from == From::application || from == From::proxy_group_only || from == From::in_proxy_group;
    const gid_t groups[] = {proxy_id};
    // Of this thread only, which glibc's setgroups would not do.
    if (from == From::in_proxy_group) {
      EXPECT_EQ(syscall(SYS_setgroups, 1, groups), 0);
    }
    const bool own_group = from == From::application || from == From::in_proxy_group;
    const Owned owned(applications                 ? application_id
                      : from == From::second_proxy ? second_proxy_id
                                                   : proxy_uid_,
                      own_group                    ? application_id
                      : from == From::second_proxy ? second_proxy_id
                                                   : proxy_id);
    OwnedSocket out(socket(v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
    if (from == From::in_proxy_group) syscall(SYS_setgroups, 0, nullptr);
    return out;
  }
  static void enter(int space) { ASSERT_EQ(setns(space, CLONE_NEWNET), 0); }

  int pod_ = -1, peer_ = -1;
  uint16_t next_port_ = 20000;
  uint32_t proxy_uid_ = proxy_id;  // 0 in a pod with TPROXY

private:
  struct Listener {
    std::string name;
    OwnedSocket socket;
  };

  static void become_transparent(const OwnedSocket& socket) {
    const int one = 1;
    EXPECT_EQ(v4() ? setsockopt(socket.get(), SOL_IP, IP_TRANSPARENT, &one, sizeof one)
                   : setsockopt(socket.get(), SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one),
              0);
  }
  void listen_on(const std::string& name, uint16_t port) {
    OwnedSocket socket = open_socket(v4());
    const int one = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (port == 15006) become_transparent(socket);
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
      const OwnedSocket connection(accept4(polled[i].fd, nullptr, nullptr, SOCK_CLOEXEC));
      const auto& name = listeners_[i].name;
      return name[0] == '1' ? name + " for " + original_destination(connection, v4()).text() : name;
    }
    return "nobody";
  }

  std::vector<Listener> listeners_;
};

}  // namespace sallyport::rules
