// The rules of this tree that a compiler does not know: lengths, include directions, coroutine
// lambdas, what CMake reaches. Reads the sources as text.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::size_t columns_most = 100;
constexpr std::size_t file_lines_most = 400, test_file_lines_most = 600, function_lines_most = 70;

const fs::path root = SALLYPORT_SOURCE_DIR;
const std::vector<std::string> folders = {"agent", "iptables", "tls",  "dns",
                                          "certs", "deploy",   "tests"};

struct Source {
  std::string path;  // from the root
  std::vector<std::string> lines;
  bool is_header() const { return path.ends_with(".h"); }
  bool is_test() const { return path.starts_with("tests/"); }
};

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> found;
    for (const auto& folder : folders) {
      for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
        const auto extension = entry.path().extension();
        if (!entry.is_regular_file() || (extension != ".cpp" && extension != ".h")) continue;
        found.push_back({fs::relative(entry.path(), root).string(), lines_of(entry.path())});
      }
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    return found;
  }();
  return all;
}

std::string place(const Source& source, std::size_t index) {
  return source.path + ":" + std::to_string(index + 1);
}

// Columns as a reader sees them: a UTF-8 character is one.
std::size_t columns_of(const std::string& line) {
  return std::size_t(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(Tidy, NoLineIsLongerThanAHundredColumns) {
  for (const auto& source : sources())
    for (std::size_t i = 0; i < source.lines.size(); i++)
      EXPECT_LE(columns_of(source.lines[i]), columns_most) << place(source, i);
}

TEST(Tidy, NoLineEndsInBlanksAndNoneHasATab) {
  for (const auto& source : sources())
    for (std::size_t i = 0; i < source.lines.size(); i++) {
      const auto& line = source.lines[i];
      EXPECT_FALSE(line.ends_with(' ') || line.find('\t') != line.npos) << place(source, i);
    }
}

TEST(Tidy, NoFileIsTooLong) {
  for (const auto& source : sources())
    EXPECT_LE(source.lines.size(), source.is_test() ? test_file_lines_most : file_lines_most)
        << source.path;
}

// A definition begins on a line of that indent that ends in `{`, and ends with that indent's `}`.
void expect_short_functions(const Source& source, const std::string& indent) {
  static const std::regex no_function(
      R"(^\s*(namespace|struct|class|enum|union|extern|const|constexpr|static const|TEST).*\{$)"
      R"(|^\s*inline constexpr.*\{$|^\s*\}.*|.*=\s*\{$)");
  for (std::size_t i = 0; i < source.lines.size(); i++) {
    const auto& line = source.lines[i];
    const bool begins = line.starts_with(indent) && line.size() > indent.size() &&
                        line[indent.size()] != ' ' && line.ends_with('{');
    if (!begins || std::regex_match(line, no_function)) continue;
    for (std::size_t end = i + 1; end < source.lines.size(); end++) {
      if (!source.lines[end].starts_with(indent + "}")) continue;
      EXPECT_LE(end - i + 1, function_lines_most)
          << place(source, i) << ": a function fits a screen";
      break;
    }
  }
}

TEST(Tidy, FunctionsFitAScreen) {
  for (const auto& source : sources()) {
    expect_short_functions(source, "");
    expect_short_functions(source, "  ");
  }
}

// What a parameter takes; what converts into each other is one.
std::string taken_by(std::string parameter) {
  static const std::regex ending(R"(\s*=.*$)"), name(R"(([\s&*])\w+$)");
  static const std::regex noise(R"(\bconst\b|\bstd::|[&\s])");
  static const std::regex texts(R"(string|string_view|char\*)");
  static const std::regex numbers(R"(u?int\d*_t|size_t|int|unsigned|double|bool|char)");
  parameter = std::regex_replace(parameter, ending, "");
  parameter = std::regex_replace(std::regex_replace(parameter, name, "$1"), noise, "");
  if (std::regex_match(parameter, texts)) return "a text";
  return std::regex_match(parameter, numbers) ? "a number" : parameter;
}

// "name(a text, Node)" of the function whose definition begins at `line`; empty: none does.
std::string signature(const Source& source, std::size_t line) {
  static const std::regex begin(R"(^(?!using|return|static_assert)\w[\w:<>,&*\s]*[\s&*](\w+)\()");
  std::smatch found;
  if (!std::regex_search(source.lines[line], found, begin)) return {};
  std::string rest = source.lines[line].substr(std::size_t(found.length()));
  while (rest.find(')') == rest.npos && line + 1 < source.lines.size())
    rest += source.lines[++line];
  std::string out = found[1].str() + "(", parameter;
  int depth = 0;
  for (const char c : rest) {
    if (depth == 0 && (c == ',' || c == ')')) {
      out += taken_by(parameter) + (c == ',' ? ", " : ")");
      parameter.clear();
      if (c == ')') break;
    } else {
      depth += c == '<' || c == '(' ? 1 : c == '>' || c == ')' ? -1 : 0;
      if (c != ' ' || !parameter.empty()) parameter += c;
    }
  }
  return out;
}

// Release and tests compile sources of a module together (CMakeLists.txt): which of two functions
// that take the same were called would depend on who is compiled with whom.
TEST(Tidy, AnonymousNamespacesOfAModuleHaveEachFunctionOnce) {
  std::map<std::string, std::string> first;
  for (const auto& source : sources()) {
    if (source.is_test() || source.is_header()) continue;
    const std::string module = fs::path(source.path).parent_path().string();
    bool anonymous = false;
    for (std::size_t i = 0; i < source.lines.size(); i++) {
      const auto& line = source.lines[i];
      if (line == "namespace {" || line == "}  // namespace") anonymous = line.ends_with('{');
      const std::string found = anonymous ? signature(source, i) : std::string();
      if (found.empty()) continue;
      const auto [at, fresh] = first.try_emplace(module + ": " + found, source.path);
      EXPECT_TRUE(fresh || at->second == source.path)
          << place(source, i) << ": " << found << " is in " << at->second << ", too";
    }
  }
  EXPECT_GT(first.size(), 500u);
}

// A lambda that captures dies before the coroutine that its body made (C++ Core Guidelines CP.51).
TEST(Tidy, NoCoroutineIsALambdaWithCaptures) {
  static const std::regex capture(
      R"([=(,\s]\[(&|=|this|\w|\*)[^\]\[]*\]\s*(\([^()]*\))?[^{};]*\{)");
  for (const auto& source : sources()) {
    std::string text;
    for (const auto& line : source.lines) text += line + "\n";
    for (auto at = std::sregex_iterator(text.begin(), text.end(), capture);
         at != std::sregex_iterator(); ++at) {
      std::size_t end = std::size_t(at->position() + at->length());
      for (int depth = 1; depth > 0 && end < text.size(); end++)
        depth += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
      const std::string body =
          text.substr(std::size_t(at->position()), end - std::size_t(at->position()));
      const auto line = std::count(text.begin(), text.begin() + at->position(), '\n');
      EXPECT_EQ(body.find("co_"), body.npos) << place(source, std::size_t(line));
    }
  }
}

// Asio and its like cost seconds a source. A header may use them only if no other header includes
// it and no other folder does, but for a test that plays its part with it.
TEST(Tidy, HeavyHeadersStayOutOfOurHeaders) {
  static const std::regex heavy(R"(#include <(boost/(asio|beast|json|url)|spdlog|yaml-cpp|CLI).*)");
  for (const auto& header : sources()) {
    if (!header.is_header() || header.is_test()) continue;
    const auto& lines = header.lines;
    const auto matches = [](const std::string& line) { return std::regex_match(line, heavy); };
    if (std::none_of(lines.begin(), lines.end(), matches)) continue;
    const std::string include = "#include \"" + header.path + "\"";
    const auto folder = fs::path(header.path).parent_path();
    for (const auto& user : sources()) {
      if (std::find(user.lines.begin(), user.lines.end(), include) == user.lines.end()) continue;
      const bool near = user.is_test() || fs::path(user.path).parent_path() == folder;
      EXPECT_TRUE(!user.is_header() && near)
          << header.path << " is heavy, and used by " << user.path;
    }
  }
}

// ---- Modules, as CMakeLists.txt states them.

struct Module {
  std::string folder;
  std::set<std::string> depends;
};

const std::map<std::string, Module>& modules() {
  static const std::map<std::string, Module> all = [] {
    std::ostringstream text;
    text << std::ifstream(root / "CMakeLists.txt").rdbuf();
    const std::string cmake = text.str();
    static const std::regex declared(R"(\nsallyport_module\((\w+) (\S+)\s([^)]*)\))");
    static const std::regex dependency(R"(sallyport::(\w+))");
    std::map<std::string, Module> found;
    for (auto at = std::sregex_iterator(cmake.begin(), cmake.end(), declared);
         at != std::sregex_iterator(); ++at) {
      Module module{(*at)[2], {}};
      const std::string rest = (*at)[3];
      for (auto d = std::sregex_iterator(rest.begin(), rest.end(), dependency);
           d != std::sregex_iterator(); ++d)
        module.depends.insert((*d)[1]);
      found[(*at)[1]] = module;
    }
    return found;
  }();
  return all;
}

// Of a path from the root; empty: in no module.
std::string module_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  for (const auto& [name, module] : modules())
    if (module.folder == folder) return name;
  return "";
}

std::set<std::string> reachable(const std::string& from) {
  std::set<std::string> seen{from};
  std::vector<std::string> open{from};
  while (!open.empty()) {
    const auto name = open.back();
    open.pop_back();
    for (const auto& next : modules().at(name).depends)
      if (seen.insert(next).second) open.push_back(next);
  }
  return seen;
}

TEST(Tidy, CMakeDeclaresTheModules) { EXPECT_GE(modules().size(), 18u); }

TEST(Tidy, AnIncludeFollowsTheArrowsBetweenModules) {
  static const std::regex include(R"re(#include "([^"]+)".*)re");
  for (const auto& source : sources()) {
    const auto from = module_of(source.path);
    if (from.empty() || source.path.ends_with("main.cpp")) continue;
    const auto allowed = reachable(from);
    for (std::size_t i = 0; i < source.lines.size(); i++) {
      std::smatch match;
      if (!std::regex_match(source.lines[i], match, include)) continue;
      const auto to = module_of(match[1]);
      EXPECT_FALSE(to.empty()) << place(source, i) << ": not from the root, or in no module";
      EXPECT_TRUE(to.empty() || allowed.contains(to))
          << place(source, i) << ": " << from << " may not use " << to;
    }
  }
}

TEST(Tidy, ModulesHaveNoCycle) {
  for (const auto& [name, module] : modules())
    for (const auto& next : module.depends)
      EXPECT_FALSE(reachable(next).contains(name)) << name << " and " << next;
}

TEST(Tidy, EverySourceIsReachedByCMake) {
  for (const auto& source : sources()) {
    if (source.is_test() || source.path.ends_with("main.cpp")) continue;
    EXPECT_FALSE(module_of(source.path).empty()) << source.path;
  }
}

TEST(Tidy, EveryModuleSaysWhatItIsFor) {
  for (const auto& [name, module] : modules())
    EXPECT_TRUE(fs::exists(root / module.folder / "README.md")) << module.folder;
}

TEST(Tidy, TheTopLevelIsTheOwners) {
  const std::set<std::string> allowed = {"CMakeLists.txt",
                                         "CMakePresets.json",
                                         "LICENSE",
                                         "README.md",
                                         "agent",
                                         "iptables",
                                         "tls",
                                         "dns",
                                         "certs",
                                         "deploy",
                                         "tests",
                                         "build"};
  for (const auto& entry : fs::directory_iterator(root)) {
    const auto name = entry.path().filename().string();
    EXPECT_TRUE(name.starts_with('.') || allowed.contains(name)) << name;
  }
}

// Links between our own pages lead somewhere: the feature table's tests above all.
TEST(Tidy, LinksInThePagesLeadToFiles) {
  static const std::regex link(R"(\]\(([^)#:]+)(#[^)]*)?\))");
  std::vector<fs::path> pages{root / "README.md"};
  for (const auto& folder : folders)
    for (const auto& entry : fs::recursive_directory_iterator(root / folder))
      if (entry.path().extension() == ".md") pages.push_back(entry.path());
  for (const auto& page : pages)
    for (const auto& line : lines_of(page))
      for (auto at = std::sregex_iterator(line.begin(), line.end(), link);
           at != std::sregex_iterator(); ++at)
        EXPECT_TRUE(fs::exists(page.parent_path() / std::string((*at)[1])))
            << page << ": " << (*at)[1];
}

}  // namespace
