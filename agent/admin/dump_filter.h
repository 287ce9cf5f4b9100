// A filter chain's one network filter, as all listeners write it.
#pragma once
#include <string>

#include "agent/admin/json.h"

namespace sallyport::admin {

void dump_filter(JsonWriter& json, std::string_view kind, std::string_view type,
                 auto typed_config) {
  json.array("filters", [&] {
    json.object([&] {
      json.field("name", "envoy.filters.network." + std::string(kind));
      json.object("typed_config", [&] {
        json.field("@type", "type.googleapis.com/envoy.extensions.filters.network." +
                                std::string(kind) + ".v3." + std::string(type));
        typed_config();
      });
    });
  });
}

}  // namespace sallyport::admin
