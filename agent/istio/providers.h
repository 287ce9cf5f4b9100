// meshConfig.extensionProviders and defaultProviders (istio-api.md 1.12).
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::istio {

class Fields;

inline constexpr std::string_view file_access_log = "envoyFileAccessLog";

struct ExtensionProvider {
  std::string name;
  std::string kind;  // the field that says what it is: file_access_log, "zipkin", ...
  int line = 0;
  // Of file_access_log.
  std::string path = "/dev/stdout";
  bool has_format = false;  // false: Istio's default, or meshConfig's (uses_mesh_format)
  bool json = false;        // logFormat.labels
  std::string format;       // text, or a JSON object; empty: Istio's default of either
  bool omit_empty_values = false;
  int format_line = 0;
};

struct DefaultProviders {
  std::vector<std::string> access_logging, metrics, tracing;
};

// As far as they are good.
std::vector<ExtensionProvider> decode_extension_providers(Fields& mesh);
DefaultProviders decode_default_providers(Fields& mesh);

// Among `given` and Istio's built-in ones (prometheus, stackdriver, envoy), without regard to case.
// Null: there is none of the name.
const ExtensionProvider* find_provider(const std::vector<ExtensionProvider>& given,
                                       std::string_view name);
// Whether accessLogFormat and accessLogEncoding are its format: the built-in "envoy" has none.
bool uses_mesh_format(const ExtensionProvider& provider);

}  // namespace sallyport::istio
