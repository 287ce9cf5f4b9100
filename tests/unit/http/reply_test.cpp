// Answers of our own, dates and request ids.
#include <gtest/gtest.h>

#include <set>

#include "agent/http/local_reply.h"
#include "agent/http/message/head.h"
#include "agent/http/request_id.h"

namespace sallyport::http {
namespace {

constexpr std::string_view date = "Sat, 21 Nov 2026 07:37:26 GMT";

TEST(LocalReply, HasEnvoysFieldsInEnvoysOrder) {
  EXPECT_EQ(write_local_reply({.status = 503, .body = "no healthy upstream", .date = date}),
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 19\r\ncontent-type: text/plain\r\n"
            "date: Sat, 21 Nov 2026 07:37:26 GMT\r\nserver: envoy\r\n\r\nno healthy upstream");
}

TEST(LocalReply, WithoutBodyHasNoType) {
  EXPECT_EQ(write_local_reply({.status = 404, .server = "", .close = true}),
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

TEST(LocalReply, HasTheTypeThatARuleSets) {
  const auto reply = write_local_reply(
      {.status = 200, .body = "{}", .fields = "x-a: 1\r\nContent-Type: application/json\r\n"});
  EXPECT_EQ(reply.find("text/plain"), reply.npos) << reply;
  EXPECT_NE(reply.find("Content-Type: application/json\r\n"), reply.npos);
}

TEST(LocalReply, ToHeadKeepsTheLengthOnly) {
  const auto reply = write_local_reply({.status = 502, .body = "why", .head = true});
  EXPECT_NE(reply.find("content-length: 3\r\n"), reply.npos);
  EXPECT_TRUE(reply.ends_with("\r\n\r\n"));
}

TEST(LocalReply, ToHttp10SaysWhetherTheConnectionStays) {
  EXPECT_TRUE(
      write_local_reply({.status = 503, .close = true, .minor = 0}).starts_with("HTTP/1.0 503 "));
  EXPECT_NE(write_local_reply({.status = 503, .minor = 0}).find("connection: keep-alive\r\n"),
            std::string::npos);
}

TEST(LocalReply, TellsOverloadAndLocation) {
  const auto reply =
      write_local_reply({.status = 301, .overloaded = true, .location = "https://a.test/"});
  EXPECT_NE(reply.find("x-envoy-overloaded: true\r\n"), reply.npos);
  EXPECT_NE(reply.find("location: https://a.test/\r\n"), reply.npos);
}

TEST(LocalReply, OfEachStatusIsAResponseThatWeWouldTake) {
  for (int status = 100; status < 600; status++) {
    const auto text = write_local_reply({.status = status, .body = "x", .date = date});
    Head head;
    ASSERT_EQ(parse_response(text, head), Parse::done) << text;
    EXPECT_EQ(head.status, status);
    const bool bodiless = status < 200 || status == 204 || status == 304;
    EXPECT_EQ(head.has_length, !bodiless) << status;
    EXPECT_EQ(text.size() - head.size, bodiless ? 0u : 1u) << status;
  }
}

TEST(HttpDate, IsImfFixdate) {
  HttpDate clock;
  EXPECT_EQ(clock.at(1795246646), date);
  EXPECT_EQ(clock.at(1795246646), date);
  EXPECT_EQ(clock.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110's own example
  EXPECT_EQ(clock.at(951825600), "Tue, 29 Feb 2000 12:00:00 GMT");
}

TEST(RequestIds, AreVersion4Uuids) {
  RequestIds ids;
  for (int i = 0; i < 1000; i++) {
    char text[RequestIds::size];
    ASSERT_EQ(ids.write(text), text + RequestIds::size);
    for (int at = 0; at < 36; at++) {
      if (at == 8 || at == 13 || at == 18 || at == 23)
        EXPECT_EQ(text[at], '-');
      else
        EXPECT_TRUE(std::string_view("0123456789abcdef").find(text[at]) != std::string::npos);
    }
    EXPECT_EQ(text[14], '4');  // no trace is sampled
    EXPECT_TRUE(std::string_view("89ab").find(text[19]) != std::string::npos) << text[19];
  }
}

// The numbers are those of the generator's reference code for this state: 41943041, 58720359,
// 3588806011781223, 3591011842654386.
TEST(RequestIds, AreTheGeneratorsBitsAsDigits) {
  RequestIds ids({1, 2, 3, 4});
  std::string text(2 * RequestIds::size, '\0');
  ids.write(ids.write(text.data()));
  EXPECT_EQ(text, "00000000-0280-4001-8000-000003800067000cc000-0380-4067-800c-c201994400b2");
}

TEST(RequestIds, DifferWithinAndBetweenWorkers) {
  std::set<std::string> seen;
  for (int worker = 0; worker < 20; worker++) {
    RequestIds ids;
    for (int i = 0; i < 1000; i++) {
      char text[RequestIds::size];
      ids.write(text);
      EXPECT_TRUE(seen.insert(std::string(text, sizeof text)).second);
    }
  }
}

TEST(RequestIds, UseEveryBitOfTheGenerator) {
  RequestIds a({1, 2, 3, 4}), b({1, 2, 3, 5});
  char first[36], second[36];
  for (int i = 0; i < 3; i++) a.write(first), b.write(second);
  EXPECT_NE(std::string_view(first, 36), std::string_view(second, 36));
}

}  // namespace
}  // namespace sallyport::http
