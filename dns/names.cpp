#include "dns/names.h"

#include <algorithm>

#include "agent/core/ascii.h"

namespace sallyport::dns {

namespace {

constexpr std::size_t name_bytes = 253, label_bytes = 63;

}  // namespace

std::string canonical(std::string_view name) {
  std::string out = ascii::lower_case(name);
  if (out.ends_with('.')) out.pop_back();
  return out;
}

std::optional<std::string> name_problem(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return "not a host name: it is empty";
  if (name.size() > name_bytes) {
    return "not a host name: " + std::to_string(name.size()) + " bytes, at most 253 are possible";
  }
  const auto printable = [](char c) { return c > ' ' && c < '\x7f'; };
  if (!std::all_of(name.begin(), name.end(), printable)) {
    return "not a host name: a character that no host name has";
  }
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    if (dot == at) return "not a host name: an empty label";
    if (dot - at > label_bytes) {
      return "not a host name: a label of " + std::to_string(dot - at) +
             " bytes, at most 63 are possible";
    }
    at = dot + 1;
  }
  return std::nullopt;
}

std::vector<std::string> full_names(std::string_view name, const Search& search) {
  if (name.ends_with('.')) return {std::string(name.substr(0, name.size() - 1))};
  std::vector<std::string> out;
  for (const std::string& domain : search.domains) {
    std::string full = std::string(name) + "." + ascii::lower_case(domain);
    if (full.ends_with('.')) full.pop_back();
    if (!name_problem(full)) out.push_back(std::move(full));
  }
  const bool full_already = std::count(name.begin(), name.end(), '.') >= search.ndots;
  out.insert(full_already ? out.begin() : out.end(), std::string(name));
  return out;
}

}  // namespace sallyport::dns
