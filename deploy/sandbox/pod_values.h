// What a pod's containers are given: environment, arguments, and the content of volumes. Pure.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "deploy/sandbox/config_view.h"
#include "deploy/sandbox/images.h"
#include "deploy/sandbox/manifest.h"

namespace sallyport::sandbox {

struct PodStatus {
  std::vector<std::string> ips;  // IPv4 first
  std::string host_ip;
  std::string node_name = "sandbox";
  unsigned processors = 1;  // for limits.cpu where no limit is set
  // The token of the pod's service account for an audience; empty: there are none.
  std::function<std::string(const std::string& audience, std::chrono::seconds life)> token = {};
};

// A field of the downward API: metadata.name, metadata.labels['app'], status.podIP,
// spec.serviceAccountName, ...
Result<std::string> downward_field(const Pod& pod, const PodStatus& status,
                                   const std::string& path);

// The environment in the order of the manifest, after the image's own; $(NAME) of earlier variables
// expanded. Error: a Secret, ConfigMap or key that is absent and not optional; an unknown field.
Result<std::vector<std::pair<std::string, std::string>>> environment(const Container& container,
                                                                     const Pod& pod,
                                                                     const PodStatus& status,
                                                                     const Manifests& manifests);

// What runs: command (else the image's entry point) and args (else the image's), $(NAME) expanded.
// Error: no command, and an image that the sandbox doesn't know.
Result<std::vector<std::string>> command_line(
    const Container& container, const Image* image,
    const std::vector<std::pair<std::string, std::string>>& environment);

// The files of a volume (empty for emptyDir and hostPath).
// Error: a Secret, ConfigMap or key that is absent and not optional.
Result<Files> volume_files(const Volume& volume, const Pod& pod, const PodStatus& status,
                           const Manifests& manifests);

// "$(NAME)" replaced where NAME is known, "$$(NAME)" is "$(NAME)", all else as it is (Kubernetes'
// rule).
std::string expand(const std::string& text,
                   const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace sallyport::sandbox
