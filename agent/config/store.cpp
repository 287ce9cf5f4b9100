#include "agent/config/store.h"

#include "agent/config/file.h"

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

struct Store::Update {
  const std::map<Key, Held>& held;
  const SourceTree& tree;
  InForce result;
  std::map<Key, Item> items;

  static Key key_of(const istio::Resource& resource) {
    const ResourceRef& ref = *istio::metadata_of(resource).ref;
    return {ref.kind, ref.namespace_name, ref.name};
  }
  void take_good(std::size_t file, const File& decoded);
  void take_refused(std::size_t file, const File& decoded);
  void take_unreadable(std::size_t file, const SourceFile& source);
  // Keeps what was in force and whose path fits; true when there was any.
  bool keep(std::size_t file, int line, const std::function<bool(const std::string& path)>& fits);
  void finish();
};

void Store::Update::take_good(std::size_t file, const File& decoded) {
  for (const ResourcePtr& resource : decoded.resources) {
    const ResourceRef& ref = *istio::metadata_of(*resource).ref;
    const auto [first, is_new] =
        items.try_emplace(key_of(*resource), Item{file, ref.line, resource});
    if (is_new) continue;
    const ResourceRef& used = *istio::metadata_of(*first->second.resource).ref;
    result.findings.push_back({istio::Severity::error, ref.file, ref.line, ref.kind,
                               ref.namespace_name, ref.name, "metadata.name",
                               "defined twice: " + used.file + ':' + std::to_string(used.line) +
                                   " counts, this one is left out"});
  }
}

bool Store::Update::keep(std::size_t file, int line,
                         const std::function<bool(const std::string& path)>& fits) {
  bool any = false;
  for (const auto& [key, last_good] : held) {
    if (!fits(last_good.path)) continue;
    any = items.try_emplace(key, Item{file, line, last_good.resource}).second || any;
  }
  return any;
}

void Store::Update::take_refused(std::size_t file, const File& decoded) {
  const std::string& path = tree.files[file].path;
  for (const istio::Refused& refused : decoded.refused) {
    result.refusals.push_back(refused.finding.text());
    const Key key{refused.kind, refused.namespace_name, refused.name};
    if (items.contains(key)) continue;  // a good one of the same name is elsewhere
    bool stays_in_force = false;
    if (refused.kind.empty() || refused.name.empty()) {
      stays_in_force =
          keep(file, refused.ref->line, [&](const auto& from) { return from == path; });
    } else if (const auto last_good = held.find(key); last_good != held.end()) {
      items.emplace(key, Item{file, refused.ref->line, last_good->second.resource});
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
  for (const auto& [key, item] : items) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::tie(a->file, a->line) < std::tie(b->file, b->line);
  });
  for (const Item* item : order) result.resources.push_back(item->resource);
}

std::shared_ptr<const Store::File> Store::decode(const SourceFile& source) const {
  std::string sum = digest(source.text);
  const auto known = files_.find(source.path);
  if (known != files_.end() && known->second->digest == sum) return known->second;
  istio::Decoded decoded = istio::decode(source.text, source.path);
  auto file = std::make_shared<File>();
  file->digest = std::move(sum);
  for (istio::Resource& resource : decoded.resources) {
    file->resources.push_back(std::make_shared<istio::Resource>(std::move(resource)));
  }
  file->refused = std::move(decoded.refused);
  file->findings = std::move(decoded.findings);
  return file;
}

InForce Store::update(const SourceTree& tree) {
  Update update{held_, tree, {}, {}};
  std::map<std::string, std::shared_ptr<const File>> files;
  std::vector<std::shared_ptr<const File>> decoded(tree.files.size());
  for (std::size_t at = 0; at < tree.files.size(); ++at) {
    const SourceFile& source = tree.files[at];
    if (!source.problem.empty()) continue;
    decoded[at] = files[source.path] = decode(source);
    update.take_good(at, *decoded[at]);
    for (const istio::Finding& finding : decoded[at]->findings)
      update.result.findings.push_back(finding);
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
  files_ = std::move(files);
  std::map<Key, Held> held;
  for (auto& [key, item] : update.items) {
    const auto before = held_.find(key);
    const bool is_old = before != held_.end() && before->second.resource == item.resource;
    std::string path = is_old ? before->second.path : istio::metadata_of(*item.resource).ref->file;
    held.emplace(key, Held{std::move(item.resource), std::move(path)});
  }
  held_ = std::move(held);
  return std::move(update.result);
}

}  // namespace sallyport::config
