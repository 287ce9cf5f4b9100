// The analysis as a whole: what is right is left alone, order, suppression, the table of codes.
#include "agent/analyze/analyze.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

std::vector<Source> sample(const std::string& name) {
  std::vector<Source> out;
  std::set<std::filesystem::path> paths;
  const auto folder = std::filesystem::path(SALLYPORT_SOURCE_DIR) / "deploy/samples" / name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.insert(entry.path());
  for (const auto& path : paths) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    if (path.extension() == ".yaml") out.push_back({path.filename().string(), text.str()});
  }
  return out;
}

std::set<std::string> codes_of(const std::vector<Finding>& findings) {
  std::set<std::string> out;
  for (const auto& one : findings) out.emplace(one.code->id);
  return out;
}

// What istioctl says of them too: unnamed Service ports, SIMPLE without a CA of one's own.
TEST(Analyze, TheSamplesAreClean) {
  using Codes = std::set<std::string>;
  const auto mtls = analysis_of(sample("egress-mtls"));
  EXPECT_EQ(codes_of(mtls), (Codes{"IST0118"})) << listed(mtls);
  const auto plain = analysis_of(sample("egress-plain"));
  EXPECT_EQ(codes_of(plain), (Codes{})) << listed(plain);
  const auto simple = analysis_of(sample("egress-simple"));
  EXPECT_EQ(codes_of(simple), (Codes{"IST0129"})) << listed(simple);
  const auto mesh = analysis_of(sample("mesh"));
  EXPECT_EQ(codes_of(mesh), (Codes{})) << listed(mesh);
}

constexpr const char* unknown_host = R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: lost
  namespace: shop
  annotations:
    galley.istio.io/analyze-suppress: "%"
spec:
  host: lost.example.com
  trafficPolicy: {tls: {mode: DISABLE}}
)";

std::string with_annotation(const std::string& value) {
  std::string out = unknown_host;
  return out.replace(out.find('%'), 1, value);
}

TEST(Analyze, AnAnnotationSilencesItsResource) {
  EXPECT_EQ(codes_of(analysis_of({{"a.yaml", with_annotation("IST0101")}})),
            (std::set<std::string>{"IST0174"}));
  EXPECT_TRUE(analysis_of({{"a.yaml", with_annotation("IST0101, IST0174")}}).empty());
  EXPECT_TRUE(analysis_of({{"a.yaml", with_annotation("*")}}).empty());
}

TEST(Analyze, ASuppressionNamesCodeAndResourceWithWildcards) {
  const auto findings = analysis_of({{"a.yaml", with_annotation("none")}});
  ASSERT_EQ(findings.size(), 1u);
  const auto& one = findings.front();
  EXPECT_EQ(one.resource(), "DestinationRule lost.shop");
  for (const char* rule : {"IST0174=DestinationRule lost.shop", "IST0174=DestinationRule *.shop",
                           "IST0174=*", "IST0174"})
    EXPECT_TRUE(suppresses(rule, one)) << rule;
  for (const char* rule : {"IST0101=DestinationRule lost.shop", "IST0174=Pod *.shop",
                           "IST0174=DestinationRule lost.default"})
    EXPECT_FALSE(suppresses(rule, one)) << rule;
}

TEST(Analyze, FindingsComeByFileAndLine) {
  const auto findings = analysis_of({{"b.yaml", with_annotation("none")},
                                     {"a.yaml",
                                      "apiVersion: v1\nkind: Service\nmetadata: {name: "
                                      "w}\nspec:\n  ports:\n  - {port: 81, name: other}\n"
                                      "  - {port: 80, name: front}\n"}});
  ASSERT_EQ(findings.size(), 3u) << listed(findings);
  EXPECT_EQ(findings[0].file, "b.yaml") << "in the order given\n" << listed(findings);
  EXPECT_EQ(findings[1].line, 6);
  EXPECT_EQ(findings[2].line, 7) << listed(findings);
}

TEST(Analyze, TheMeshConfigAmongTheResourcesCounts) {
  const std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
      "data:\n  mesh: |\n    rootNamespace: roots\n";
  EXPECT_EQ(World({{"mesh.yaml", text}}, nullptr).mesh().root_namespace, "roots");
}

TEST(Analyze, BrokenTextIsAFindingAndHidesNothingElse) {
  const auto findings = analysis_of({{"a.yaml", "kind: [\n---\n" + with_annotation("none")}});
  const auto codes = codes_of(findings);
  EXPECT_TRUE(codes.contains("IST0106") && codes.contains("IST0174")) << listed(findings);
}

TEST(Analyze, TheCodesAreInOrderOnceAndComplete) {
  std::string_view last;
  for (const auto& row : codes()) {
    EXPECT_LT(last, row.id);
    last = row.id;
    EXPECT_FALSE(row.meaning.empty() || row.cure.empty()) << row.id;
    EXPECT_TRUE(row.id.starts_with("IST") || row.id.starts_with("SLP")) << row.id;
  }
}

}  // namespace
}  // namespace sallyport::analyze
