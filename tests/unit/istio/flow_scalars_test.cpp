// Colons in flow collections, as Go's yaml.v2 reads them (each result was measured with it).
#include "agent/istio/flow_scalars.h"

#include <gtest/gtest.h>

namespace sallyport::istio {
namespace {

struct Case {
  const char *text, *quoted;
};
const Case cases[] = {
    {"[1.2.3.4, 001:db8::]", "[1.2.3.4, '001:db8::']"},
    {"[fe80::, 1]", "['fe80::', 1]"},
    {"a: {x: fe80::, y: 1}", "a: {x: 'fe80::', y: 1}"},
    {"{a:, b: 1}", "{'a:', b: 1}"},
    {"[a b:, c]", "['a b:', c]"},
    {"a: [[b:], {c: d:}]", "a: [['b:'], {c: 'd:'}]"},
    {"- [a:,\n   b:]", "- ['a:',\n   'b:']"},
    // A key's colon: a blank or a line's end follows.
    {"[a: , b:,\n c:\n]", "[a: , 'b:',\n c:\n]"},
    // No flow collection, or none of its plain scalars.
    {"a: b:,c\nd: [e]", "a: b:,c\nd: [e]"},
    {"a: x[y:]", "a: x[y:]"},
    {"a: \"[b:]\"", "a: \"[b:]\""},
    {"a: '[b:, it''s]'", "a: '[b:, it''s]'"},
    {"a: [\"b:\", 'c:']", "a: [\"b:\", 'c:']"},
    {"# [a:]\nb: [c]", "# [a:]\nb: [c]"},
    {"a: |\n  [b:]\n\n  [c:]\nd: [e:]", "a: |\n  [b:]\n\n  [c:]\nd: ['e:']"},
    {"- a: >-\n    [b:]\n", "- a: >-\n    [b:]\n"},
    {"[!!str a:, it's:]", "[!!str a:, 'it''s:']"},
    {"{\"a\":[\"b:\"],\"c\":1}", "{\"a\":[\"b:\"],\"c\":1}"},
    {"[a:", "[a:"},
    {"\":]", "\":]"},
};
class FlowScalars : public testing::TestWithParam<Case> {};
TEST_P(FlowScalars, AreQuotedWhereTheyEndInAColon) {
  EXPECT_EQ(quote_flow_scalars(GetParam().text), GetParam().quoted);
}
INSTANTIATE_TEST_SUITE_P(Spec, FlowScalars, testing::ValuesIn(cases));

}  // namespace
}  // namespace sallyport::istio
