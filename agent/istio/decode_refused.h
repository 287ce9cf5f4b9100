// What can be read of resources that decode() refuses: for analyses, never for traffic.
#pragma once
#include <string_view>
#include <vector>

#include "agent/istio/resources.h"

namespace sallyport::istio {

// Of all documents of `text`; what is wrong in them is missing, empty or zero.
std::vector<Resource> decode_refused(std::string_view text, std::string_view file);

}  // namespace sallyport::istio
