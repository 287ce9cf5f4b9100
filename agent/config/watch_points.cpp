#include "agent/config/watch_points.h"

#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <deque>
#include <filesystem>

namespace sallyport::config {
namespace {

constexpr int links_max = 40;  // Linux' own limit

void add_name(const std::string& directory, const std::string& name, WatchPoints& points) {
  const auto [at, is_new] = points.try_emplace(directory);
  if (is_new || !at->second.empty()) at->second.insert(name);
}

void prepend(std::string_view path, std::deque<std::string>& components) {
  std::deque<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at) parts.emplace_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  components.insert(components.begin(), parts.begin(), parts.end());
}

}  // namespace

void add_directory(const std::string& directory, WatchPoints& points) { points[directory].clear(); }

void add_path(const std::string& path, WatchPoints& points) {
  std::error_code ignored;
  std::string directory = "/";
  std::deque<std::string> components;
  prepend(path, components);
  if (!path.starts_with('/')) prepend(std::filesystem::current_path(ignored).native(), components);
  for (int links = 0; !components.empty();) {
    const std::string name = std::move(components.front());
    components.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      directory = std::filesystem::path(directory).parent_path().native();
      continue;
    }
    const std::string entry = directory.ends_with('/') ? directory + name : directory + '/' + name;
    struct stat status {};
    const bool exists = ::lstat(entry.c_str(), &status) == 0;
    if (!exists || components.empty() || S_ISLNK(status.st_mode)) add_name(directory, name, points);
    if (!exists) return;
    if (!S_ISLNK(status.st_mode)) {
      directory = entry;
      continue;
    }
    char target[PATH_MAX];
    const ssize_t size = ::readlink(entry.c_str(), target, sizeof target);
    if (size <= 0 || ++links > links_max) return;
    if (target[0] == '/') directory = "/";
    prepend({target, static_cast<std::size_t>(size)}, components);
  }
}

}  // namespace sallyport::config
