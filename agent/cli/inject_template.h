// What `inject` puts into a pod, as JSON texts: Istio's injection template, as far as this data
// plane has a use for it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::cli {

struct TemplateFacts {  // about the pod
  std::string image;
  std::string namespace_name, workload, workload_kind;  // "Deployment"; "Pod" for a lone one
  std::map<std::string, std::string> labels, annotations;
  std::vector<std::string> container_names;
};

struct TemplateParts {
  std::vector<std::string> init_containers, containers, volumes;  // one JSON object each
  std::map<std::string, std::string> labels, annotations;         // to add
};

// Error: an annotation that can't be honoured.
Result<TemplateParts> fill_template(const TemplateFacts& facts);

}  // namespace sallyport::cli
