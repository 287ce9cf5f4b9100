// The fields that this hop has to understand, and those that end here. Inside this module only.
#pragma once
#include "agent/http/message/head.h"

namespace sallyport::http {

enum class Kind : uint8_t { request, response };

// Looks at the field just read (the last one). False: refused, head says why.
bool understand(Head& head, Field& field, Kind kind);

// After the last field: what only all of them together tell. False: refused, head says why.
bool conclude(Head& head, Kind kind);

// The request-target's form and the authority, in target.cpp. False: refused, head says why.
bool read_target(Head& head);
bool check_host(Head& head);  // after the last field
bool is_authority(std::string_view text);

}  // namespace sallyport::http
