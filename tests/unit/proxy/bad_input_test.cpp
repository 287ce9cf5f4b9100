// What a hostile or broken peer sends over HTTP/1: a clear refusal, nothing forwarded, and the next
// connection is served.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

struct Case {
  const char* name;
  std::string request;
  const char* status;
};

const std::string host = "Host: app.test\r\n";

const Case cases[] = {
    {"both lengths",
     "POST / HTTP/1.1\r\n" + host +
         "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400"},
    {"two lengths that differ",
     "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
    {"a signed length", "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\na", "400"},
    {"a coding that is not chunked",
     "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", "501"},
    {"a folded line", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", "400"},
    {"a bare CR", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", "400"},
    {"a NUL", std::string("GET / HTTP/1.1\r\n") + host + std::string("A: b\0c\r\n\r\n", 10), "400"},
    {"a blank before the colon", "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", "400"},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
    {"two Hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", "400"},
    {"a version of the future", "GET / HTTP/2.0\r\n" + host + "\r\n", "505"},
    {"a chunk size that is none",
     "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "400"},
    {"a head of 1 MiB",
     "GET / HTTP/1.1\r\n" + host + "A: " + std::string(1 << 20, 'a') + "\r\n\r\n", "431"},
    {"a hundred and one headers",
     [] {
       std::string text = "GET / HTTP/1.1\r\n" + host;
       for (int i = 0; i < 101; i++) text += "H" + std::to_string(i) + ": x\r\n";
       return text + "\r\n";
     }(),
     "431"},
    {"a tunnel", "CONNECT app.test:443 HTTP/1.1\r\n" + host + "\r\n", "40"},
};

class BadRequest : public ProxyTest, public testing::WithParamInterface<Case> {};

TEST_P(BadRequest, IsRefusedAndDisturbsNobody) {
  auto app = dial();
  std::thread sender(
      [&] { app.send(GetParam().request); });  // The refusal may come before all of it went.
  const auto answer = app.read_head();
  sender.join();
  EXPECT_TRUE(answer.starts_with(std::string("HTTP/1.1 ") + GetParam().status))
      << GetParam().name << ": " << answer;
  EXPECT_NE(answer.find("connection: close\r\n"), answer.npos) << answer;
  EXPECT_EQ(metrics_.upstream_cx_total.get(), 0u) << "nothing was forwarded";

  auto next = dial();
  next.send("GET / HTTP/1.1\r\n" + host + "\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(server.read_head().starts_with("GET / HTTP/1.1"));
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(next.read_until("ok").starts_with("HTTP/1.1 200 OK"));
}

INSTANTIATE_TEST_SUITE_P(Spec, BadRequest, testing::ValuesIn(cases),
                         [](const auto& info) { return "Case" + std::to_string(info.index); });

using Pipeline = ProxyTest;

TEST_F(Pipeline, ABadSecondRequestDoesNotSpoilTheAnswerOfTheFirst) {
  auto app = dial();
  app.send("GET / HTTP/1.1\r\n" + host + "\r\nGARBAGE\r\n\r\n");
  auto server = accept_request();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const auto both = app.read_all();
  EXPECT_TRUE(both.starts_with("HTTP/1.1 200 OK")) << both;
  EXPECT_NE(both.find("ok"), both.npos);
  EXPECT_NE(both.find("HTTP/1.1 400 Bad Request"), both.npos) << both;
}

struct Answer {
  const char* name;
  std::string answer;
};
const Answer answers[] = {
    {"no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n"},
    {"a head without an end", "HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'a')},
    {"both lengths",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"},
    {"a chunk size that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"},
    {"a NUL in a header", std::string("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", 26)},
    {"interim answers without end",
     [] {
       std::string text;
       for (int i = 0; i < 100; i++) text += "HTTP/1.1 103 Early Hints\r\n\r\n";
       return text;
     }()},
};

class BadAnswer : public ProxyTest, public testing::WithParamInterface<Answer> {};

TEST_P(BadAnswer, IsA502) {
  auto app = dial();
  app.send("GET / HTTP/1.1\r\n" + host + "\r\n");
  auto server = accept_request();
  server.send(GetParam().answer);
  auto head = app.read_head();
  while (head.starts_with("HTTP/1.1 103")) head = app.read_head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << GetParam().name << ": " << head;
}

INSTANTIATE_TEST_SUITE_P(Spec, BadAnswer, testing::ValuesIn(answers),
                         [](const auto& info) { return "Case" + std::to_string(info.index); });

}  // namespace
}  // namespace sallyport::proxy
