// For those that look at resources through the eyes of every proxy that they tell apart (validate,
// analyze). Pure.
#pragma once
#include "agent/istio/resources.h"

namespace sallyport::mesh {

// Whether proxies of its namespace may read it otherwise than others do.
bool concerns_proxies(const istio::Resource& resource);
// Of the workloads that it is for; null: all.
const istio::Labels* selector_of(const istio::Resource& resource);

}  // namespace sallyport::mesh
