// What a document that can't be parsed meant to protect: kinds, names and hosts, found line by
// line. A guess, used only to close those hosts (fail closed), never to open anything.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::istio {

struct Scraped {
  std::string kind, namespace_name, name;
  std::vector<std::string> hosts;
  int line = 0;
};

// One for each `kind:` of a kind that decode() knows. `first_line`: the file's line of the first
// line of `text`.
std::vector<Scraped> scrape(std::string_view text, int first_line);

}  // namespace sallyport::istio
