// Host names, wildcards among them, each with a number: who is called so, who covers whom.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::analyze {

class NameIndex {
public:
  using Numbers = std::vector<std::size_t>;
  void add(const std::string& name, std::size_t number);
  Numbers called(std::string_view name) const;      // in the order added
  Numbers covering(std::string_view name) const;    // wildcards that hold it, the longest first
  Numbers within(std::string_view wildcard) const;  // what it holds, itself too
  // All that overlap with it, as Istio's host.Name.Matches has it; each once, sorted.
  Numbers overlapping(std::string_view name) const;

private:
  using Names = std::multimap<std::string, std::size_t, std::less<>>;
  Names by_name_;
  Names by_mirrored_;  // names with a common end stand together there
};

}  // namespace sallyport::analyze
