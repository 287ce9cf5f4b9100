#include "deploy/sandbox/images.h"

#include <sstream>

namespace sallyport::sandbox {

Images::Images() {
  // nginx's own image sends its logs to the container's (nginxinc/docker-nginx, Dockerfile).
  images_["nginx"] = {
      {},
      {"nginx", "-g", "daemon off;"},
      0,
      {{"/var/log/nginx/access.log", "/dev/stdout"}, {"/var/log/nginx/error.log", "/dev/stderr"}}};
  images_["curl"] = {{}, {"sleep", "infinity"}, 100, {}};  // curlimages/curl runs as uid 100
  images_["sallyport"] = {{"/usr/local/bin/sallyport"}, {}, 0, {}};
}

void Images::add(const DataObject& config_map) {
  for (const auto& [name, line] : config_map.data) {
    Image image;
    std::istringstream words(line);
    for (std::string word; words >> word;) image.arguments.push_back(word);
    images_[name] = image;
  }
}

const Image* Images::find(const std::string& image) const {
  std::string name = image.substr(image.rfind('/') + 1);
  name = name.substr(0, name.find_first_of("@:"));
  const auto known = images_.find(name);
  return known == images_.end() ? nullptr : &known->second;
}

}  // namespace sallyport::sandbox
