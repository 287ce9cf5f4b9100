// -o json and -o yaml.
#pragma once
#include <string>
#include <vector>

#include "agent/cli/json_document.h"

namespace sallyport::cli {

enum class Output : uint8_t { table, json, yaml };

enum class Names : uint8_t {
  as_they_are,
  camel_case,  // as istioctl prints Envoy's messages: "connect_timeout" → "connectTimeout"
};

// Ends with a line feed. YAML has its names sorted, as istioctl's.
std::string print(const Json& value, Output output, Names names);
std::string print_list(const std::vector<const Json*>& values, Output output, Names names);

}  // namespace sallyport::cli
