// Decodes and compiles resources as a proxy would, and says what it would refuse or warn about.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "agent/config/source_tree.h"
#include "agent/core/error.h"
#include "agent/istio/decode.h"

namespace sallyport::cli {

// Files, directories (*.yaml, *.yml, *.json in them and below) and "-" for stdin, in that order.
// Error: one of them can't be read.
Result<config::SourceTree> read_sources(const std::vector<std::string>& paths);

struct Validation {
  std::vector<istio::Finding> findings;  // by file as given, then by line; none twice
  std::size_t files = 0, resources = 0, errors = 0;
  std::size_t warnings() const { return findings.size() - errors; }
  bool good() const { return errors == 0; }
};

// `proxy`: for which one; none: for one in each namespace that has rules, and for one that each
// workloadSelector selects (limits::validated_proxies at most), each asked about the rules of its
// namespace. Secrets are looked at only as far as they are among `tree`: a cluster has others.
Validation validate(const config::SourceTree& tree, const istio::MeshConfig& mesh,
                    const std::optional<istio::Proxy>& proxy);

}  // namespace sallyport::cli
