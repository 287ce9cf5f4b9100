#include "agent/config/secret_keys.h"

#include "agent/config/file.h"
#include "agent/core/limits.h"

namespace sallyport::config {
namespace {

std::string_view value_of(const SecretData& data, std::string_view key) {
  const auto at = data.find(key);
  return at == data.end() ? std::string_view() : std::string_view(at->second);
}

// The first three names, as Istio lists them; never a value.
std::string names_of(const SecretData& data) {
  std::string names;
  std::size_t shown = 0;
  for (const auto& [key, value] : data) {
    if (shown == 3) return names + ", and " + std::to_string(data.size() - shown) + " more...";
    names += (shown++ ? ", " : "") + key;
  }
  return names.empty() ? "nothing" : names;
}

Result<std::string> read_one(const std::string& path) {
  auto text = read_file(path, limits::pem_file_bytes);
  if (!text) return missing_secret(path + ": " + text.error().context);
  return text;
}

}  // namespace

Result<Pem> certificate_in(const SecretData& data) {
  constexpr std::pair<std::string_view, std::string_view> styles[] = {{"cert", "key"},
                                                                      {"tls.crt", "tls.key"}};
  for (const auto& [certificate, key] : styles) {
    const std::string_view first = value_of(data, certificate), second = value_of(data, key);
    if (!first.empty() && !second.empty()) return Pem{std::string(first), std::string(second)};
  }
  for (const auto& [certificate, key] : styles) {
    if (!data.contains(certificate) || !data.contains(key)) continue;
    return missing_secret("found keys \"" + std::string(certificate) + "\" and \"" +
                          std::string(key) + "\", but they were empty");
  }
  return missing_secret(
      "found secret, but didn't have expected keys (cert and key) or (tls.crt and tls.key); "
      "found: " +
      names_of(data));
}

Result<Pem> roots_in(const SecretData& data) {
  constexpr std::pair<std::string_view, std::string_view> styles[] = {{"cacert", "crl"},
                                                                      {"ca.crt", "ca.crl"}};
  for (const auto& [ca, crl] : styles) {
    const std::string_view first = value_of(data, ca);
    if (!first.empty()) return Pem{std::string(first), std::string(value_of(data, crl))};
  }
  for (const auto& [ca, crl] : styles) {
    if (data.contains(ca))
      return missing_secret("found key \"" + std::string(ca) + "\", but it was empty");
  }
  return missing_secret("found secret, but didn't have expected keys cacert or ca.crt; found: " +
                        names_of(data));
}

std::vector<std::string> paths_in(std::string_view vault_name) {
  std::vector<std::string> paths;
  std::string_view rest =
      vault_name.substr(std::min(vault_name.find(':'), vault_name.size() - 1) + 1);
  while (true) {
    const std::size_t tilde = rest.find('~');
    paths.emplace_back(rest.substr(0, tilde));
    if (tilde == std::string_view::npos) return paths;
    rest.remove_prefix(tilde + 1);
  }
}

Result<Pem> read_pem(const std::vector<std::string>& paths) {
  const auto read_all = [&paths]() -> Result<Pem> {
    Pem pem;
    auto first = read_one(paths.front());
    if (!first) return first.error();
    pem.first = std::move(*first);
    if (paths.size() < 2) return pem;
    auto second = read_one(paths[1]);
    if (!second) return second.error();
    // Being written, or a mistake: a CRL that is asked for is never left out silently.
    if (second->empty()) return missing_secret(paths[1] + " is empty");
    pem.second = std::move(*second);
    return pem;
  };
  auto pem = read_all();
  // A pair that changes all the time is taken as it is: it is checked, and a later event reads it
  // again.
  for (int reads = 1; pem && paths.size() > 1 && reads < limits::pem_reads; ++reads) {
    auto again = read_all();
    const bool same = again && again->first == pem->first && again->second == pem->second;
    pem = std::move(again);
    if (same) break;
  }
  return pem;
}

Error missing_secret(std::string reason) {
  return {.fault = Fault::missing_secret, .context = std::move(reason)};
}

}  // namespace sallyport::config
