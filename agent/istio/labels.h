// Labels: what a selector takes, and how they are shown.
#pragma once
#include <string>

#include "agent/istio/metadata.h"

namespace sallyport::istio {

// Whether `labels` has all that `selector` asks for: an empty one takes everything.
bool selects(const Labels& selector, const Labels& labels);
std::string text_of(const Labels& labels);  // "app=sleep,version=v1"

}  // namespace sallyport::istio
