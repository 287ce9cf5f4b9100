// All analyzers over all resources.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/analyze/codes.h"
#include "agent/analyze/finding.h"
#include "agent/analyze/world.h"

namespace sallyport::analyze {

// By file in the order given, then by line, then by code; suppressed ones (annotation
// galley.istio.io/analyze-suppress of the resource) are left out. `now`: seconds since 1970.
// `of_proxies`: what proxies say of the resources that compiling them does not find.
std::vector<Finding> analyze(const World& world, int64_t now,
                             const std::vector<istio::Finding>& of_proxies = {});

// "IST0103=Pod *.ns": true where that is about `finding`. `*` stands for any text.
bool suppresses(std::string_view rule, const Finding& finding);

}  // namespace sallyport::analyze
