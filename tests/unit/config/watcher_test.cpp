// What the events of the kernel say has to be looked at.
#include "agent/config/watcher.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "tests/unit/config/temporary_directory.h"

namespace sallyport::config {
namespace {

class ConfigWatcher : public testing::Test {
protected:
  ConfigWatcher() {
    files_.write("config/a.yaml", "a");
    WatchPoints points;
    add_directory(files_.path("config"), points);
    add_path(files_.path("mesh.yaml"), points);
    EXPECT_TRUE(watcher_.watch(points));
  }
  // Of the next burst.
  Touched touched() {
    told_.reset();
    while (!told_) io_.run_one();
    return *told_;
  }

  test::TemporaryDirectory files_;
  boost::asio::io_context io_;
  std::optional<Touched> told_;
  Watcher watcher_{io_, [this](const Touched& touched) { told_ = touched; }};
};

TEST_F(ConfigWatcher, NamesTheFilesOfTheDirectory) {
  files_.write("config/a.yaml", "b");
  files_.replace("config/b.yaml", "b");  // written beside the directory, moved into it
  const auto now = touched();
  EXPECT_FALSE(now.all);
  EXPECT_EQ(now.paths,
            (std::set<std::string>{files_.path("config/a.yaml"), files_.path("config/b.yaml")}));
}

TEST_F(ConfigWatcher, ForgetsABurstOnceItIsTold) {
  files_.write("config/a.yaml", "b");
  touched();
  files_.write("config/c.yaml", "c");
  EXPECT_EQ(touched().paths, std::set<std::string>{files_.path("config/c.yaml")});
}

TEST_F(ConfigWatcher, ADirectoryOrAnythingWatchedByNameMeansAll) {
  std::filesystem::create_directory(files_.path("config/new"));
  EXPECT_TRUE(touched().all);
  files_.write("mesh.yaml", "{}");
  EXPECT_TRUE(touched().all);
}

}  // namespace
}  // namespace sallyport::config
