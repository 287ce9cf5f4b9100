// What every resource has.
#pragma once
#include <map>
#include <string>

#include "agent/core/resource_ref.h"

namespace sallyport::istio {

using Labels = std::map<std::string, std::string, std::less<>>;

struct Metadata {
  std::string name;
  std::string namespace_name;  // "default" when the document gives none
  Labels labels;
  Labels annotations;
  ResourceRefPtr ref;  // kind, names, file:line; never null after decoding
};

}  // namespace sallyport::istio
