// Who stops in the middle of a message is let go: a body that stalls, an answer that nobody reads.
// Their time is minutes (limits::body_stall), so the clock is moved here.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "tests/unit/proxy/gateway_fixture.h"

namespace {
std::atomic<int64_t> seconds_ahead{0};
}  // namespace

// Stands before libc's function in this test program: std::chrono::steady_clock asks it. What
// sleeps in the kernel does so for as long as ever.
extern "C" int clock_gettime(clockid_t clock, timespec* into) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, into);
  if (clock == CLOCK_MONOTONIC) into->tv_sec += seconds_ahead.load();
  return static_cast<int>(result);
}

namespace sallyport::proxy {
namespace {

using namespace std::chrono_literals;
constexpr auto margin = 2s;  // the loop's ticks are coarse

// Deadlines are looked at each 250 ms of the kernel's clock.
void pass(std::chrono::seconds time) {
  usleep(50'000);  // what was sent before is read before
  seconds_ahead += time.count();
}

class Stall : public GatewayTest, public testing::WithParamInterface<bool> {
protected:
  // A loop begins its ticks by the clock, and the kernel rings them by its own.
  Stall() { seconds_ahead = 0; }
  ~Stall() override { seconds_ahead = 0; }

  // A peer of a gateway's plain port, or of its TLS port.
  struct Peer {
    std::optional<test::TestSocket> plain;
    std::unique_ptr<test::TlsClient> tls;
    bool send(std::string_view bytes) { return tls ? tls->send(bytes) : plain->send(bytes); }
    std::string read_head() { return tls ? tls->read_head() : plain->read_head(); }
    int fd() const { return tls ? SSL_get_fd(tls->ssl()) : plain->fd(); }
  };
  Peer arrive() {
    give_secret("a", root_.issue({.common_name = "a.com", .dns = {"a.com"}}));
    serve(GetParam() ? server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a")
                     : server("HTTP", "a.com"),
          behind("a.com", http_to_app()));
    Peer peer;
    if (!GetParam()) {
      peer.plain.emplace(connect());
      return peer;
    }
    peer.tls.reset(new test::TlsClient(connect_by_tls("a.com")));
    EXPECT_TRUE(peer.tls->handshake());
    return peer;
  }
  // Its peer has ended or reset the connection, whatever is there to be read before that.
  static bool is_ended(int fd, std::chrono::milliseconds within = 5s) {
    pollfd waiting{.fd = fd, .events = POLLRDHUP, .revents = 0};
    return poll(&waiting, 1, static_cast<int>(within.count())) > 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Port, Stall, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

TEST_P(Stall, ABodyThatDoesNotComeIsAnsweredAndItsUpstreamLetGo) {
  auto client = arrive();
  client.send("POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  auto app = accept_request();
  EXPECT_EQ(app.read_exactly(8), "3\r\nabc\r\n");
  pass(limits::body_stall - margin);
  EXPECT_FALSE(is_ended(app.fd(), 700ms)) << "it has its time";
  client.send("1\r\nd\r\n");
  EXPECT_EQ(app.read_exactly(6), "1\r\nd\r\n");
  pass(limits::body_stall - margin);
  EXPECT_FALSE(is_ended(app.fd(), 700ms)) << "each byte begins it anew";
  pass(2 * margin);
  EXPECT_TRUE(is_ended(app.fd()));
  const auto answer = client.read_head();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_TRUE(has(answer, "connection: close\r\n")) << answer;
  EXPECT_TRUE(has(log_text(), " 408 SI stream_idle_timeout ")) << log_text();
}

TEST_P(Stall, ABodyOfKnownLengthThatTricklesIsCut) {
  auto client = arrive();
  client.send("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 1000\r\n\r\n");
  auto app = accept_request();
  for (auto waited = 0s; waited < limits::body_grace; waited += 10s) {
    client.send("x");
    EXPECT_EQ(app.read_exactly(1), "x") << "it has its time";
    pass(10s);
  }
  client.send("x");
  EXPECT_TRUE(is_ended(app.fd()));
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 408 "));
}

TEST_P(Stall, ABodyThatComesFastEnoughHasAnyTime) {
  auto client = arrive();
  client.send("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 2000\r\n\r\n");
  auto app = accept_request();
  const std::string some(200, 'x');
  for (int part = 0; part < 10; part++) {
    client.send(some);
    EXPECT_EQ(app.read_exactly(some.size()), some);
    pass(10s);
  }
  EXPECT_FALSE(is_ended(app.fd(), 700ms));
}

TEST_P(Stall, AClientThatDoesNotReadItsAnswerIsLetGoWithItsUpstream) {
  auto client = arrive();
  client.send("GET / HTTP/1.1\r\nHost: a.com\r\n\r\n");
  auto app = accept_request();
  app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
  fcntl(app.fd(), F_SETFL, O_NONBLOCK);
  const std::string part(1 << 16, 'x');
  for (int idle = 0; idle < 100; idle++) {
    while (::send(app.fd(), part.data(), part.size(), MSG_NOSIGNAL) > 0) idle = 0;
    usleep(1000);
  }
  pass(limits::body_stall - margin);
  EXPECT_FALSE(is_ended(app.fd(), 700ms)) << "it has its time";
  pass(2 * margin);
  EXPECT_TRUE(is_ended(app.fd()));
  const auto log = log_text();
  EXPECT_TRUE(has(log, "\"GET / HTTP/1.1\" 200 ")) << log;
}

TEST_P(Stall, AConnectionWithoutARequestIsClosedAfterTheIdleTime) {
  auto client = arrive();
  client.send("GET / HTTP/1.1\r\nHost: a.com\r\n\r\n");
  accept_request().send(hello);
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 200 OK"));
  char rest[5];
  if (client.tls)
    SSL_read(client.tls->ssl(), rest, sizeof rest);
  else
    client.plain->read_exactly(sizeof rest);
  pass(limits::http_idle - margin);
  EXPECT_FALSE(is_ended(client.fd(), 700ms)) << "it has its time";
  pass(2 * margin);
  EXPECT_TRUE(is_ended(client.fd()));
}

}  // namespace
}  // namespace sallyport::proxy
