// Strict JSON, as Istio's parser takes it.
#include "agent/istio/json.h"

#include <gtest/gtest.h>

namespace sallyport::istio {
namespace {

std::string shown(const Node& node) {
  if (node.kind == Node::Kind::text) return "'" + node.text + "'";
  if (node.is_scalar()) return node.text;
  const bool keys = node.kind == Node::Kind::mapping;
  std::string text = keys ? "{" : "[";
  for (const auto& entry : node.entries)
    text += (keys ? entry.key + "=" : "") + shown(*entry.value) + " ";
  return text + (keys ? "}" : "]");
}

struct Case {
  const char *text, *expect;
};
TEST(Json, IsReadAsATree) {
  const Case cases[] = {
      {" {} ", "{}"},
      {"{\"a\": \"b\", \"c\" :[1, -0, 2.5e-3,true,false,null ,{}]}",
       "{a='b' c=[1 -0 2.5e-3 true false null {} ] }"},
      {R"("\"\\\/\b\f\n\r\t")", "'\"\\/\b\f\n\r\t'"},
      {R"("\u0041\u00e9\u20ac\ud83d\uDE00")", "'A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'"},
      {"\"yes\"", "'yes'"},
  };
  for (const Case& c : cases) {
    const Trees trees = parse_json(c.text, 1);
    ASSERT_TRUE(trees.errors.empty()) << c.text << ": " << trees.errors[0].reason;
    EXPECT_EQ(shown(*trees.roots.at(0)), c.expect);
  }
}

struct BadCase {
  std::string text;
  int line;
  const char* reason;
};
TEST(Json, ThatIsNoneIsRefusedWithItsLine) {
  const BadCase cases[] = {
      {"", 1, "the text ends too early"},
      {"{", 1, "expected a key in double quotes"},
      {"{a: b}", 1, "expected a key in double quotes"},
      {"{'a': 1}", 1, "expected a key in double quotes"},
      {"{\"a\": 1,}", 1, "expected a key in double quotes"},
      {"{\"a\" 1}", 1, "expected ':' behind a key"},
      {"{\"a\":\n\nb}", 3, "expected a value"},
      {"{\"a\": 1\n \"b\": 2}", 2, "expected ',' or '}'"},
      {"{\"a\": 1, \"a\": 2}", 1, "the key \"a\" is there twice"},
      {"[1 2]", 1, "expected ',' or ']'"},
      {"[1,]", 1, "expected a value"},
      {"{} {}", 1, "text behind the value"},
      {"01", 1, "a number with a leading zero"},
      {"-", 1, "expected a number"},
      {"1.", 1, "expected a number"},
      {"1e", 1, "expected a number"},
      {"nul", 1, "expected a value"},
      {"\"a", 1, "a string without its closing quote"},
      {"\"a\nb\"", 1, "a line end or another control character within a string"},
      {"\"\\x\"", 1, "a bad escape within a string"},
      {"\"\\", 1, "a bad escape within a string"},
      {"\"\\u12\"", 1, "a bad escape within a string"},
      {"\"\\u-123\"", 1, "a bad escape within a string"},
      {"\"\\ud83d\"", 1, "a bad escape within a string"},
      {"\"\\ud83d\\u0041\"", 1, "a bad escape within a string"},
      {"\"\\ude00\"", 1, "a bad escape within a string"},
      {std::string(1, '\0'), 1, "expected a value"},
      {std::string(100'000, '['), 1, "nested too deeply"},
  };
  for (const BadCase& c : cases) {
    const Trees trees = parse_json(c.text, 1);
    EXPECT_TRUE(trees.roots.empty());
    ASSERT_EQ(trees.errors.size(), 1u) << c.text;
    EXPECT_EQ(trees.errors[0].reason, c.reason) << c.text;
    EXPECT_EQ(trees.errors[0].line, c.line) << c.text;
  }
}

}  // namespace
}  // namespace sallyport::istio
