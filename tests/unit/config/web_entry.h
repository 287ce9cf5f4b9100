// The resource that most tests of configuration begin with.
#pragma once
#include <string>

namespace sallyport::config {

inline const std::string entry =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\nspec:\n"
    "  hosts: [web.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  "
    "resolution: DNS\n";

}  // namespace sallyport::config
