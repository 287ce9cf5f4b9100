// Rules of VirtualServices that are never used, because one before takes what they ask for.
#include "agent/analyze/checks.h"
#include "agent/istio/unused_rules.h"

namespace sallyport::analyze {

void check_matches(Checks& checks) {
  for (const auto& service : checks.world.all_read<istio::VirtualService>()) {
    for (const auto& unused : istio::unused_rules(*service.value)) {
      checks.add(unused.whole ? "IST0130" : "IST0131", *service.object, unused.field,
                 "VirtualService " + unused.reason + ".");
    }
  }
}

}  // namespace sallyport::analyze
