// SO_ORIGINAL_DST in a network namespace of its own, with the redirects that a pod has.
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <thread>

#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

struct Case {
  const char* name;
  const char* family;    // option of ip(8)
  const char* iptables;  // command
  const char* listen;
  const char* dial;
  const char* address;  // to be given to the loopback device, or empty
};
const Case cases[] = {
    {"IPv4", "-4", "iptables", "127.0.0.1:0", "198.18.7.1:8080", "198.18.7.1/32"},
    {"IPv6", "-6", "ip6tables", "[::1]:0", "[2001:db8::7]:8080", "2001:db8::7/128"},
};

void must(const std::string& command) {
  ASSERT_EQ(std::system((command + " >/dev/null").c_str()), 0) << command;
}

// A thread may leave the process's namespace; what it starts follows it. The namespace goes with
// the thread.
void in_own_namespace(void (*test)(const Case&), const Case& c) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "needs root";
    must("ip link set lo up");
    must(std::string("ip ") + c.family + " address add " + c.address + " dev lo");
    test(c);
  }).join();
}

int dial(const SocketAddress& to) {
  sockaddr_storage storage;
  const socklen_t size = to.fill(storage);
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&storage), size), 0) << to.text();
  return fd;
}

Result<SocketAddress> destination_seen(Loop& loop, Listener& listener,
                                       std::optional<Stream>& accepted,
                                       const SocketAddress& dialled) {
  const int client = dial(dialled.is_set() ? dialled : listener.local());
  accepted.reset();
  loop.run();
  const auto seen = original_destination(*accepted);
  ::close(client);
  return seen;
}

void expect_original(const Case& c) {
  Loop loop;
  std::optional<Stream> accepted;
  Listener listener(loop, *open_listening_socket(*SocketAddress::parse(c.listen)),
                    [&](Stream stream) {
                      accepted.emplace(std::move(stream));
                      loop.stop();
                    });
  const auto untracked = destination_seen(loop, listener, accepted, {});
  ASSERT_FALSE(untracked) << c.name;
  EXPECT_EQ(untracked.error().fault, Fault::denied) << untracked.error().context;

  const auto wanted = *SocketAddress::parse(c.dial);
  const auto port = std::to_string(listener.local().port());
  must(std::string(c.iptables) + " -w -t nat -A OUTPUT -p tcp --dport " +
       std::to_string(wanted.port()) + " -j REDIRECT --to-ports " + port);
  const auto redirected = destination_seen(loop, listener, accepted, wanted);
  ASSERT_TRUE(redirected) << redirected.error().context;
  EXPECT_EQ(*redirected, wanted) << c.name;

  const SocketAddress same_port(wanted.ip(), listener.local().port());
  must(std::string(c.iptables) + " -w -t nat -A OUTPUT -p tcp -d " + wanted.ip().text() +
       " -j REDIRECT --to-ports " + port);
  const auto elsewhere = destination_seen(loop, listener, accepted, same_port);
  ASSERT_TRUE(elsewhere) << "a server elsewhere on the capture port's number is no loop: "
                         << elsewhere.error().context;
  EXPECT_EQ(*elsewhere, same_port);

  const auto direct = destination_seen(loop, listener, accepted, {});
  ASSERT_FALSE(direct) << c.name << ": tracked, but sent to the listener itself";
  EXPECT_EQ(direct.error().fault, Fault::denied);
  EXPECT_EQ(direct.error().side, Side::downstream);
  EXPECT_NE(direct.error().context.find(listener.local().text()), std::string::npos)
      << direct.error().context;
}

class OriginalDestination : public testing::TestWithParam<Case> {};
TEST_P(OriginalDestination, IsWhatTheClientDialled) {
  in_own_namespace(expect_original, GetParam());
}
INSTANTIATE_TEST_SUITE_P(Spec, OriginalDestination, testing::ValuesIn(cases));

}  // namespace
}  // namespace sallyport::net
