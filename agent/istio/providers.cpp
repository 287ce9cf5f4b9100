// The providers of meshConfig, with the validation of istio/istio:pkg/config/validation/agent
// (validateExtensionProvider), and the look-up of pilot/pkg/model/telemetry.go (fetchProvider).
#include "agent/istio/providers.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/core/ascii.h"
#include "agent/istio/fields.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view provider_kinds[] = {
    "envoyExtAuthzHttp", "envoyExtAuthzGrpc", "zipkin",      "lightstep",     "datadog",
    "stackdriver",       "opencensus",        "skywalking",  "opentelemetry", "prometheus",
    file_access_log,     "envoyHttpAls",      "envoyTcpAls", "envoyOtelAls",  "sds"};

const std::array<ExtensionProvider, 3>& built_in_providers() {
  static const std::array<ExtensionProvider, 3> all{
      ExtensionProvider{.name = "prometheus", .kind = "prometheus"},
      ExtensionProvider{.name = "stackdriver", .kind = "stackdriver"},
      ExtensionProvider{.name = "envoy", .kind = std::string(file_access_log)}};
  return all;
}

void put_json_string(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      (((out += "\\u00") += digits[c >> 4]) += digits[c & 0xf]);
    } else {
      out += c;
    }
  }
  out += '"';
}

// A google.protobuf.Struct holds doubles; what is no JSON number (infinity) is a string there.
void put_json_number(std::string& out, const Node& node) {
  if (const auto whole = integer_value(node.text)) {
    out += std::to_string(*whole);
    return;
  }
  const auto real = real_value(node.text);
  if (!real || *real - *real != 0) return put_json_string(out, node.text);
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), *real).ptr;
  out.append(text.data(), end);
}

// YAML as the JSON that Kubernetes makes of it. Depth: limits::yaml_depth, the tree's own.
void put_json_value(std::string& out, const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      out += "null";
      return;
    case Node::Kind::boolean:
      out += boolean_value(node.text).value_or(false) ? "true" : "false";
      return;
    case Node::Kind::text:
      return put_json_string(out, node.text);
    case Node::Kind::integer:
    case Node::Kind::real:
      return put_json_number(out, node);
    default:
      break;
  }
  const bool keys = node.kind == Node::Kind::mapping;
  out += keys ? '{' : '[';
  for (const Node::Entry& entry : node.entries) {
    if (&entry != &node.entries.front()) out += ',';
    if (keys) {
      put_json_string(out, entry.key);
      out += ':';
    }
    put_json_value(out, *entry.value);
  }
  out += keys ? '}' : ']';
}

void decode_log_format(ExtensionProvider& provider, Fields& format) {
  provider.has_format = true;
  provider.format = format.text("text");
  provider.format_line = format.line();
  const Node* const labels = format.find("labels");
  if (!labels) return;
  if (format.has("text")) format.error("labels", "only one of text, labels can be set");
  if (labels->kind != Node::Kind::mapping) {
    return format.error("labels",
                        "expected an object, found " + std::string(describe(labels->kind)));
  }
  provider.json = true;
  provider.format.clear();
  if (!labels->entries.empty()) put_json_value(provider.format, *labels);
}

void decode_file_access_log(ExtensionProvider& provider, Fields& file) {
  if (auto path = file.text("path"); !path.empty()) provider.path = std::move(path);
  file.object("logFormat", [&](Fields& format) { decode_log_format(provider, format); });
  provider.omit_empty_values = file.boolean("omitEmptyValues").value_or(false);
}

ExtensionProvider decode_provider(Fields& fields) {
  ExtensionProvider provider;
  provider.line = fields.line();
  provider.name = fields.text("name");
  if (provider.name.empty()) fields.error("name", "empty extension provider name");
  for (const std::string_view kind : provider_kinds) {
    if (!fields.has(kind)) continue;
    if (!provider.kind.empty())
      fields.error(kind, "only one of " + provider.kind + ", " + std::string(kind) + " can be set");
    provider.kind = kind;
  }
  if (provider.kind.empty()) fields.error("", "unsupported provider: none that is known is given");
  if (provider.kind == file_access_log) {
    fields.object(file_access_log, [&](Fields& file) { decode_file_access_log(provider, file); });
  }
  return provider;
}

bool same_provider_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ascii::lower_case(a) == ascii::lower_case(b);
}

}  // namespace

std::vector<ExtensionProvider> decode_extension_providers(Fields& mesh) {
  std::vector<ExtensionProvider> out;
  mesh.each("extensionProviders", [&](Fields& fields) {
    auto provider = decode_provider(fields);
    const bool twice = std::any_of(out.begin(), out.end(), [&](const ExtensionProvider& one) {
      return one.name == provider.name;
    });
    if (twice) fields.error("name", "duplicate extension provider name " + provider.name);
    out.push_back(std::move(provider));
  });
  return out;
}

DefaultProviders decode_default_providers(Fields& mesh) {
  DefaultProviders out;
  mesh.object("defaultProviders", [&](Fields& fields) {
    out.access_logging = fields.texts("accessLogging");
    out.metrics = fields.texts("metrics");
    out.tracing = fields.texts("tracing");
  });
  return out;
}

// One that is given takes the place of the built-in one of exactly its name.
const ExtensionProvider* find_provider(const std::vector<ExtensionProvider>& given,
                                       std::string_view name) {
  for (const ExtensionProvider& built_in : built_in_providers()) {
    if (!same_provider_name(built_in.name, name)) continue;
    const auto at = std::find_if(given.begin(), given.end(), [&](const ExtensionProvider& one) {
      return one.name == built_in.name;
    });
    return at == given.end() ? &built_in : &*at;
  }
  const auto at = std::find_if(given.begin(), given.end(), [&](const ExtensionProvider& one) {
    return same_provider_name(one.name, name);
  });
  return at == given.end() ? nullptr : &*at;
}

bool uses_mesh_format(const ExtensionProvider& provider) {
  return provider.name == "envoy" && !provider.has_format && !provider.omit_empty_values;
}

}  // namespace sallyport::istio
