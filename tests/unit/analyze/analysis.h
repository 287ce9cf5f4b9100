// An analysis of texts, asked as a table.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/analyze/analyze.h"

namespace sallyport::analyze {

constexpr int64_t now = 1'800'000'000;  // a day in 2027, whatever the machine's clock says

inline std::vector<Finding> analysis_of(const std::vector<Source>& sources, int64_t at = now) {
  return analyze(World(sources, nullptr), at);
}

// Documents that several tests have, each with its end.
inline std::string peer_authentication(const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
         "metadata: {name: p, namespace: foo}\nspec: " +
         spec + "\n---\n";
}
inline std::string mesh_config(const std::string& line) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
         "data:\n  mesh: |\n    " +
         line + "\n---\n";
}

inline std::string listed(const std::vector<Finding>& findings) {
  std::string out;
  for (const auto& one : findings) {
    out += std::string(one.code->id) + " " + one.resource() + " " + one.file + ":" +
           std::to_string(one.line) + " " + one.field + ": " + one.message + " | " + one.cure +
           "\n";
  }
  return out.empty() ? "nothing\n" : out;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

// A configuration with one mistake.
struct Broken {
  const char* name;  // the mistake, in words
  const char* yaml;
  const char* code;
  int line;
  const char* field;
  const char* cause;  // words of the message
  const char* cure;   // words of the cure
};

// The finding is there, and nothing else of that level or above.
inline void expect_found(const Broken& c) {
  const auto findings = analysis_of({{"rules.yaml", c.yaml}});
  bool found = false;
  for (const auto& one : findings) {
    if (one.code->id != c.code || one.line != c.line) continue;
    found = true;
    EXPECT_EQ(one.file, "rules.yaml");
    EXPECT_EQ(one.field, c.field) << c.name;
    EXPECT_TRUE(has(one.message, c.cause)) << c.name << "\n" << one.message;
    EXPECT_TRUE(has(one.cure, c.cure)) << c.name << "\n" << one.cure;
  }
  EXPECT_TRUE(found) << c.name << ": " << c.code << " at line " << c.line << "; found\n"
                     << listed(findings);
  for (const auto& one : findings) {
    const bool other = one.code->id != c.code && one.code->level == Level::error;
    EXPECT_FALSE(other) << c.name << ": a second error\n" << listed(findings);
  }
}

}  // namespace sallyport::analyze
