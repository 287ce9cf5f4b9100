#include "agent/config/source_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

#include "agent/config/file.h"
#include "agent/core/limits.h"

namespace sallyport::config {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool is_source(std::string_view name) {
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

using DirectoryPtr = std::unique_ptr<DIR, CloseDirectory>;

// The paths in it, sorted, hidden ones left out. `prefix`: its own, with a slash.
Result<std::vector<std::string>> list_paths(DIR* directory, const std::string& prefix) {
  std::vector<std::string> paths;
  for (errno = 0; const dirent* entry = ::readdir(directory); errno = 0) {
    if (entry->d_name[0] != '.') paths.push_back(prefix + entry->d_name);
  }
  if (errno != 0) return Error{.fault = Fault::internal, .context = std::strerror(errno)};
  std::sort(paths.begin(), paths.end());
  return paths;
}

// A file system's clock ticks every few milliseconds; those of a network may lag.
constexpr int64_t settle_ns = 2'000'000'000;

int64_t nanoseconds(const timespec& time) {
  return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileStamp stamp_of(const struct stat& status, int64_t now_ns) {
  FileStamp stamp;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.size = status.st_size;
  stamp.modified_ns = nanoseconds(status.st_mtim);
  stamp.changed_ns = nanoseconds(status.st_ctim);
  stamp.settled = std::max(stamp.modified_ns, stamp.changed_ns) + settle_ns < now_ns;
  return stamp;
}

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

SourceFile read_source(std::string path, const FileStamp& stamp) {
  auto text = read_file(path, limits::config_file_bytes);
  if (!text) return {std::move(path), "", text.error().context};
  return {std::move(path), std::move(*text), "", stamp};
}

class Walk {
public:
  explicit Walk(const FindHeld& find_held) : find_held_(find_held) {}
  Result<void> directory(const std::string& path, int depth);
  SourceTree take() { return std::move(tree_); }

private:
  // `name`: the end of `path`, of which `directory` (open) is asked: less to look up.
  void entry(int directory, std::string path, std::size_t name, int depth);
  void subdirectory(const std::string& path, const struct stat& status, int depth);
  void file(std::string path, const struct stat& status);

  const FindHeld& find_held_;
  const int64_t begun_ns_ = now_ns();
  SourceTree tree_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

Result<void> Walk::directory(const std::string& path, int depth) {
  const DirectoryPtr directory(::opendir(path.c_str()));
  if (!directory) return Error{.fault = Fault::internal, .context = std::strerror(errno)};
  const std::string prefix = path.ends_with('/') ? path : path + '/';
  auto paths = list_paths(directory.get(), prefix);
  if (!paths) return paths.error();
  tree_.directories.push_back(path);
  tree_.files.reserve(tree_.files.size() + paths->size());
  for (std::string& one : *paths)
    entry(::dirfd(directory.get()), std::move(one), prefix.size(), depth);
  return {};
}

void Walk::entry(int directory, std::string path, std::size_t name, int depth) {
  struct stat status {};
  if (::fstatat(directory, path.c_str() + name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return;  // gone between listing and looking
  if (S_ISLNK(status.st_mode)) {
    const bool leads_somewhere = ::fstatat(directory, path.c_str() + name, &status, 0) == 0;
    if (leads_somewhere ? S_ISDIR(status.st_mode) || is_source(path) : is_source(path)) {
      tree_.links.push_back(path);
    }
    if (!leads_somewhere) {
      if (is_source(path)) tree_.files.push_back({path, "", std::strerror(errno)});
      return;
    }
  }
  if (S_ISDIR(status.st_mode)) return subdirectory(path, status, depth);
  if (is_source(path)) file(std::move(path), status);
}

void Walk::subdirectory(const std::string& path, const struct stat& status, int depth) {
  if (!seen_.emplace(status.st_dev, status.st_ino).second) return;
  if (depth >= limits::config_directory_depth) {
    tree_.unreadable.push_back({path, "", "directories are nested too deep"});
    return;
  }
  if (const auto read = directory(path, depth + 1); !read) {
    tree_.unreadable.push_back({path, "", read.error().context});
  }
}

void Walk::file(std::string path, const struct stat& status) {
  if (tree_.files.size() >= limits::config_files) {
    if (tree_.files.size() == limits::config_files) {
      tree_.files.push_back(
          {std::move(path), "", "more than " + std::to_string(limits::config_files) + " files"});
    }
    return;
  }
  // Taken before the content is read: what changes meanwhile differs next time.
  const auto stamp = stamp_of(status, begun_ns_);
  if (auto held = find_held_ ? find_held_(path, stamp) : nullptr) {
    tree_.files.push_back({std::move(path), "", "", stamp, std::move(held)});
    return;
  }
  tree_.files.push_back(read_source(std::move(path), stamp));
}

}  // namespace

std::optional<SourceFile> read_entry(const std::string& path) {
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  if (name.starts_with('.')) return std::nullopt;  // a ConfigMap's ..data leads anywhere
  const auto begun = now_ns();
  struct stat status {};
  const bool there = ::lstat(path.c_str(), &status) == 0;
  if (there && (!S_ISREG(status.st_mode) || status.st_nlink > 1)) return std::nullopt;
  if (!is_source(path)) return SourceFile{};
  return there ? std::optional(read_source(path, stamp_of(status, begun))) : std::nullopt;
}

Result<SourceTree> read_tree(const std::string& directory, const FindHeld& find_held) {
  Walk walk(find_held);
  if (const auto read = walk.directory(directory, 0); !read) {
    return while_doing("configuration directory " + directory, read.error());
  }
  return walk.take();
}

}  // namespace sallyport::config
