// Which directory entries decide what a path leads to, so that any change on the way is seen: the
// file itself replaced, a symbolic link turned (Kubernetes' `..data`), a directory that appears.
#pragma once
#include <map>
#include <set>
#include <string>

namespace sallyport::config {

// Directory → names in it that matter; no names at all means every name.
using WatchPoints = std::map<std::string, std::set<std::string>>;

// Every name of `directory`.
void add_directory(const std::string& directory, WatchPoints& points);
// The last entry of `path`, each symbolic link on the way (of links too), and, if something is
// missing, its name in the directory where it would appear.
void add_path(const std::string& path, WatchPoints& points);

}  // namespace sallyport::config
