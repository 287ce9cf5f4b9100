// Paths as Envoy makes them one before any rule sees them (meshConfig.pathNormalization,
// istio-api.md 7 "paths"): two spellings of a path must not meet two rules. Pure.
#pragma once
#include "agent/http/message/head.h"

namespace sallyport::http {

struct PathRules {
  bool resolve = true;          // BASE: escaped unreserved characters, `\`, `.` and `..`
  bool merge_slashes = false;   // MERGE_SLASHES: `//` is `/`
  bool decode_slashes = false;  // DECODE_AND_MERGE_SLASHES: %2F and %5C are slashes, too
};

// Rewrites the path of a parsed request where it lies; it never grows, and its query is moved up,
// not read. `bytes` is head.base, writable. False: a path that is refused (%00), head says why.
bool normalize_path(Head& head, char* bytes, const PathRules& rules);

}  // namespace sallyport::http
