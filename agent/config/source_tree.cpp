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

// Its names, sorted, hidden ones left out.
Result<std::vector<std::string>> list_names(DIR* directory) {
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = ::readdir(directory); errno = 0) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) return Error{.fault = Fault::internal, .context = std::strerror(errno)};
  std::sort(names.begin(), names.end());
  return names;
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

class Walk {
public:
  explicit Walk(const IsHeld& is_held) : is_held_(is_held) {}
  Result<void> directory(const std::string& path, int depth);
  SourceTree take() { return std::move(tree_); }

private:
  struct Name {
    int directory;  // open; asked for the name alone, which is less to look up than the whole path
    const std::string& prefix;  // its path, with a slash
    const std::string& name;
  };
  void entry(const Name& name, int depth);
  void subdirectory(const std::string& path, const struct stat& status, int depth);
  void file(std::string path, const struct stat& status);

  const IsHeld& is_held_;
  const int64_t begun_ns_ = now_ns();
  SourceTree tree_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

Result<void> Walk::directory(const std::string& path, int depth) {
  const DirectoryPtr directory(::opendir(path.c_str()));
  if (!directory) return Error{.fault = Fault::internal, .context = std::strerror(errno)};
  const auto names = list_names(directory.get());
  if (!names) return names.error();
  tree_.directories.push_back(path);
  tree_.files.reserve(tree_.files.size() + names->size());
  const std::string prefix = path.ends_with('/') ? path : path + '/';
  for (const std::string& name : *names) entry({::dirfd(directory.get()), prefix, name}, depth);
  return {};
}

void Walk::entry(const Name& name, int depth) {
  struct stat status {};
  const char* const text = name.name.c_str();
  if (::fstatat(name.directory, text, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return;  // gone between listing and looking
  std::string path = name.prefix + name.name;
  if (S_ISLNK(status.st_mode)) {
    const bool leads_somewhere = ::fstatat(name.directory, text, &status, 0) == 0;
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
  if (is_held_ && is_held_(path, stamp)) {
    tree_.files.push_back({std::move(path), "", "", stamp, true});
    return;
  }
  auto text = read_file(path, limits::config_file_bytes);
  if (text) {
    tree_.files.push_back({std::move(path), std::move(*text), "", stamp});
  } else {
    tree_.files.push_back({std::move(path), "", text.error().context});
  }
}

}  // namespace

Result<SourceTree> read_tree(const std::string& directory, const IsHeld& is_held) {
  Walk walk(is_held);
  if (const auto read = walk.directory(directory, 0); !read) {
    return while_doing("configuration directory " + directory, read.error());
  }
  return walk.take();
}

}  // namespace sallyport::config
