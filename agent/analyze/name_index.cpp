#include "agent/analyze/name_index.h"

#include <algorithm>

namespace sallyport::analyze {
namespace {

std::string mirrored(std::string_view name) { return {name.rbegin(), name.rend()}; }

void append(NameIndex::Numbers& to, const NameIndex::Numbers& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

void NameIndex::add(const std::string& name, std::size_t number) {
  by_name_.emplace(name, number);
  by_mirrored_.emplace(mirrored(name), number);
}

NameIndex::Numbers NameIndex::called(std::string_view name) const {
  Numbers out;
  const auto [first, last] = by_name_.equal_range(name);
  for (auto at = first; at != last; ++at) out.push_back(at->second);
  return out;
}

NameIndex::Numbers NameIndex::covering(std::string_view name) const {
  Numbers out;
  for (std::size_t at = name.starts_with('*') ? 1 : 0; at <= name.size(); ++at) {
    append(out, called('*' + std::string(name.substr(at))));
  }
  return out;
}

NameIndex::Numbers NameIndex::within(std::string_view wildcard) const {
  Numbers out;
  const auto end = mirrored(wildcard.substr(1));
  for (auto at = by_mirrored_.lower_bound(end);
       at != by_mirrored_.end() && at->first.starts_with(end); ++at) {
    out.push_back(at->second);
  }
  return out;
}

NameIndex::Numbers NameIndex::overlapping(std::string_view name) const {
  auto out = called(name);
  append(out, covering(name));
  if (name.starts_with('*')) append(out, within(name));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace sallyport::analyze
