#include "deploy/sandbox/volume_dir.h"

#include <filesystem>
#include <set>

#include "deploy/sandbox/process.h"

namespace sallyport::sandbox {
namespace {

namespace fs = std::filesystem;

bool shows(const fs::path& current, const Files& files) {
  std::error_code error;
  std::size_t count = 0;
  for (fs::recursive_directory_iterator entry(current, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file()) ++count;
  }
  if (error || count != files.size()) return false;
  for (const auto& [name, content] : files) {
    if (!fs::exists(current / name) || read_file(current / name) != content) return false;
  }
  return true;
}

std::set<std::string> top_names(const Files& files) {
  std::set<std::string> names;
  for (const auto& [name, content] : files) names.insert(name.substr(0, name.find('/')));
  return names;
}

void publish(const fs::path& directory, const Files& files) {
  const fs::path data = directory / "..data";
  const fs::path before = fs::is_symlink(data) ? fs::read_symlink(data) : fs::path();
  int number = 0;
  if (!before.empty()) number = std::stoi(before.string().substr(2)) + 1;
  const std::string next = ".." + std::to_string(number);
  fs::create_directory(directory / next);
  for (const auto& [name, content] : files) {
    fs::create_directories((directory / next / name).parent_path());
    if (!write_file(directory / next / name, content))
      throw std::runtime_error("can't write " + name);
  }
  fs::create_directory_symlink(next, directory / "..data_tmp");
  fs::rename(directory / "..data_tmp", data);
  const std::set<std::string> names = top_names(files);
  for (const std::string& name : names) {
    if (!fs::is_symlink(directory / name)) fs::create_symlink("..data/" + name, directory / name);
  }
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("..") && !names.count(name)) fs::remove(entry.path());
  }
  if (!before.empty()) fs::remove_all(directory / before);
}

}  // namespace

Result<void> publish_files(const std::string& directory, const Files& files) {
  try {
    if (!shows(fs::path(directory) / "..data", files)) publish(directory, files);
    return {};
  } catch (const std::exception& error) {
    return failure("publish " + directory + ": " + error.what());
  }
}

}  // namespace sallyport::sandbox
