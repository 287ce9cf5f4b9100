// What may differ since the last load.
#pragma once
#include <set>
#include <string>

namespace sallyport::config {

struct Touched {
  bool all = true;              // anything
  std::set<std::string> paths;  // else: only entries of the watched directories, by these paths
};

}  // namespace sallyport::config
