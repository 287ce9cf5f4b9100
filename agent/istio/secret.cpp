// Secret and ConfigMap. No message may ever hold a value.
#include "agent/core/limits.h"
#include "agent/istio/base64.h"
#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

using Data = std::map<std::string, std::string, std::less<>>;

void check_keys(const Data& data, std::string_view field, Fields& document) {
  for (const auto& [key, value] : data) {
    const bool fits = !key.empty() && key.size() <= 253 &&
                      key.find_first_not_of(
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "0123456789-_.") == std::string::npos;
    if (fits) continue;
    document.error(field, "invalid key " + quoted(key) +
                              ": it must consist of alphanumeric characters, '-', '_' or '.'");
  }
}

// As the API server has it: a bigger one could not be in a cluster.
void check_size(const Data& data, Fields& document) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : data) bytes += value.size();
  if (bytes <= limits::secret_bytes) return;
  document.error("data", "too long: " + std::to_string(bytes) + " bytes, may not be more than " +
                             std::to_string(limits::secret_bytes));
}

Data decode_binary(std::string_view field, Fields& document) {
  Data out;
  for (auto& [key, value] : document.labels(field)) {
    auto bytes = decode_base64(value);
    if (!bytes) {
      document.error(field, "the value of " + quoted(key) + " is not base64 (text goes to " +
                                (field == "data" ? "stringData)" : "data)"));
    }
    out.emplace(key, std::move(bytes).value_or(""));
  }
  return out;
}

}  // namespace

Secret decode_secret(Metadata metadata, Fields& document) {
  Secret secret{std::move(metadata), decode_binary("data", document)};
  for (auto& [key, value] : document.labels("stringData")) secret.data[key] = value;  // wins
  check_keys(secret.data, "data", document);
  check_size(secret.data, document);
  document.ignore({"type", "immutable"});
  return secret;
}

ConfigMap decode_config_map(Metadata metadata, Fields& document) {
  ConfigMap map{std::move(metadata), {}};
  for (auto& [key, value] : document.labels("data")) map.data.emplace(key, value);
  for (auto& [key, value] : decode_binary("binaryData", document)) {
    if (!map.data.emplace(key, value).second) {
      document.error("binaryData", "the key " + quoted(key) + " is in data too");
    }
  }
  check_keys(map.data, "data", document);
  check_size(map.data, document);
  document.ignore({"immutable"});
  return map;
}

}  // namespace sallyport::istio
