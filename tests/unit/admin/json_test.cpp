#include "agent/admin/json.h"

#include <gtest/gtest.h>

namespace sallyport::admin {
namespace {

std::string of(std::string_view text) {
  JsonWriter json;
  json.value(text);
  return json.take();
}

TEST(JsonWriter, NestsAndSeparates) {
  JsonWriter json;
  json.object([&] {
    json.field("a", 1);
    json.field("b", true);
    json.array("c", [&] {
      json.value("x");
      json.object([&] { json.field("y", std::string("z")); });
      json.array([] {});
    });
    json.object("d", [] {});
  });
  EXPECT_EQ(
      json.take(),
      "{\n \"a\": 1,\n \"b\": true,\n \"c\": [\n  \"x\",\n  {\n   \"y\": \"z\"\n  },\n  []\n ],\n"
      " \"d\": {}\n}\n");
}

TEST(JsonWriter, EscapesWhatJsonForbids) {
  EXPECT_EQ(of("a\"b\\c\n\t\x01"), "\"a\\\"b\\\\c\\n\\u0009\\u0001\"\n");
  EXPECT_EQ(of("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"\n");
}

TEST(JsonWriter, NeverWritesBytesThatAreNotUtf8) {
  EXPECT_EQ(of("\xff"), "\"\\u00ff\"\n");
  EXPECT_EQ(of("\xc3"), "\"\\u00c3\"\n");                        // cut short
  EXPECT_EQ(of("\xc0\xaf"), "\"\\u00c0\\u00af\"\n");             // overlong
  EXPECT_EQ(of("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"\n");  // surrogate
  EXPECT_EQ(of("\xf4\x90\x80\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\"\n");
}

}  // namespace
}  // namespace sallyport::admin
