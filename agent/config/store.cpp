#include "agent/config/store.h"

#include <algorithm>
#include <functional>
#include <tuple>

namespace sallyport::config {
namespace {

constexpr std::string_view stays = "; its last good version stays in force";

bool protects(const istio::Refused& refused) {
  const bool closes = refused.kind == "ServiceEntry" || refused.kind == "DestinationRule";
  return closes || (refused.kind.empty() && !refused.hosts.empty());
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

}  // namespace

bool Store::same_identity(const ResourceRef& a, const ResourceRef& b) {
  return a.name == b.name && a.namespace_name == b.namespace_name && a.kind == b.kind;
}

std::size_t Store::HashIdentity::operator()(const ResourceRef* ref) const {
  const std::hash<std::string_view> hash;
  return (hash(ref->name) * 31 + hash(ref->namespace_name)) * 31 + hash(ref->kind);
}

struct Store::Update {
  struct Item {
    std::size_t file = 0;  // its place in the tree
    int line = 0;
    ResourcePtr resource;
  };
  const Held& held;
  const SourceTree& tree;
  InForce result;
  std::vector<Item> items;
  // By the ref of the resource, or of the refused document that it stands in for: both are there
  // as long as this is.
  std::unordered_map<const ResourceRef*, std::size_t, HashIdentity, EqualIdentity> places;

  bool add(const ResourceRef* identity, Item item);
  void take_good(std::size_t file, const DecodedFile& decoded);
  void take_refused(std::size_t file, const DecodedFile& decoded);
  void take_unreadable(std::size_t file, const SourceFile& source);
  // Keeps what was in force and whose path fits; true when there was any.
  bool keep(std::size_t file, int line, const std::function<bool(const std::string& path)>& fits);
  void finish();
};

// False when there is one of that identity.
bool Store::Update::add(const ResourceRef* identity, Item item) {
  if (!places.try_emplace(identity, items.size()).second) return false;
  items.push_back(std::move(item));
  return true;
}

void Store::Update::take_good(std::size_t file, const DecodedFile& decoded) {
  for (const ResourcePtr& resource : decoded.resources) {
    const ResourceRef& ref = *istio::metadata_of(*resource).ref;
    if (add(&ref, {file, ref.line, resource})) continue;
    const ResourceRef& used = *istio::metadata_of(*items[places.at(&ref)].resource).ref;
    result.findings.push_back({istio::Severity::error, ref.file, ref.line, ref.kind,
                               ref.namespace_name, ref.name, "metadata.name",
                               "defined twice: " + used.file + ':' + std::to_string(used.line) +
                                   " counts, this one is left out"});
  }
}

bool Store::Update::keep(std::size_t file, int line,
                         const std::function<bool(const std::string& path)>& fits) {
  bool any = false;
  for (const auto& [identity, resource] : held)
    if (fits(identity->file)) any = add(identity, {file, line, resource}) || any;
  return any;
}

void Store::Update::take_refused(std::size_t file, const DecodedFile& decoded) {
  const std::string& path = tree.files[file].path;
  for (const istio::Refused& refused : decoded.refused) {
    result.refusals.push_back(refused.finding.text());
    if (places.contains(refused.ref.get())) continue;  // a good one of the same name is elsewhere
    bool stays_in_force = false;
    if (refused.kind.empty() || refused.name.empty()) {
      stays_in_force =
          keep(file, refused.ref->line, [&](const auto& from) { return from == path; });
    } else if (const auto last_good = held.find(refused.ref.get()); last_good != held.end()) {
      add(last_good->first, {file, refused.ref->line, last_good->second});
      stays_in_force = true;
    }
    if (!stays_in_force) {
      if (protects(refused)) result.refused.push_back(refused);
      // Of a document without a readable kind the hosts are closed as a ServiceEntry's would be.
      if (protects(refused) && refused.kind.empty()) result.refused.back().kind = "ServiceEntry";
      continue;
    }
    for (istio::Finding& finding : result.findings) {
      if (finding.text() == refused.finding.text()) finding.reason += stays;
    }
  }
}

void Store::Update::take_unreadable(std::size_t file, const SourceFile& source) {
  result.refusals.push_back(source.path + ": " + source.problem);
  const bool any = keep(file, 0, [&](const std::string& path) {
    return path == source.path || is_below(path, source.path);
  });
  result.findings.push_back({istio::Severity::error, source.path, 0, "", "", "", "",
                             source.problem + (any ? "; what it gave before stays in force" : "")});
}

void Store::Update::finish() {
  std::vector<const Item*> order;
  order.reserve(items.size());
  for (const auto& item : items) order.push_back(&item);
  // What one unreadable document stands for shares its line, and is told apart as it once stood.
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    const auto& left = *istio::metadata_of(*a->resource).ref;
    const auto& right = *istio::metadata_of(*b->resource).ref;
    return std::tie(a->file, a->line, left.file, left.line, left.name) <
           std::tie(b->file, b->line, right.file, right.line, right.name);
  });
  result.resources.reserve(order.size());
  for (const Item* item : order) result.resources.push_back(item->resource);
}

InForce Store::update(const SourceTree& tree) {
  Update update{held_, tree, {}, {}, {}};
  update.places.reserve(held_.size());
  update.items.reserve(held_.size());
  std::vector<DecodedFilePtr> decoded(tree.files.size());
  for (std::size_t at = 0; at < tree.files.size(); ++at) {
    const SourceFile& source = tree.files[at];
    if (!source.problem.empty()) continue;
    decoded[at] = files_.take(source);
    update.take_good(at, *decoded[at]);
    const auto& findings = decoded[at]->findings;
    update.result.findings.insert(update.result.findings.end(), findings.begin(), findings.end());
  }
  for (std::size_t at = 0; at < tree.files.size(); ++at) {
    if (decoded[at]) {
      update.take_refused(at, *decoded[at]);
    } else {
      update.take_unreadable(at, tree.files[at]);
    }
  }
  for (const SourceFile& directory : tree.unreadable) {
    update.take_unreadable(tree.files.size(), directory);
  }
  update.finish();
  files_.finish();
  Held held;
  held.reserve(update.items.size());
  for (const auto& item : update.items)
    held.emplace(istio::metadata_of(*item.resource).ref.get(), item.resource);
  held_ = std::move(held);
  return std::move(update.result);
}

}  // namespace sallyport::config
