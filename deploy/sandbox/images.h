// Images are names for local commands here: nothing is pulled, containers run the machine's own
// programs.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "deploy/sandbox/manifest.h"

namespace sallyport::sandbox {

struct Image {
  std::vector<std::string> entry_point, arguments;  // as in a Dockerfile
  uint32_t user = 0;
  std::vector<std::pair<std::string, std::string>> links;  // made in the container: path → target
};

class Images {
public:
  Images();  // the built-in ones: nginx, curl, sallyport
  // Adds those of a sample: ConfigMap `sandbox-images`, image → command line, split at blanks.
  void add(const DataObject& config_map);
  // By the last part of the name without tag or digest ("docker.io/library/nginx:1.27" is nginx);
  // null when unknown.
  const Image* find(const std::string& image) const;

private:
  std::map<std::string, Image> images_;
};

}  // namespace sallyport::sandbox
