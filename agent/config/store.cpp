#include "agent/config/store.h"

#include <algorithm>
#include <tuple>

#include "agent/istio/kind_names.h"

namespace sallyport::config {
namespace {

constexpr std::string_view stays = "; its last good version stays in force";

bool protects(const istio::Refused& refused) {
  return istio::protects(refused.kind) || (refused.kind.empty() && !refused.hosts.empty());
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

void append(std::vector<istio::Finding>& to, const std::vector<istio::Finding>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// Whether both give the same resources, known by the same refs, and nothing bad.
bool same_places(const DecodedFile& before, const DecodedFile& now) {
  const auto same = [](const ResourcePtr& a, const ResourcePtr& b) {
    const auto& left = istio::metadata_of(*a);
    const auto& right = istio::metadata_of(*b);
    return left.ref == right.ref && left.created == right.created;
  };
  return before.refused.empty() && now.refused.empty() &&
         std::equal(before.resources.begin(), before.resources.end(), now.resources.begin(),
                    now.resources.end(), same);
}

}  // namespace

bool Store::same_identity(const ResourceRef& a, const ResourceRef& b) {
  return a.name == b.name && a.namespace_name == b.namespace_name && a.kind == b.kind;
}

std::size_t Store::HashIdentity::operator()(const ResourceRef* ref) const {
  const std::hash<std::string_view> hash;
  return (hash(ref->name) * 31 + hash(ref->namespace_name)) * 31 + hash(ref->kind);
}

ResourcePtr Store::Held::find(const ResourceRef* ref) const {
  const auto at = places.find(ref);
  return at == places.end() ? nullptr : resources[at->second];
}

struct Store::Update {
  struct Item {
    std::size_t file = 0;  // its place in the tree
    int line = 0;
    ResourcePtr resource;
    int64_t created = 0;  // Metadata::created
    bool operator<(const Item& other) const;
  };
  const Held& held;
  const SourceTree& tree;
  InForce result;
  std::vector<Item> items;
  // By the ref of the resource itself: it is there as long as this is.
  decltype(Held::places) places;
  // Made when first asked for, so that many refusals at once cost no more than a walk.
  std::unordered_map<std::string_view, std::vector<ResourcePtr>> held_by_file;
  std::unordered_map<std::string, std::vector<std::size_t>> findings_by_text;

  bool add(std::size_t file, int line, ResourcePtr resource);
  void take_good(std::size_t file, const DecodedFile& decoded);
  void take_refused(std::size_t file, const DecodedFile& decoded);
  void take_unreadable(std::size_t file, const SourceFile& source);
  void say_it_stays(const istio::Finding& refusal);
  // Keep what was in force from there; true when there was any.
  bool keep_file(std::size_t file, int line, const std::string& path);
  bool keep_below(std::size_t file, const std::string& directory);
  Held finish();
};

bool Store::Update::Item::operator<(const Item& other) const {
  if (created || other.created) {
    const auto& mine = istio::metadata_of(*resource);
    const auto& theirs = istio::metadata_of(*other.resource);
    if (istio::is_older(mine, theirs) || istio::is_older(theirs, mine))
      return istio::is_older(mine, theirs);
  }
  if (file != other.file || line != other.line)
    return std::tie(file, line) < std::tie(other.file, other.line);
  // What one unreadable document stands for shares its line, and is told apart as it once stood.
  const auto& left = *istio::metadata_of(*resource).ref;
  const auto& right = *istio::metadata_of(*other.resource).ref;
  return std::tie(left.file.str(), left.line, left.name) <
         std::tie(right.file.str(), right.line, right.name);
}

// False when there is one of that identity.
bool Store::Update::add(std::size_t file, int line, ResourcePtr resource) {
  const auto& metadata = istio::metadata_of(*resource);
  if (!places.try_emplace(metadata.ref.get(), items.size()).second) return false;
  items.push_back({file, line, std::move(resource), metadata.created});
  return true;
}

void Store::Update::take_good(std::size_t file, const DecodedFile& decoded) {
  for (const ResourcePtr& resource : decoded.resources) {
    const ResourceRef& ref = *istio::metadata_of(*resource).ref;
    if (add(file, ref.line, resource)) continue;
    const ResourceRef& used = *istio::metadata_of(*items[places.at(&ref)].resource).ref;
    result.findings.push_back({istio::Severity::error, ref.file, ref.line, ref.kind,
                               ref.namespace_name, ref.name, "metadata.name",
                               "defined twice: " + used.file.str() + ':' +
                                   std::to_string(used.line) + " counts, this one is left out"});
  }
}

bool Store::Update::keep_file(std::size_t file, int line, const std::string& path) {
  if (held_by_file.empty()) {
    for (const auto& resource : held.resources)
      held_by_file[istio::metadata_of(*resource).ref->file.str()].push_back(resource);
  }
  const auto from = held_by_file.find(path);
  if (from == held_by_file.end()) return false;
  bool any = false;
  for (const auto& resource : from->second) any = add(file, line, resource) || any;
  return any;
}

bool Store::Update::keep_below(std::size_t file, const std::string& directory) {
  bool any = false;
  for (const auto& resource : held.resources) {
    if (is_below(istio::metadata_of(*resource).ref->file, directory))
      any = add(file, 0, resource) || any;
  }
  return any;
}

void Store::Update::say_it_stays(const istio::Finding& refusal) {
  if (findings_by_text.empty()) {
    for (std::size_t i = 0; i < result.findings.size(); i++)
      findings_by_text[result.findings[i].text()].push_back(i);
  }
  const auto at = findings_by_text.find(refusal.text());
  if (at == findings_by_text.end()) return;
  for (const auto i : at->second) {
    if (!result.findings[i].reason.ends_with(stays)) result.findings[i].reason += stays;
  }
}

void Store::Update::take_refused(std::size_t file, const DecodedFile& decoded) {
  for (const istio::Refused& refused : decoded.refused) {
    result.refusals.push_back(refused.finding.text());
    if (places.contains(refused.ref.get())) continue;  // a good one of the same name is elsewhere
    bool stays_in_force = false;
    if (refused.kind.empty() || refused.name.empty()) {
      stays_in_force = keep_file(file, refused.ref->line, tree.files[file].path);
    } else if (auto last_good = held.find(refused.ref.get())) {
      add(file, refused.ref->line, std::move(last_good));
      stays_in_force = true;
    }
    if (stays_in_force) {
      say_it_stays(refused.finding);
      continue;
    }
    if (!protects(refused)) continue;
    result.refused.push_back(refused);
    // Of a document without a readable kind the hosts are closed as a ServiceEntry's would be.
    if (refused.kind.empty()) result.refused.back().kind = "ServiceEntry";
  }
}

void Store::Update::take_unreadable(std::size_t file, const SourceFile& source) {
  result.refusals.push_back(source.path + ": " + source.problem);
  const bool of_file = keep_file(file, 0, source.path);
  const bool any = (file == tree.files.size() && keep_below(file, source.path)) || of_file;
  result.findings.push_back({istio::Severity::error, source.path, 0, "", "", "", "",
                             source.problem + (any ? "; what it gave before stays in force" : "")});
}

Store::Held Store::Update::finish() {
  if (!std::is_sorted(items.begin(), items.end())) {
    std::sort(items.begin(), items.end());
    for (std::size_t i = 0; i < items.size(); i++)
      places[istio::metadata_of(*items[i].resource).ref.get()] = i;
  }
  Held now{std::move(places), {}};
  now.resources.reserve(items.size());
  for (Item& item : items) now.resources.push_back(std::move(item.resource));
  result.resources = now.resources;
  return now;
}

KnownRef Store::known_ref() const {
  return [this](const ResourceRef& ref) -> ResourceRefPtr {
    const auto resource = held_.find(&ref);
    return resource ? istio::metadata_of(*resource).ref : nullptr;
  };
}

// Null for what could not be read.
std::vector<DecodedFilePtr> Store::decode(const SourceTree& tree) {
  const auto known = known_ref();
  std::vector<DecodedFilePtr> out(tree.files.size());
  for (std::size_t at = 0; at < tree.files.size(); ++at) {
    const SourceFile& source = tree.files[at];
    if (source.problem.empty()) out[at] = source.held ? source.held : files_.take(source, known);
  }
  files_.finish();
  return out;
}

// Most changes are one field of one resource: then each resource keeps its place and its ref, and
// none of the others is looked at. Unset: it is no such change.
std::optional<Store::Edits> Store::edits_of(const SourceTree& tree,
                                            const std::vector<DecodedFilePtr>& decoded) const {
  if (made_of_.empty() || decoded.size() != made_of_.size() || !tree.unreadable.empty())
    return std::nullopt;
  Edits edits;
  for (std::size_t at = 0; at < decoded.size(); ++at) {
    if (decoded[at] == made_of_[at]) continue;
    if (!decoded[at] || !same_places(*made_of_[at], *decoded[at])) return std::nullopt;
    edits.emplace_back(at, decoded[at]);
  }
  return edits;
}

InForce Store::apply(const Edits& edits) {
  for (const auto& [at, file] : edits) {
    for (const ResourcePtr& resource : file->resources)
      held_.resources[held_.places.at(istio::metadata_of(*resource).ref.get())] = resource;
    made_of_[at] = file;
  }
  InForce out{held_.resources, {}, {}, {}};
  for (const auto& file : made_of_) append(out.findings, file->findings);
  return out;
}

std::optional<InForce> Store::edit(const std::vector<SourceFile>& files) {
  if (made_of_.empty()) return std::nullopt;  // something is refused: update() knows what
  Edits edits;
  for (const SourceFile& source : files) {
    const auto before = files_.find(source.path);
    const auto place = std::find(made_of_.begin(), made_of_.end(), before);
    if (!before || place == made_of_.end() || !source.problem.empty()) return std::nullopt;
    auto now = files_.take(source, known_ref());
    files_.finish_edit();
    if (!same_places(*before, *now)) return std::nullopt;
    edits.emplace_back(static_cast<std::size_t>(place - made_of_.begin()), std::move(now));
  }
  return apply(edits);
}

InForce Store::rebuild(const SourceTree& tree, std::vector<DecodedFilePtr> decoded) {
  Update update{held_, tree, {}, {}, {}, {}, {}};
  update.places.reserve(held_.resources.size());
  update.items.reserve(held_.resources.size());
  std::size_t given = 0;
  for (std::size_t at = 0; at < tree.files.size(); ++at) {
    if (!decoded[at]) continue;
    update.take_good(at, *decoded[at]);
    append(update.result.findings, decoded[at]->findings);
    given += decoded[at]->resources.size();
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
  const bool plain = update.result.refusals.empty() && update.items.size() == given;
  held_ = update.finish();
  made_of_ = plain ? std::move(decoded) : std::vector<DecodedFilePtr>();
  return std::move(update.result);
}

InForce Store::update(const SourceTree& tree) {
  auto decoded = decode(tree);
  const auto edits = edits_of(tree, decoded);
  return edits ? apply(*edits) : rebuild(tree, std::move(decoded));
}

}  // namespace sallyport::config
