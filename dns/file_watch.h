// Whether a small file was replaced or written since it was last looked at, by stat(2).
#pragma once
#include <sys/stat.h>

#include <string>
#include <tuple>

namespace sallyport::dns {

class FileWatch {
public:
  explicit FileWatch(std::string path) : path_(std::move(path)), seen_(stamp()) {}
  bool changed() {
    const Stamp now = stamp();
    if (now == seen_) return false;
    seen_ = now;
    return true;
  }
  const std::string& path() const { return path_; }

private:
  using Stamp = std::tuple<ino_t, off_t, time_t, long>;
  Stamp stamp() const {
    struct stat is {};
    if (::stat(path_.c_str(), &is) != 0) return {};
    return {is.st_ino, is.st_size, is.st_mtim.tv_sec, is.st_mtim.tv_nsec};
  }

  std::string path_;
  Stamp seen_;
};

}  // namespace sallyport::dns
