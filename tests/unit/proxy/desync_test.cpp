// Messages must not run into each other, and what broke must not look whole: for both sides,
// whatever they do.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

class Desync : public ProxyTest {
protected:
  // Sends until nobody takes more for a while.
  static void send_until_stalled(const test::TestSocket& socket) {
    const std::string part(1 << 16, 'x');
    fcntl(socket.fd(), F_SETFL, O_NONBLOCK);
    for (int idle = 0; idle < 100;) {
      const bool took = ::send(socket.fd(), part.data(), part.size(), MSG_NOSIGNAL) > 0;
      idle = took ? 0 : idle + 1;
      if (!took) usleep(1000);
    }
    fcntl(socket.fd(), F_SETFL, 0);
  }
  test::TestSocket stall_an_upload(const test::TestSocket& app) {
    app.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000000\r\n\r\n");
    auto server = accept_request();
    send_until_stalled(app);
    return server;
  }
  template <class Ask>
  static bool soon(Ask ask) {
    for (int i = 0; i < 2000 && !ask(); i++) usleep(5000);
    return ask();
  }
  // Resets instead of ending: 1 byte or 0 of what comes.
  static bool is_reset(const test::TestSocket& socket) {
    char part[4096];
    ssize_t got;
    while ((got = ::recv(socket.fd(), part, sizeof part, 0)) > 0) continue;
    return got < 0 && errno == ECONNRESET;
  }
};

TEST_F(Desync, TheBodyOfARefusedRequestIsNotTheNextRequest) {
  istio::MeshConfig mesh;
  mesh.outbound_traffic_policy = istio::OutboundMode::registry_only;
  use(one_service(), mesh);
  auto app = dial();
  const std::string inner = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
  app.send("POST / HTTP/1.1\r\nHost: blocked.test\r\nContent-Length: " +
           std::to_string(inner.size()) + "\r\n\r\n" + inner + get);
  EXPECT_TRUE(has(app.read_head(), "502"));
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "GET /politics"));
}

TEST_F(Desync, AnUpstreamThatDidNotTakeTheWholeBodyIsNotUsedAgain) {
  auto app = dial();
  auto server = stall_an_upload(app);
  server.send(hello);
  app.read_until("hello");
  auto other = dial();
  other.send(get);
  auto fresh = upstream_.accept();
  EXPECT_TRUE(has(fresh.read_head(), "GET /politics"));
}

// The whole body was read, but not all of it could be written: with buffers this small 16,000 bytes
// don't fit between proxy and server. A network namespace of its own, so a thread of its own.
struct SmallBuffers : Desync {
  void TestBody() override {
    const int small = 1;
    setsockopt(upstream_.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    auto app = dial();
    app.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 16000\r\n\r\n");
    auto server = accept_request();
    app.send(std::string(16'000, 'x'));
    EXPECT_TRUE(soon([&] { return unread(door_.local().port(), app.local().port()) == 0; }));
    server.send(hello);
    app.read_until("hello");
    auto other = dial();
    other.send(get);
    EXPECT_TRUE(has(accept_request_head(), "GET /politics"));
  }
  std::string accept_request_head() { return upstream_.accept().read_head(); }
  // Bytes that lie in the socket of the proxy, not read yet; -1: there is no such socket.
  static long unread(uint16_t local_port, uint16_t remote_port) {
    std::ifstream sockets("/proc/thread-self/net/tcp");
    std::string line;
    while (std::getline(sockets, line)) {
      unsigned local = 0, remote = 0, queued = 0;
      if (sscanf(line.c_str(), " %*d: %*x:%x %*x:%x %*x %*x:%x", &local, &remote, &queued) == 3 &&
          local == local_port && remote == remote_port)
        return long(queued);
    }
    return -1;
  }
};

TEST(DesyncOnSmallBuffers, AnUpstreamThatMissesTheEndOfABodyIsNotUsedAgain) {
  std::thread([] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const int any = socket(AF_INET, SOCK_DGRAM, 0);
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    ASSERT_EQ(ioctl(any, SIOCSIFFLAGS, &loopback), 0);
    close(any);
    ASSERT_TRUE(std::ofstream("/proc/sys/net/ipv4/tcp_wmem") << "4096 4096 4096" << std::flush);
    SmallBuffers().TestBody();
  }).join();
}

TEST_F(Desync, AClientThatLeavesDuringAStalledUploadIsNoticed) {
  auto app = dial();
  auto server = stall_an_upload(app);
  app.reset();
  EXPECT_TRUE(soon([this] { return metrics_.downstream_rq_active.get() == 0; }));
  EXPECT_TRUE(soon([this] { return metrics_.upstream_cx_active.get() == 0; }));
}

TEST_F(Desync, AnUpgradeWithABodyIsRefused) {
  auto app = dial();
  app.send(
      "GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Content-Length: 4\r\n\r\nBODY");
  EXPECT_TRUE(app.read_head().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(metrics_.upstream_cx_total.get(), 0u);
}

TEST_F(Desync, AResetAnswerDoesNotLookWhole) {
  for (int i = 0; i < 20; i++) {
    auto app = dial();
    app.send(get);
    auto server = accept_request();
    server.send("HTTP/1.1 200 OK\r\n\r\n" + std::string(3000, 'p'));
    server.reset();
    EXPECT_TRUE(is_reset(app)) << i;
  }
}

TEST_F(Desync, ABodyThatTheClientBrokeDoesNotLookWhole) {
  auto app = dial();
  app.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  auto server = accept_request();
  server.send("HTTP/1.1 200 OK\r\n\r\nbeginning");
  EXPECT_TRUE(app.read_until("beginning").ends_with("beginning"));
  app.send("nonsense\r\n");
  EXPECT_TRUE(is_reset(app));
  const auto log = log_text();
  EXPECT_TRUE(has(log, " 200 DPE http1.codec_error ")) << log;
}

TEST_F(Desync, AChunkedAnswerThatBreaksOffInNonsenseIsTheUpstreamsFault) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  server.send("nonsense\r\n");
  EXPECT_TRUE(is_reset(app));
  const auto log = log_text();
  EXPECT_TRUE(has(log, " 200 UPE ")) << log;
}

TEST_F(Desync, AnAnswerLargerThanABufferArrivesAsItWasSent) {
  auto app = dial();
  for (const std::size_t size : {16'000, 16'384, 20'000, 200'000}) {
    app.send(get);
    static test::TestSocket server;
    if (!server) server = upstream_.accept();
    server.read_head();
    const std::string head = "HTTP/1.1 200 OK\r\nX-Pad: " + std::string(12'000, 'h') +
                             "\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
    std::thread sender([&] { server.send(head + std::string(size, 'b')); });
    EXPECT_TRUE(has(app.read_head(), std::string(12'000, 'h')));
    EXPECT_EQ(app.read_exactly(size), std::string(size, 'b'));
    sender.join();
    if (size == 200'000) server.close();
  }
}

TEST_F(Desync, AnAnswerBehindAnInterimOneArrivesAsItWasSent) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  std::thread sender([&] {
    server.send(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        "HTTP/1.1 200 OK\r\nX-Mark: whole\r\nContent-Length: 40000\r\n\r\n" +
        std::string(40'000, 'b'));
  });
  EXPECT_TRUE(app.read_head().starts_with("HTTP/1.1 103 Early Hints\r\n"));
  const auto head = app.read_head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\nX-Mark: whole\r\n")) << head;
  EXPECT_EQ(app.read_exactly(40'000), std::string(40'000, 'b'));
  sender.join();
}

TEST_F(Desync, AnEmptyLineBehindABodyIsNoRequest) {
  auto app = dial();
  app.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nok\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "POST"));
  EXPECT_EQ(server.read_exactly(2), "ok");
  server.send(hello);
  app.read_until("hello");
  app.send(get);
  EXPECT_TRUE(has(server.read_head(), "GET /politics"));
  server.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
}

TEST_F(Desync, ARequestWithoutHostGetsTheAddressItDialled) {
  auto app = dial();
  app.send("GET / HTTP/1.0\r\n\r\n");
  auto dialled = door_.accept();
  const auto request = dialled.read_head();
  EXPECT_TRUE(has(request, "host: " + door_.local().text() + "\r\n")) << request;
}

}  // namespace
}  // namespace sallyport::proxy
