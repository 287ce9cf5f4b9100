// A steady request allocates nothing: heads are read in place and go out as pieces.
#include <gtest/gtest.h>

#include "agent/http/local_reply.h"
#include "agent/http/request_id.h"
#include "agent/http/rewrite.h"
#include "tests/support/count_allocations.h"

namespace sallyport::http {
namespace {

TEST(SteadyRequest, AllocatesNothing) {
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: my-nginx.mesh-external.svc.cluster.local\r\nUser-Agent: curl/8\r\n"
      "Connection: keep-alive, x-foo\r\nX-Foo: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n0\r\n\r\n";
  const std::string response =
      "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 5\r\nConnection: "
      "keep-alive\r\n\r\nhello";
  RequestIds ids;
  HttpDate clock;
  Head head;
  Outgoing out;
  const auto before = test::allocations;
  for (int i = 0; i < 100; i++) {
    char id[RequestIds::size];
    ids.write(id);
    ASSERT_EQ(parse_request(request, head), Parse::done);
    write_request(head, {.request_id = std::string_view(id, sizeof id)}, out);
    Body body = Body::of_request(head);
    ASSERT_EQ(body.eat(std::string_view(request).substr(head.size)), request.size() - head.size);
    ASSERT_EQ(parse_response(response, head), Parse::done);
    body = Body::of_response(head, "POST");
    body.eat(std::string_view(response).substr(head.size));
    write_response(head, {.date = clock.at(1795246646 + i), .service_time_ms = i}, out);
  }
  EXPECT_EQ(test::allocations - before, 0u);
}

TEST(SteadyRequestFromOutside, AllocatesNothing) {
  const std::string request =
      "GET /x HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 2001:db8::1, 2.2.2.2\r\n"
      "X-Forwarded-For: 3.3.3.3\r\nX-Request-Id: a\r\nx-envoy-retry-on: 5xx\r\n\r\n";
  Head head;
  Outgoing out;
  Edge edge{.peer = IpAddress::v4(0x0a000001), .own = {}, .client = {}, .trusted_proxies = 3};
  const auto before = test::allocations;
  for (int i = 0; i < 100; i++) {
    ASSERT_EQ(parse_request(request, head), Parse::done);
    edge.client = trusted_client(head, edge.trusted_proxies, edge.peer);
    write_request(head, {.request_id = "i", .forwarded_cert = "Hash=1", .edge = &edge}, out);
    admit_request(head, {.request_id = "i", .forwarded_cert = "Hash=1", .edge = &edge}, out);
  }
  EXPECT_EQ(test::allocations - before, 0u);
  EXPECT_EQ(edge.client.text(), "2001:db8::1");
}

}  // namespace
}  // namespace sallyport::http
