// accessLogEncoding JSON: Istio's keys, formats of one's own, and lines that always parse.
#include <gtest/gtest.h>

#include "agent/istio/json.h"
#include "agent/observe/log_plan.h"
#include "tests/unit/observe/log_line.h"

namespace sallyport::observe {
namespace {

TEST(IstioJson, OfAnAnsweredRequest) {
  EXPECT_EQ(json_line(answered()),
            "{\"start_time\":\"2026-11-21T07:37:26.439Z\",\"route_name\":\"default\","
            "\"method\":\"GET\",\"path\":\"/up\",\"protocol\":\"HTTP/1.1\",\"response_code\":200,"
            "\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\","
            "\"connection_termination_details\":null,\"bytes_received\":0,\"bytes_sent\":615,"
            "\"duration\":51,\"upstream_service_time\":\"50\",\"x_forwarded_for\":\"1.2.3.4\","
            "\"user_agent\":\"curl \\\"q\\\" \\\\ \xc3\xa9\","
            "\"request_id\":\"586f6569-86b0-40dc-abbd-f4488efc6ce1\",\"authority\":\"a.test\","
            "\"upstream_host\":\"127.0.0.1:18081\",\"upstream_cluster\":\"outbound|80||a.test\","
            "\"upstream_local_address\":\"127.0.0.1:60970\","
            "\"downstream_local_address\":\"[2001:db8::1]:80\","
            "\"downstream_remote_address\":\"1.2.3.4:5\",\"requested_server_name\":null,"
            "\"upstream_transport_failure_reason\":null}\n");
}

TEST(IstioJson, OfAnOpaqueConnection) {
  AccessRecord r;
  r.http = false;
  r.flags = UF | URX;
  r.failure_reason = "connect: Connection refused";
  r.cluster = "PassthroughCluster";
  r.sni = "edition.cnn.com";
  EXPECT_EQ(json_line(r),
            "{\"start_time\":\"1970-01-01T00:00:00.000Z\",\"route_name\":null,\"method\":null,"
            "\"path\":null,\"protocol\":null,\"response_code\":0,\"response_flags\":\"UF,URX\","
            "\"response_code_details\":null,\"connection_termination_details\":null,"
            "\"bytes_received\":0,\"bytes_sent\":0,\"duration\":0,\"upstream_service_time\":null,"
            "\"x_forwarded_for\":null,\"user_agent\":null,\"request_id\":null,\"authority\":null,"
            "\"upstream_host\":null,\"upstream_cluster\":\"PassthroughCluster\","
            "\"upstream_local_address\":null,\"downstream_local_address\":null,"
            "\"downstream_remote_address\":null,\"requested_server_name\":\"edition.cnn.com\","
            "\"upstream_transport_failure_reason\":\"connect:_Connection_refused\"}\n");
}

struct Case {
  const char *name, *format, *expect;
};
class CustomJson : public testing::TestWithParam<Case> {};
TEST_P(CustomJson, IsWritten) {
  EXPECT_EQ(json_line(answered(), GetParam().format), std::string(GetParam().expect) + "\n")
      << GetParam().name;
}
const Case cases[] = {
    {"a lone operator keeps its type", R"({"a": "%RESPONSE_CODE%", "b": "%PROTOCOL%"})",
     R"({"a":200,"b":"HTTP/1.1"})"},
    {"with text around it is text", R"({"a": "%RESPONSE_CODE% ", "b": "x%PROTOCOL%"})",
     R"({"a":"200 ","b":"xHTTP/1.1"})"},
    {"several in one string", R"({"a": "%REQ(:METHOD)% %RESPONSE_CODE%%BYTES_SENT%"})",
     R"({"a":"GET 200615"})"},
    {"empty within a string is a dash", R"({"a": "<%REQUESTED_SERVER_NAME%>"})", R"({"a":"<->"})"},
    {"two lone operators are text", R"({"a": "%BYTES_SENT%%BYTES_SENT%"})", R"({"a":"615615"})"},
    {"objects within objects", R"({"a": {"b": {"c": "%DURATION%"}, "d": {}}, "e": "f"})",
     R"({"a":{"b":{"c":51},"d":{}},"e":"f"})"},
    {"lists", R"({"a": ["%DURATION%", "x", ["%PROTOCOL%"]]})", R"({"a":[51,"x",["HTTP/1.1"]]})"},
    {"what is no string stays", R"({"a": 1, "b": -2.5e3, "c": true, "d": null, "e": ""})",
     R"({"a":1,"b":-2.5e3,"c":true,"d":null,"e":""})"},
    {"an empty object", "{}", "{}"},
    {"a percent sign", R"({"a": "100%%", "b": "%%%DURATION%"})", R"({"a":"100%","b":"%51"})"},
    {"literals are escaped", R"({"a\"\n": "\u0001\"\\\u00e9%DURATION%"})",
     "{\"a\\\"\\n\":\"\\u0001\\\"\\\\\xc3\xa9"
     "51\"}"},
    {"values are escaped", R"({"a": "%REQ(USER-AGENT)%", "b": "[%REQ(USER-AGENT)%]"})",
     "{\"a\":\"curl \\\"q\\\" \\\\ \xc3\xa9\",\"b\":\"[curl \\\"q\\\" \\\\ \xc3\xa9]\"}"},
    {"a length cuts, and mends what it cut", R"({"a": "%REQ(USER-AGENT):12%"})",
     "{\"a\":\"curl \\\"q\\\" \\\\ \xef\xbf\xbd\"}"},
    {"a time format in quotes", R"({"a": "%START_TIME(\"%Y\")%"})", R"({"a":"\"2026\""})"},
    {"the order is the format's", R"({"b": "%DURATION%", "a": "x"})", R"({"b":51,"a":"x"})"},
};
INSTANTIATE_TEST_SUITE_P(Spec, CustomJson, testing::ValuesIn(cases));

struct BadCase {
  const char *format, *reason;
};
TEST(BadJson, IsRefusedWithTheReason) {
  const BadCase bad[] = {
      {"%START_TIME%", "line 1: expected a value; a JSON object is wanted"},
      {"\"%START_TIME%\"", "a JSON object is wanted, not a string"},
      {"[]", "a JSON object is wanted, not a list"},
      {"{\n\"a\": \"%FOO%\"}", "%FOO% is not a known operator"},
      {"{\"a\": {\"b\": [\"x %TRACE%\"]}}", "%TRACE% is not a known operator"},
      {"{\"a\": \"50%\"}", "% is not closed by '%' (a lone '%' is written as \"%%\")"},
      {"{\n\"a\": }", "line 2: expected a value; a JSON object is wanted"},
  };
  for (const BadCase& c : bad) {
    const auto parsed = LogFormat::parse_json(c.format);
    ASSERT_FALSE(parsed) << c.format;
    EXPECT_EQ(parsed.error().context, c.reason);
  }
}

struct Escape {
  std::string text, expect;
};
TEST(JsonText, IsUtf8WhateverCameIn) {
  const std::string mark = "\xef\xbf\xbd";
  const Escape escapes[] = {
      {"plain ~", "plain ~"},
      {"\"\\/", "\\\"\\\\/"},
      {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
      {std::string("\0\x1f\x7f", 3), "\\u0000\\u001f\\u007f"},
      {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xff\xfe", mark + mark},
      {"\x80", mark},                                   // a continuation without a beginning
      {"\xc3", mark},                                   // a beginning without an end
      {"\xc3(", mark + "("},                            //
      {"\xc0\xaf", mark + mark},                        // overlong
      {"\xe0\x9f\xbf", mark + mark + mark},             // overlong
      {"\xf0\x8f\xbf\xbf", mark + mark + mark + mark},  // overlong
      {"\xed\xa0\x80", mark + mark + mark},             // a surrogate
      {"\xf4\x90\x80\x80", mark + mark + mark + mark},  // beyond U+10FFFF
      {"\xe2\x82", mark + mark},                        // cut off
      {"\xf4\x8f\xbf\xbf \xef\xbf\xbf", "\xf4\x8f\xbf\xbf \xef\xbf\xbf"},
  };
  for (const Escape& c : escapes) EXPECT_EQ(json_text(c.text), c.expect) << c.expect;
}

TEST(JsonText, AlwaysParses) {
  std::string every;
  for (int first = 0; first < 256; first++)
    for (int second : {0x00, 0x22, 0x41, 0x80, 0x9f, 0xbf, 0xc3, 0xff}) {
      every += static_cast<char>(first);
      every += static_cast<char>(second);
    }
  AccessRecord r = answered();
  r.path = r.user_agent = r.failure_reason = every;
  const std::string text = json_line(r);
  const auto trees = istio::parse_json(text, 1);
  EXPECT_TRUE(trees.errors.empty()) << trees.errors[0].reason;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

}  // namespace
}  // namespace sallyport::observe
