// A directory of a test's own, removed with all that is in it; files written as an editor or as
// Kubernetes would.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace sallyport::test {

class TemporaryDirectory {
public:
  TemporaryDirectory() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "sallyport-config-XXXXXX").native();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + '/' + name; }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  // Written beside and moved over, as careful writers do.
  void replace(const std::string& name, const std::string& text) const {
    write(".new", text);
    std::filesystem::rename(path(".new"), path(name));
  }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, path(name));
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(path(name)); }
  // The link at `name` turned to `target` in one step, as the kubelet turns ..data.
  void turn(const std::string& name, const std::string& target) const {
    link(target, ".turned");
    std::filesystem::rename(path(".turned"), path(name));
  }

private:
  std::string path_;
};

}  // namespace sallyport::test
