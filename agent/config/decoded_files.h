// What each file's documents gave, decoded once for as long as a document stays as it is: of ten
// thousand in one file, only the one that was edited is parsed again.
//
// Pure: no file is read here. One thread.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/config/source_tree.h"
#include "agent/istio/decode.h"

namespace sallyport::istio {
struct Document;
}

namespace sallyport::config {

using ResourcePtr = std::shared_ptr<const istio::Resource>;

struct DecodedFile {
  struct Part {  // a document, and how much of the lists below is its
    std::array<char, 16> digest{};
    int line = 0;  // a document that moved to another line is decoded again: its resources name it
    uint32_t resources = 0, refused = 0, findings = 0;
  };
  std::vector<Part> parts;
  std::vector<ResourcePtr> resources;
  std::vector<istio::Refused> refused;
  std::vector<istio::Finding> findings;
};
using DecodedFilePtr = std::shared_ptr<const DecodedFile>;

// The ref under which a resource of that identity was known until now; null: none was.
using KnownRef = std::function<ResourceRefPtr(const ResourceRef&)>;

class DecodedFiles {
public:
  // What `path` gave when it was last read, if that was with that stamp: its text need not be read
  // again. Counts as taken. Null: there is nothing of it.
  DecodedFilePtr held(std::string_view path, const FileStamp& stamp);
  // Of a source that was read. What is decoded takes the known ref where that says the same as its
  // own: an edit in place leaves refs as they are.
  DecodedFilePtr take(const SourceFile& source, const KnownRef& known);
  // After every file of a load was taken: what is gone is forgotten.
  void finish();
  // After a load that took only those that were edited.
  void finish_edit();
  // What is known of `path`; null: nothing.
  DecodedFilePtr find(std::string_view path) const;

private:
  struct Known {
    SharedText path;
    FileStamp stamp;
    DecodedFilePtr file;
    uint64_t load = 0;  // the last that took it
  };
  void mark(Known& file);

  std::unordered_map<std::string_view, Known> files_;  // by their paths
  uint64_t load_ = 1;
  std::size_t taken_ = 0;  // of files_, by this load
};

}  // namespace sallyport::config
