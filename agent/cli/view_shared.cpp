#include <openssl/evp.h>

#include <algorithm>

#include "agent/cli/proxy_config_view.h"
#include "agent/core/ascii.h"

namespace sallyport::cli {
namespace {

std::vector<std::string> pieces_of(const std::string& text, char by) {
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

std::string decoded(const std::string& base64) {
  std::string out(base64.size() / 4 * 3 + 1, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(base64.data()),
                                   static_cast<int>(base64.size()));
  if (size < 0) return {};
  const auto padded = base64.ends_with("==") ? 2 : base64.ends_with("=") ? 1 : 0;
  out.resize(static_cast<std::size_t>(std::max(0, size - padded)));
  return out;
}

}  // namespace

std::string secret_pem(const Json* secret) {
  auto bytes = text_of(member(secret, "secret.tls_certificate.certificate_chain.inline_bytes"));
  if (bytes.empty())
    bytes = text_of(member(secret, "secret.validation_context.trusted_ca.inline_bytes"));
  return decoded(bytes);
}

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
  const auto pieces = pieces_of(config, '/');
  return pieces.size() == 8 ? pieces[7] + "." + pieces[5] : "";
}

bool parse_cluster_name(const std::string& name, ClusterName& parts) {
  const auto pieces = pieces_of(name, '|');
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
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return ascii::lower(x) == ascii::lower(y); });
}

}  // namespace sallyport::cli
