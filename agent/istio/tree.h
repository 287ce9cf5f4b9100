// One YAML or JSON document as a tree whose nodes know their line. This is the only place where
// yaml-cpp is used and where its exceptions are caught.
//
// Scalars are resolved as Kubernetes does (sigs.k8s.io/yaml, that is YAML 1.1 as Go's yaml.v2 reads
// it): a plain `yes` is a boolean, `010` is 8, `0x50` is 80. Aliases are shared, not copied, but
// counted as if they were (limits::yaml_nodes).
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::istio {

struct Node {
  enum class Kind : uint8_t { null, boolean, integer, real, text, sequence, mapping };
  struct Entry {
    std::string key;  // empty in a sequence
    int line = 0;     // of the key, or of the item
    const Node* value = nullptr;
  };

  Kind kind = Kind::null;
  bool complete =
      false;     // false while its children are being read: an alias to it would be a cycle
  int line = 0;  // 1-based, in the file
  std::size_t weight = 1;  // nodes in it, aliases expanded
  std::string text;        // a scalar as written
  std::vector<Entry> entries;

  bool is_scalar() const { return kind != Kind::sequence && kind != Kind::mapping; }
  const Node* find(std::string_view key) const;  // mappings; null when absent
};

// What a node is, for messages; never its value (it may be a secret).
std::string_view describe(Node::Kind kind);

// A text was refused: where and why.
struct TreeError {
  int line = 0;
  std::string reason;
};

struct Trees {
  std::deque<Node> nodes;          // owns all of them; addresses are stable
  std::vector<const Node*> roots;  // usually one; `{}{}` and text after `...` give more
  std::vector<TreeError> errors;   // at most one: nothing after it was read
};

// `first_line`: the line of the file that `text` begins with.
Trees parse_trees(std::string_view text, int first_line);

}  // namespace sallyport::istio
