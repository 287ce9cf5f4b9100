// What is in force: the resources of the newest load, and the last good version of each that became
// bad.
//
// - A resource that is refused stays in force as it was, until its document is good again or gone.
// - A file that can't be read, or a document of which not even the name is known, keeps all that
// its file gave before and
//   that is nowhere else now.
// - A refused one that was never good is handed on, so that what it names is closed.
// - Of several documents with the same kind, namespace and name the first counts (by path, then by
// line).
// - Resources are handed on oldest first: by creationTimestamp where they have one (what kubectl
// printed), else as they stand.
//
// Pure: no file is read here. One thread.
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/config/decoded_files.h"

namespace sallyport::config {

struct InForce {
  std::vector<ResourcePtr>
      resources;  // oldest first; unchanged files give the same pointers as last time
  std::vector<istio::Refused> refused;  // never good yet, of kinds that protect
  std::vector<istio::Finding> findings;
  std::vector<std::string>
      refusals;  // what was refused, also where the last good version stays: texts
};

class Store {
public:
  // What update() takes of a file that is unchanged, instead of its text; null: nothing.
  DecodedFilePtr held(std::string_view path, const FileStamp& stamp) {
    return files_.held(path, stamp);
  }
  InForce update(const SourceTree& tree);
  // The same where of all files only these changed, and they were there before. Unset: they did
  // more than edit resources in place (one came, went, is bad, ...), and update() has to be called.
  std::optional<InForce> edit(const std::vector<SourceFile>& files);

private:
  // A resource is who it is by kind, namespace and name.
  static bool same_identity(const ResourceRef& a, const ResourceRef& b);
  struct HashIdentity {
    std::size_t operator()(const ResourceRef* ref) const;
  };
  struct EqualIdentity {
    bool operator()(const ResourceRef* a, const ResourceRef* b) const {
      return same_identity(*a, *b);
    }
  };
  // What is in force, found by the ref of its own: it names the file that gave it.
  struct Held {
    std::unordered_map<const ResourceRef*, std::size_t, HashIdentity, EqualIdentity> places;
    std::vector<ResourcePtr> resources;
    ResourcePtr find(const ResourceRef* ref) const;  // null: none of that identity
  };
  struct Update;  // one update() at work
  std::vector<DecodedFilePtr> decode(const SourceTree& tree);
  using Edits = std::vector<std::pair<std::size_t, DecodedFilePtr>>;  // by place in made_of_
  std::optional<Edits> edits_of(const SourceTree& tree,
                                const std::vector<DecodedFilePtr>& decoded) const;
  InForce apply(const Edits& edits);
  KnownRef known_ref() const;
  InForce rebuild(const SourceTree& tree, std::vector<DecodedFilePtr> decoded);

  DecodedFiles files_;
  Held held_;  // in force since the last update
  // By place in the tree, what gave it; empty where more than just these files made it.
  std::vector<DecodedFilePtr> made_of_;
};

}  // namespace sallyport::config
