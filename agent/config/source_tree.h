// The configuration directory as it is now: every *.yaml, *.yml and *.json in it and below, in a
// stable order.
//
// Hidden names are skipped, so that of a mounted ConfigMap (`rules.yaml` → `..data/rules.yaml` →
// `..2026_11_21/rules.yaml`) each file is read once, under the name that the user knows. Links are
// followed, to directories too, but never twice into the same one.
#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::config {

struct DecodedFile;  // decoded_files.h

// Tells a file's content from another's without reading it. One that was changed a moment before
// it was read says nothing (`settled` is false): a further change could carry the same times.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  bool settled = false;
  bool operator==(const FileStamp& other) const {
    return settled && other.settled && device == other.device && inode == other.inode &&
           size == other.size && modified_ns == other.modified_ns && changed_ns == other.changed_ns;
  }
};

struct SourceFile {
  std::string path;  // below the directory as it was given
  std::string text;
  std::string problem;  // why it could not be read; empty: it was
  FileStamp stamp = {};
  // What the caller holds of it, instead of its text; null: it was read.
  std::shared_ptr<const DecodedFile> held = {};
};

struct SourceTree {
  std::vector<SourceFile> files;         // by path: what counts as "oldest first"
  std::vector<std::string> directories;  // all that were read, the root too: to be watched
  std::vector<std::string> links;        // what is reached by a symbolic link
  std::vector<SourceFile> unreadable;    // directories that could not be read, without text
};

// What the caller holds of a file with that stamp; null: nothing.
using FindHeld = std::function<std::shared_ptr<const DecodedFile>(const std::string& path,
                                                                  const FileStamp& stamp)>;

// Files that `find_held` (may be empty) knows are not read again. Error: the directory itself can't
// be read.
Result<SourceTree> read_tree(const std::string& directory, const FindHeld& find_held = {});

// One entry of a directory of a tree without links, as a walk would read it if it is a regular file
// with a source's name. An empty path: it is a file that a walk leaves out. Unset: it is gone,
// known by several names or no file, and what that means for the tree only a walk tells.
std::optional<SourceFile> read_entry(const std::string& path);

}  // namespace sallyport::config
