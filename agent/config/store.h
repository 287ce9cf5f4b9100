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
//
// Pure: no file is read here. One thread.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "agent/config/source_tree.h"
#include "agent/istio/decode.h"

namespace sallyport::config {

using ResourcePtr = std::shared_ptr<const istio::Resource>;

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
  InForce update(const SourceTree& tree);

private:
  using Key = std::tuple<std::string, std::string, std::string>;  // kind, namespace, name
  struct File {
    std::string digest;
    std::vector<ResourcePtr> resources;
    std::vector<istio::Refused> refused;
    std::vector<istio::Finding> findings;
  };
  struct Item {
    std::size_t file = 0;  // its place in the tree
    int line = 0;
    ResourcePtr resource;
  };
  struct Held {
    ResourcePtr resource;
    std::string path;  // the file that gave it
  };
  struct Update;  // one update() at work

  std::shared_ptr<const File> decode(const SourceFile& source) const;

  std::map<std::string, std::shared_ptr<const File>> files_;  // by path
  std::map<Key, Held> held_;                                  // in force since the last update
};

}  // namespace sallyport::config
