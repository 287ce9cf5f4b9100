#include "agent/net/combine.h"

namespace sallyport::net {

template Task<std::optional<std::monostate>> with_deadline(Loop&, std::chrono::milliseconds,
                                                           Task<void>);

}  // namespace sallyport::net
