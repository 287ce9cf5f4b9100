#include <algorithm>

#include "agent/cli/proxy_config_view.h"

namespace sallyport::cli {
namespace {

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> out{""};
  for (const char c : text) {
    if (c == by) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

}  // namespace

Result<const Json*> section(const Json* dump, std::string_view message) {
  const std::string suffix = "." + std::string(message);
  const auto configs = elements(member(dump, "configs"));
  for (const auto* config : configs) {
    if (text_of(member(config, "@type")).ends_with(suffix)) return config;
  }
  return Error{.fault = Fault::protocol,
               .context = configs.empty() ? "this is no configuration dump: it has no \"configs\""
                                          : "the dump has no " + std::string(message)};
}

std::string managed_by(const Json* message) {
  const auto config = text_of(member(message, "metadata.filter_metadata.istio.config"));
  if (config.empty()) return {};
  if (!config.starts_with("/apis/networking.istio.io/")) return "<unknown>";
  // "/apis/networking.istio.io/v1alpha3/namespaces/default/virtual-service/reviews"
  const auto pieces = split(config, '/');
  return pieces.size() == 8 ? pieces[7] + "." + pieces[5] : "";
}

bool parse_cluster_name(const std::string& name, ClusterName& parts) {
  const auto pieces = split(name, '|');
  if (pieces.size() < 4) return false;
  parts = {pieces[0], pieces[1], pieces[2], pieces[3]};
  return true;
}

std::string describe_path(const Json* match) {
  std::string out;
  const auto add = [&out](const std::string& text) { out += out.empty() ? text : " " + text; };
  if (const auto* prefix = member(match, "prefix")) add(text_of(prefix) + "*");
  if (const auto* prefix = member(match, "path_separated_prefix")) {
    add("PathPrefix:" + text_of(prefix));
  }
  if (const auto* path = member(match, "path")) add(text_of(path));
  if (const auto* regex = member(match, "safe_regex.regex")) add("regex " + text_of(regex));
  return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace sallyport::cli
