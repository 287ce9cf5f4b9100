// The configuration directory as it is now: every *.yaml, *.yml and *.json in it and below, in a
// stable order.
//
// Hidden names are skipped, so that of a mounted ConfigMap (`rules.yaml` → `..data/rules.yaml` →
// `..2026_11_21/rules.yaml`) each file is read once, under the name that the user knows. Links are
// followed, to directories too, but never twice into the same one.
#pragma once
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::config {

struct SourceFile {
  std::string path;  // below the directory as it was given
  std::string text;
  std::string problem;  // why it could not be read; empty: it was
};

struct SourceTree {
  std::vector<SourceFile> files;         // by path: what counts as "oldest first"
  std::vector<std::string> directories;  // all that were read, the root too: to be watched
  std::vector<std::string> links;        // what is reached by a symbolic link
  std::vector<SourceFile> unreadable;    // directories that could not be read, without text
};

// Error: the directory itself can't be read.
Result<SourceTree> read_tree(const std::string& directory);

}  // namespace sallyport::config
