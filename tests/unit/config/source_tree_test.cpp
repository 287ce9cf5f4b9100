// Which files of a directory are configuration, under which names, in which order.
#include "agent/config/source_tree.h"

#include "agent/config/decoded_files.h"

#include <sys/stat.h>

#include "agent/config/watch_points.h"
#include "agent/core/limits.h"
#include "tests/unit/config/temporary_directory.h"

namespace sallyport::config {
namespace {

using test::TemporaryDirectory;

std::vector<std::string> names(const TemporaryDirectory& root, const SourceTree& tree) {
  std::vector<std::string> out;
  for (const SourceFile& file : tree.files) {
    out.push_back(file.path.substr(root.path().size() + 1) +
                  (file.problem.empty() ? "" : " !" + file.problem));
  }
  return out;
}

TEST(SourceTree, TakesYamlAndJsonBelowTheDirectoryInStableOrder) {
  const TemporaryDirectory root;
  for (const char* name : {"b.yaml", "a.yml", "sub/c.json", "sub/deep/d.yaml", "notes.txt",
                           "x.yaml.bak", ".hidden.yaml", ".git/e.yaml"}) {
    root.write(name, "x");
  }
  const auto tree = read_tree(root.path());
  ASSERT_TRUE(tree);
  EXPECT_EQ(names(root, *tree),
            (std::vector<std::string>{"a.yml", "b.yaml", "sub/c.json", "sub/deep/d.yaml"}));
  EXPECT_EQ(tree->directories.size(), 3u);
}

TEST(SourceTree, ReadsAMountedConfigMapOnceUnderTheNamesThatItsUserKnows) {
  const TemporaryDirectory root;
  root.write("..2026_11_21/rules.yaml", "x");
  root.write("..2026_11_21/more/a.yaml", "y");
  root.link("..2026_11_21", "..data");
  root.link("..data/rules.yaml", "rules.yaml");
  root.link("..data/more", "more");
  const auto tree = read_tree(root.path());
  ASSERT_TRUE(tree);
  EXPECT_EQ(names(root, *tree), (std::vector<std::string>{"more/a.yaml", "rules.yaml"}));
  EXPECT_EQ(tree->links.size(), 2u);
}

TEST(SourceTree, EndsWhereLinksGoRound) {
  const TemporaryDirectory root;
  root.write("a/x.yaml", "x");
  root.link("..", "a/up");
  root.link(".", "a/here");
  root.link("loop", "loop");
  const auto tree = read_tree(root.path());
  ASSERT_TRUE(tree);
  EXPECT_LE(tree->files.size(), 2u);
  EXPECT_GE(tree->files.size(), 1u);
}

TEST(SourceTree, NamesWhatItCannotRead) {
  const TemporaryDirectory root;
  root.write("good.yaml", "x");
  root.link("nowhere", "gone.yaml");
  ASSERT_EQ(::mkfifo(root.path("pipe.yaml").c_str(), 0600), 0);
  root.write("big.yaml", "");
  std::filesystem::resize_file(root.path("big.yaml"), limits::config_file_bytes + 1);  // a hole
  const auto tree = read_tree(root.path());
  ASSERT_TRUE(tree);
  EXPECT_EQ(names(root, *tree),
            (std::vector<std::string>{"big.yaml !larger than 67108864 bytes",
                                      "gone.yaml !No such file or directory", "good.yaml",
                                      "pipe.yaml !not a regular file"}));
}

TEST(SourceTree, WithoutADirectoryIsAnError) {
  const auto tree = read_tree("/nonexistent/config");
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().context,
            "configuration directory /nonexistent/config: No such file or directory");
}

TEST(WatchPoints, CoverEveryLinkOnTheWayToAFile) {
  const TemporaryDirectory root;
  root.write("v1/tls.crt", "x");
  root.link("v1", "..data");
  root.link("..data/tls.crt", "tls.crt");
  root.link(root.path("tls.crt"), "elsewhere.crt");
  WatchPoints points;
  add_path(root.path("elsewhere.crt"), points);
  EXPECT_EQ(points[root.path()], (std::set<std::string>{"elsewhere.crt", "tls.crt", "..data"}));
  EXPECT_EQ(points[root.path("v1")], std::set<std::string>{"tls.crt"});
}

TEST(WatchPoints, OfAMissingFileAreWhereItWouldAppear) {
  const TemporaryDirectory root;
  WatchPoints points;
  add_path(root.path("certs/new/tls.crt"), points);
  EXPECT_EQ(points, (WatchPoints{{root.path(), {"certs"}}}));
  add_directory(root.path(), points);
  add_path(root.path("other"), points);
  EXPECT_EQ(points[root.path()], std::set<std::string>{}) << "every name stays every name";
}

TEST(WatchPoints, OfLinksThatGoRoundAreFew) {
  const TemporaryDirectory root;
  root.link("b", "a");
  root.link("a", "b");
  WatchPoints points;
  add_path(root.path("a"), points);
  EXPECT_EQ(points, (WatchPoints{{root.path(), {"a", "b"}}}));
}

// The stamp of the only file, as a later look would see it.
FileStamp stamp_of_only_file(const TemporaryDirectory& root) {
  const auto tree = read_tree(root.path());
  return tree && tree->files.size() == 1 ? tree->files[0].stamp : FileStamp{};
}

TEST(FileStamps, OfAFileWrittenAMomentAgoSayNothing) {
  const TemporaryDirectory root;
  root.write("a.yaml", "x");
  const auto stamp = stamp_of_only_file(root);
  EXPECT_FALSE(stamp.settled) << "a second write could carry the same times";
  EXPECT_FALSE(stamp == stamp);
}

TEST(FileStamps, OfAnOldFileTellItFromEveryOther) {
  FileStamp one{.device = 1, .inode = 2, .size = 3, .modified_ns = 4, .changed_ns = 5};
  one.settled = true;
  EXPECT_TRUE(one == one);
  for (const auto differ : {&FileStamp::modified_ns, &FileStamp::changed_ns}) {
    auto other = one;
    other.*differ += 1;
    EXPECT_FALSE(one == other);
  }
  auto other = one;
  other.inode = 9;
  EXPECT_FALSE(one == other);
  other = one;
  other.size = 9;
  EXPECT_FALSE(one == other);
}

TEST(SourceTree, DoesNotReadWhatTheCallerHolds) {
  const TemporaryDirectory root;
  root.write("a.yaml", "x");
  const auto held = std::make_shared<const DecodedFile>();
  const auto tree = read_tree(root.path(), [&](const auto&, const FileStamp&) { return held; });
  ASSERT_TRUE(tree && tree->files.size() == 1);
  EXPECT_EQ(tree->files[0].held, held);
  EXPECT_EQ(tree->files[0].text, "");
}

}  // namespace
}  // namespace sallyport::config
