// What may differ since the last load.
#pragma once
#include <set>
#include <string>

namespace sallyport::config {

struct Touched {
  bool all = true;              // anything
  std::set<std::string> paths;  // else: only entries of the watched directories, by these paths

  void add(const Touched& more) {
    all |= more.all;
    paths.insert(more.paths.begin(), more.paths.end());
  }
};

}  // namespace sallyport::config
