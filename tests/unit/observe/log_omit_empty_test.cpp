// omitEmptyValues: an absent value is nothing in text, and its key is left out of JSON.
#include "tests/unit/observe/log_line.h"

namespace sallyport::observe {
namespace {

std::string omitted(const std::string& format, bool json, const AccessRecord& record = {}) {
  return line_of(json ? LogFormat::parse_json(format, true) : LogFormat::parse(format, true),
                 record);
}

TEST(OmitEmptyValues, LeavesNothingInText) {
  EXPECT_EQ(omitted("<%REQ(:PATH)%> <%RESPONSE_CODE%> <%UPSTREAM_HOST%>", false), "<> <0> <>\n");
}

TEST(OmitEmptyValues, KeepsTheDashThatStandsForNoFlag) {
  EXPECT_EQ(omitted("%RESPONSE_FLAGS%", false), "-\n");
}

struct Case {
  const char* what;
  std::string format, line;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.what; }
class OmittedInJson : public testing::TestWithParam<Case> {};
TEST_P(OmittedInJson, LeavesTheMemberOut) {
  EXPECT_EQ(omitted(GetParam().format, true), GetParam().line + "\n");
}
const Case cases[] = {

    {"the first of two", R"({"a": "%REQ(A)%", "b": 1})", R"({"b":1})"},
    {"the last", R"({"b": 1, "a": "%REQ(A)%"})", R"({"b":1})"},
    {"one between", R"({"b": 1, "a": "%REQ(A)%", "c": true})", R"({"b":1,"c":true})"},
    {"all", R"({"a": "%REQ(A)%", "b": "%REQ(B)%"})", "{}"},
    {"one that is written null", R"({"a": null, "b": "x"})", R"({"b":"x"})"},
    {"of an object in it", R"({"o": {"a": "%REQ(A)%", "b": 1}, "c": 2})", R"({"o":{"b":1},"c":2})"},
    {"all of an object in it", R"({"o": {"a": "%REQ(A)%"}, "a": "%REQ(A)%"})", R"({"o":{}})"},
    {"not of a list", R"({"l": ["%REQ(A)%", 1], "a": "%REQ(A)%"})", R"({"l":[null,1]})"},
    {"not a text that looks like one", R"({"a": ":null", "b": "{\"c\":null}"})",
     R"({"a":":null","b":"{\"c\":null}"})"},
    {"of a text only the value", R"({"a": "x%REQ(A)%y"})", R"({"a":"xy"})"},
};
INSTANTIATE_TEST_SUITE_P(Spec, OmittedInJson, testing::ValuesIn(cases));

TEST(OmitEmptyValues, OfIstiosOwnJsonLeavesAnObject) {
  EXPECT_EQ(omitted("", true).find("null"), std::string::npos);
  EXPECT_NE(omitted("", true, answered()).find(R"("route_name":"default","method":"GET")"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::observe
