// Manifests as they come out of a repository, as a cluster would have them: pods of templates, as
// `sallyport inject` leaves them, and Services with an address.
#pragma once
#include "agent/analyze/world.h"
#include "agent/mesh/compile.h"

namespace sallyport::cli {

// Adds a Pod with a stand-in address (mesh/explain.h) for each template, and each Pod that has not
// run yet, unless a Pod with its labels is there that has; gives one to each Service without
// clusterIP, and to one whose pods nobody tells of that address as its endpoint. Headless ones and
// those with an externalName stay as they are. The Pod's ref is the template's.
void place_manifests(const analyze::World& world, mesh::Resources& resources);

}  // namespace sallyport::cli
