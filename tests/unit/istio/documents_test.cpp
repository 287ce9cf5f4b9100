// Files of several documents: which lines belong to which, and what a broken one does to its
// neighbours.
#include "agent/istio/documents.h"

#include "agent/core/limits.h"
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

const std::string good =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: good\ndata:\n  key: value\n";

std::vector<std::string> names(const Decoded& decoded) {
  std::vector<std::string> out;
  for (const Resource& resource : decoded.resources) {
    const Metadata& metadata = metadata_of(resource);
    out.push_back(metadata.name() + ":" + std::to_string(metadata.ref->line));
  }
  return out;
}

TEST(Documents, KnowTheLineOfTheFileThatTheyBeginWith) {
  const Decoded decoded = decode("# a comment\n\n" + good + "---\n# another\n" + good, "f.yaml");
  EXPECT_EQ(names(decoded), (std::vector<std::string>{"good:3", "good:11"}));
}

struct SplitCase {
  const char* name;
  std::string text;
  std::vector<int> lines;  // where documents begin
};
const SplitCase split_cases[] = {
    {"nothing", "", {}},
    {"comments and blanks only", "# x\n\n---\n# y\n---\n", {}},
    {"one without a marker", "a: 1\n", {1}},
    {"marker, document, marker, document", "---\na: 1\n---\nb: 2\n", {1, 3}},
    {"a marker with a comment", "a: 1\n--- # next\nb: 2\n", {1, 2}},
    {"content on the marker's line", "--- {a: 1}\n--- {b: 2}", {1, 2}},
    {"CRLF line ends", "a: 1\r\n---\r\nb: 2\r\n", {1, 2}},
    {"end marker", "a: 1\n...\nb: 2\n", {1, 3}},
    {"four dashes are no marker", "a: 1\n----\nb: 2\n", {1}},
    {"an indented marker is none", "a: |\n  ---\n  b\n", {1}},
    {"byte order mark",
     "\xef\xbb\xbf"
     "a: 1\n",
     {1}},
    {"a directive belongs to what follows", "%YAML 1.1\n---\na: 1\n", {2}},
};
class Splitting : public testing::TestWithParam<SplitCase> {};
TEST_P(Splitting, FindsTheDocuments) {
  std::vector<int> lines;
  for (const Document& document : split_documents(GetParam().text)) lines.push_back(document.line);
  EXPECT_EQ(lines, GetParam().lines) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, Splitting, testing::ValuesIn(split_cases));

struct BrokenCase {
  const char* name;
  std::string text;    // between two good documents of 6 lines, beginning in line 8
  int line;            // of the finding
  std::string reason;  // is part of it
};
const BrokenCase broken_cases[] = {
    {"unclosed flow sequence", "a: [1, 2\n", 8, "end of sequence flow not found"},
    {"wrong indentation", "a: 1\n  b: 2\n", 9, "YAML: illegal map value"},
    {"tab as indentation", "a:\n\tb: 1\n", 9, "YAML:"},
    {"unclosed quote", "a: \"x\nb: 1\n", 9, "YAML:"},
    {"control character", "a: 1\nb: \x01\n", 9, "a control character (1)"},
    {"yaml-cpp's own end-of-file byte", "a: 1\n\x04\nb: 1\n", 9, "a control character (4)"},
    {"NUL", std::string("a: \0b\n", 6), 8, "a control character (0)"},
    {"not UTF-8", "a: \xff\xfe\n", 8, "not UTF-8"},
    {"a lone CR", "a: 1\rb: 2\n", 8, "a carriage return without a line feed"},
    {"more brackets closed than opened", "a: {b: c}}}\n", 8, "YAML:"},
    {"more brackets closed than opened, where yaml-cpp would go on for ever",
     "{\"a\":{\"b\":\"c\"E\"}}}}\n", 8, "YAML:"},
    {"unknown alias", "a: *b\n", 8, "YAML:"},
    {"an alias to what contains it", "a: &a [*a]\n", 8, "an alias inside of what it names"},
    {"the same key twice", "a: 1\nb: 2\na: 3\n", 10,
     "the key \"a\" appears twice (first in line 8)"},
    {"a key that is a map", "? {a: 1}\n: 2\n", 8, "a key must be a string"},
    {"a merge of a string", "<<: text\n", 8, "<< must name a mapping"},
    {"!!binary", "a: !!binary aGk=\n", 8, "!!binary is not supported"},
    {"a list at the top", "- a\n", 8,
     "expected a resource (apiVersion, kind, metadata), found a list"},
    {"text at the top", "hello\n", 8, "found a string"},
    {"no kind", "apiVersion: v1\n", 8, "kind: required"},
    {"no apiVersion", "kind: Foo\n", 8, "apiVersion: required"},
};
class BrokenDocument : public testing::TestWithParam<BrokenCase> {};
TEST_P(BrokenDocument, IsNamedAndHidesNoOther) {
  const BrokenCase& c = GetParam();
  const Decoded decoded = decode(good + "---\n" + c.text + "---\n" + good, "f.yaml");
  EXPECT_EQ(decoded.resources.size(), 2u) << c.name;
  ASSERT_EQ(decoded.findings.size(), 1u) << c.name;
  EXPECT_EQ(decoded.findings[0].line, c.line) << c.name << ": " << decoded.findings[0].text();
  EXPECT_NE(decoded.findings[0].text().find(c.reason), std::string::npos)
      << c.name << ": " << decoded.findings[0].text();
  EXPECT_EQ(decoded.refused.size(), 1u) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, BrokenDocument, testing::ValuesIn(broken_cases));

TEST(Documents, OfMoreThanTheLimitAreRefused) {
  const std::string big = "kind: X\ndata: " + std::string(limits::document_bytes, 'x') + '\n';
  const Decoded decoded = decode(big + "---\n" + good, "f.yaml");
  EXPECT_EQ(decoded.resources.size(), 1u);
  ASSERT_EQ(decoded.findings.size(), 1u);
  EXPECT_EQ(decoded.findings[0].reason, "the document is larger than 4194304 bytes");
}

TEST(Documents, NestedTooDeepAreRefused) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  const std::string start = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nextra: ";
  EXPECT_EQ(decode(start + nested(limits::yaml_depth - 1), "f").refused.size(), 0u);
  const Decoded deep = decode(start + nested(limits::yaml_depth), "f");
  ASSERT_EQ(deep.findings.size(), 1u);
  EXPECT_EQ(deep.findings[0].reason, "nested more than 100 levels deep");
  EXPECT_EQ(decode(start + nested(100'000), "f").refused.size(), 1u);
}

TEST(Documents, WhoseAliasesGrowBeyondTheLimitAreRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 20; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    bomb += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [";
    for (int times = 0; times < 10; ++times) bomb += (times ? ", " : "") + below;
    bomb += "]\n";
  }
  const Decoded decoded = decode(bomb, "f.yaml");
  ASSERT_EQ(decoded.findings.size(), 1u);
  EXPECT_EQ(decoded.findings[0].reason,
            "more than 1000000 values in a document (aliases are expanded)");
}

TEST(Documents, MergeKeysTakeWhatTheMappingDoesNotSay) {
  const auto map = only<ConfigMap>(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: &base {name: m, namespace: a}\n"
      "data:\n  <<: {one: from-base, two: from-base}\n  one: own\n");
  EXPECT_EQ(map.data.at("one"), "own");
  EXPECT_EQ(map.data.at("two"), "from-base");
}

TEST(Documents, MayBeJson) {
  const auto entry = only<ServiceEntry>(
      "{\n\t\"apiVersion\": \"networking.istio.io/v1\", \"kind\": \"ServiceEntry\",\n"
      "\t\"metadata\": {\"name\": \"x\"},\n"
      "\t\"spec\": {\"hosts\": [\"a.example.com\"], \"ports\": [\n"
      "\t\t{\"number\": 80, \"name\": \"http\", \"protocol\": \"HTTP\"}], \"resolution\": "
      "\"DNS\"}\n}\n");
  EXPECT_EQ(entry.hosts, std::vector<std::string>{"a.example.com"});
  EXPECT_EQ(entry.ports.at(0).line, 5);
}

TEST(Documents, SeveralJsonObjectsMayFollowEachOther) {
  const std::string one = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}})";
  EXPECT_EQ(decode(one + "\n---\n" + one, "f.json").resources.size(), 2u);
}

TEST(Findings, AreOneLineWhateverIsInThem) {
  const Finding finding{Severity::error, "f.yaml", 3, "Secret", "a", "b\nc", "data", "x\x1b[31m"};
  EXPECT_EQ(finding.text(), "f.yaml:3: Secret a/b\\x0ac: data: x\\x1b[31m");
  const Finding bare{Severity::warning, "f.yaml", 0, "", "", "", "", "odd"};
  EXPECT_EQ(bare.text(), "f.yaml: warning: odd");
}

}  // namespace
}  // namespace sallyport::istio
