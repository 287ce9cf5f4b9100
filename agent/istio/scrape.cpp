#include "agent/istio/scrape.h"

#include "agent/istio/kind_names.h"
#include "agent/istio/names.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view around_a_value = " \t\r,[]{}\"'";

std::string_view trim(std::string_view text) {
  const std::size_t from = text.find_first_not_of(around_a_value);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(around_a_value) - from + 1);
}

// "key: value", also as JSON writes it; the key without dashes and quotes.
struct Pair {
  std::string_view key, value;
};

Pair split_pair(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::string_view key = line.substr(0, colon);
  const std::size_t from = key.find_first_not_of(" \t-\"'{");
  if (from == std::string_view::npos) return {};
  std::string_view value = line.substr(colon + 1);
  const std::size_t comment = value.find(" #");
  return {trim(key.substr(from)), value.substr(0, comment)};
}

void add_hosts(std::string_view list, std::vector<std::string>& hosts) {
  constexpr std::size_t hosts_max = 256;  // Istio's limit of a ServiceEntry
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    std::string host = lower_case(trim(list.substr(at, comma - at)));
    if (!wildcard_domain_problem(host) && hosts.size() < hosts_max)
      hosts.push_back(std::move(host));
    at = comma + 1;
  }
}

class Scraper {
public:
  // Flow style is read piece by piece, a list in brackets as one.
  void line(std::string_view line, int number) {
    std::size_t begin = 0;
    int brackets = 0;
    for (std::size_t at = 0; at < line.size(); ++at) {
      const char c = line[at];
      if (c == '[') ++brackets;
      if (c == ']') brackets = std::max(brackets - 1, 0);
      if (c != '{' && c != '}' && (c != ',' || brackets > 0)) continue;
      piece(line.substr(begin, at - begin), number);
      begin = at + 1;
      brackets = 0;
    }
    piece(line.substr(begin), number);
  }
  std::vector<Scraped> take() {
    finish_gateways();
    return std::move(found_);
  }

private:
  void piece(std::string_view line, int number) {
    const std::string_view bare = trim(line);
    if (bare.empty() || bare.starts_with('#')) return;
    const Pair pair = split_pair(line);
    if (in_hosts_ && pair.key.empty()) {
      const std::size_t dash = line.find('-');
      return add_hosts(line.substr(dash < line.find_first_not_of(" \t-") ? dash + 1 : 0),
                       found_.back().hosts);
    }
    if (in_gateways_ && pair.key.empty()) return add_gateways(line);
    in_hosts_ = in_gateways_ = false;
    if (pair.key == "kind") return begin(trim(pair.value), number);
    if (!found_.empty() && open_) read(pair, found_.back());
  }
  void begin(std::string_view kind, int number) {
    finish_gateways();
    open_ = is_known_kind(kind);
    if (open_) found_.push_back({std::string(kind), "default", "", {}, number});
  }
  void read(const Pair& pair, Scraped& resource) {
    const std::string_view value = trim(pair.value);
    if (pair.key == "name" && resource.name.empty() && !resource_name_problem(value)) {
      resource.name = value;
    } else if (pair.key == "namespace" && is_dns_label(value)) {
      resource.namespace_name = value;
    } else if (pair.key == "hosts" || (pair.key == "host" && resource.kind != "VirtualService")) {
      add_hosts(pair.value, resource.hosts);
      in_hosts_ = pair.key == "hosts";
    } else if (resource.kind == "VirtualService") {
      read_routing(pair);
    }
  }
  // Those of its rules come after these keys, and say nothing of the whole.
  void read_routing(const Pair& pair) {
    if (pair.key == "http" || pair.key == "tls" || pair.key == "tcp") in_rules_ = true;
    if (pair.key != "gateways" || in_rules_) return;
    has_gateways_ = in_gateways_ = true;
    add_gateways(pair.value);
  }
  void add_gateways(std::string_view list) {
    for (std::size_t at = 0; at < list.size();) {
      const std::size_t comma = std::min(list.find(',', at), list.size());
      std::string_view name = trim(list.substr(at, comma - at));
      if (name.starts_with("- ")) name = trim(name.substr(2));
      of_mesh_ = of_mesh_ || name == "mesh";
      at = comma + 1;
    }
  }
  // A VirtualService of gateways alone means nothing to sidecars.
  void finish_gateways() {
    if (has_gateways_ && !of_mesh_ && !found_.empty()) found_.back().hosts.clear();
    in_gateways_ = has_gateways_ = of_mesh_ = in_rules_ = false;
  }

  std::vector<Scraped> found_;
  bool open_ = false, in_hosts_ = false;
  // Of a VirtualService:
  bool in_gateways_ = false, has_gateways_ = false, of_mesh_ = false, in_rules_ = false;
};

}  // namespace

std::vector<Scraped> scrape(std::string_view text, int first_line) {
  Scraper scraper;
  for (std::size_t at = 0; at < text.size(); ++first_line) {
    const std::size_t newline = std::min(text.find('\n', at), text.size());
    scraper.line(text.substr(at, newline - at), first_line);
    at = newline + 1;
  }
  return scraper.take();
}

}  // namespace sallyport::istio
