// YAML 1.1 scalars as Kubernetes reads them, durations as Go writes them, base64 as Secrets hold
// it.
#include "agent/istio/scalar.h"

#include "agent/istio/base64.h"

namespace sallyport::istio {
namespace {

using Kind = Node::Kind;
using std::chrono::nanoseconds;

struct PlainCase {
  const char* text;
  Kind kind;
  std::optional<int64_t> integer;
};
const PlainCase plain_cases[] = {
    {"", Kind::null, {}},
    {"~", Kind::null, {}},
    {"null", Kind::null, {}},
    {"NULL", Kind::null, {}},
    {"nUll", Kind::text, {}},
    {"yes", Kind::boolean, {}},
    {"Off", Kind::boolean, {}},
    {"n", Kind::boolean, {}},
    {"TRUE", Kind::boolean, {}},
    {"yEs", Kind::text, {}},
    {"80", Kind::integer, 80},
    {"-80", Kind::integer, -80},
    {"+80", Kind::integer, 80},
    {"0", Kind::integer, 0},
    {"0x50", Kind::integer, 80},
    {"0o120", Kind::integer, 80},
    {"0120", Kind::integer, 80},
    {"0b11", Kind::integer, 3},
    {"8_0", Kind::integer, 80},
    {"08", Kind::real, 8},
    {"80.0", Kind::real, 80},
    {"80.5", Kind::real, {}},
    {"1e3", Kind::real, 1000},
    {"1e400", Kind::real, {}},
    {"1.2.3.4", Kind::text, {}},
    {"12:30", Kind::text, {}},
    {"2026-11-21", Kind::text, {}},
    {".", Kind::text, {}},
    {"-", Kind::text, {}},
    {"+-1", Kind::text, {}},
    {"0x", Kind::text, {}},
    {"99999999999999999999", Kind::real, {}},
    {"example.com", Kind::text, {}},
    {"1.1e", Kind::text, {}},
    {"--1", Kind::text, {}},
};
class PlainScalar : public testing::TestWithParam<PlainCase> {};
TEST_P(PlainScalar, IsWhatGoYamlTakesItFor) {
  const PlainCase& c = GetParam();
  EXPECT_EQ(resolve_plain(c.text), c.kind) << c.text;
  if (c.kind == Kind::integer || c.kind == Kind::real) {
    EXPECT_EQ(integer_value(c.text), c.integer) << c.text;
  }
}
INSTANTIATE_TEST_SUITE_P(Spec, PlainScalar, testing::ValuesIn(plain_cases));

struct DurationCase {
  const char* text;
  std::optional<int64_t> ns;
};
const DurationCase duration_cases[] = {
    {"5s", 5'000'000'000},
    {"0.5s", 500'000'000},
    {"1h10m", 4'200'000'000'000},
    {"500ms", 500'000'000},
    {"1.5s", 1'500'000'000},
    {".5s", 500'000'000},
    {"1us", 1'000},
    {"1\xc2\xb5s", 1'000},
    {"0", 0},
    {"0s", 0},
    {"100ns", 100},
    {"1m0.001s", 60'001'000'000},
    {"", {}},
    {"5", {}},
    {"s", {}},
    {"5 s", {}},
    {"-5s", {}},
    {"5d", {}},
    {"5s5", {}},
    {".s", {}},
    {"1e3s", {}},
    {"876001h", {}},
    {"876000h", 3'153'600'000'000'000'000},
    {"99999999999999999999999999999h", {}},
};
class DurationText : public testing::TestWithParam<DurationCase> {};
TEST_P(DurationText, IsReadAsGoDoes) {
  const DurationCase& c = GetParam();
  const auto value = duration_value(c.text);
  EXPECT_EQ(value ? std::optional<int64_t>(value->count()) : std::nullopt, c.ns) << c.text;
}
INSTANTIATE_TEST_SUITE_P(Spec, DurationText, testing::ValuesIn(duration_cases));

struct Base64Case {
  const char* text;
  std::optional<std::string> bytes;
};
const Base64Case base64_cases[] = {
    {"", ""},     {"aGk=", "hi"}, {"aGkK", "hi\n"}, {"aA==", "h"},        {"aG\nk=\r\n", "hi"},
    {"aGk", {}},  {"aGk*", {}},   {"=aGk", {}},     {"aG=k", {}},         {"aA==aA==", {}},
    {"a===", {}}, {"aGk= ", {}},  {"-_==", {}},     {"+/8=", "\xfb\xff"},
};
class Base64 : public testing::TestWithParam<Base64Case> {};
TEST_P(Base64, IsStandardAndPadded) {
  EXPECT_EQ(decode_base64(GetParam().text), GetParam().bytes) << GetParam().text;
}
INSTANTIATE_TEST_SUITE_P(Spec, Base64, testing::ValuesIn(base64_cases));

TEST(Quoted, IsShortAndWithoutControlCharacters) {
  EXPECT_EQ(istio::quoted("a\tb"), "\"a\\x09b\"");
  EXPECT_EQ(istio::quoted(std::string(101, 'x')), '"' + std::string(100, 'x') + "\"...");
}

}  // namespace
}  // namespace sallyport::istio
