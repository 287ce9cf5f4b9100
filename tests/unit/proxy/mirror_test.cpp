// `mirror` of a VirtualService's rule (istio-api.md 1.4, 7 "mirror"): copies that disturb nothing.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

class Mirrors : public ProxyTest {
protected:
  Mirrors() : copies_(test::TestSocket::listening()) {}

  // app.test, mirrored to copy.test, which copies_ serves.
  void mirrored(const std::string& more = "") {
    const auto port = std::to_string(dialled_port());
    use(one_service() +
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: copy}\n"
        "spec: {hosts: [copy.test], resolution: STATIC, endpoints: [{address: 127.0.0.1}],\n"
        "  ports: [{number: " +
        port +
        ", name: http, protocol: HTTP, targetPort: " + std::to_string(copies_.local().port()) +
        "}]}\n"
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs}\n"
        "spec: {hosts: [app.test], http: [{route: [{destination: {host: app.test}}], "
        "mirror: {host: copy.test}" +
        more + "}]}\n");
  }
  uint64_t wait_for(const observe::Counter& counter, uint64_t value) {
    for (int i = 0; i < 500 && counter.get() < value; i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return counter.get();
  }
  test::TestSocket copies_;
};

const std::string get = "GET /a?b HTTP/1.1\r\nHost: app.test\r\n\r\n";
const std::string failed = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops";

TEST_F(Mirrors, GetTheWholeRequestAndTheirAnswersGoNowhere) {
  mirrored();
  auto app = dial();
  app.send("PUT /a?b HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\nabc");
  auto server = accept_request();
  EXPECT_EQ(server.read_exactly(3), "abc");
  app.send("def");
  EXPECT_EQ(server.read_exactly(3), "def");
  auto copy = copies_.accept();
  const auto head = copy.read_head();
  EXPECT_TRUE(head.starts_with("PUT /a?b HTTP/1.1\r\nHost: app.test\r\n")) << head;
  EXPECT_TRUE(has(head, "x-request-id: ")) << head;
  EXPECT_EQ(copy.read_exactly(6), "abcdef");
  copy.send(failed);
  server.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  const auto log = log_text();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_TRUE(has(log, "\" 200 - via_upstream")) << log;
  EXPECT_EQ(metrics_.mirrored.get(), 1u);
}

TEST_F(Mirrors, KeepTheirConnections) {
  mirrored();
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  auto copy = copies_.accept();
  copy.read_head();
  copy.send(failed);
  for (int i = 0; i < 2; i++) {
    server.send(hello);
    app.read_until("hello");
    app.send(get);
    server.read_head();
    EXPECT_TRUE(copy.read_head().starts_with("GET /a?b ")) << "on the same connection";
    copy.send(failed);
  }
  server.send(hello);
  app.read_until("hello");
  EXPECT_EQ(metrics_.mirrored_failed.get(), 0u);
}

TEST_F(Mirrors, ThatAreDownDisturbNothing) {
  mirrored();
  copies_ = test::TestSocket::listening();  // the port that is named listens no more
  auto app = dial();
  app.send(get);
  accept_request().send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  EXPECT_EQ(wait_for(metrics_.mirrored_failed, 1), 1u);
}

TEST_F(Mirrors, GetTheirShareOnly) {
  mirrored(", mirrorPercentage: {value: 0}");
  auto app = dial();
  app.send(get);
  accept_request().send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  log_text();  // the worker has ended
  EXPECT_EQ(metrics_.mirrored.get(), 0u);
}

TEST_F(Mirrors, AreLeftOutForABodyThatIsTooLargeToKeep) {
  mirrored();
  auto app = dial();
  const std::string body(limits::mirrored_bytes, 'x');
  app.send("PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n");
  auto server = accept_request();
  std::thread sender([&] { app.send(body); });
  EXPECT_EQ(server.read_exactly(body.size()).size(), body.size());
  sender.join();
  server.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  log_text();
  EXPECT_EQ(metrics_.mirrored.get(), 0u);
  EXPECT_EQ(metrics_.mirrored_failed.get(), 1u);
}

}  // namespace
}  // namespace sallyport::proxy
