#include "agent/istio/tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>
#include <unordered_map>

#include "agent/core/limits.h"
#include "agent/istio/flow_scalars.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

// Leaves yaml-cpp's parser from within an event; caught in parse_trees.
struct Refusal {
  int line;
  std::string reason;
};

class Builder : public YAML::EventHandler {
public:
  Builder(Trees& trees, int first_line) : trees_(trees), first_line_(first_line) {}

  void OnDocumentStart(const YAML::Mark&) override {
    stack_.clear();
    anchors_.clear();
    root_ = nullptr;
  }
  void OnDocumentEnd() override {
    if (root_ && root_->kind != Node::Kind::null) trees_.roots.push_back(root_);
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    finish(start(mark, anchor, Node::Kind::null));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node& node = start(mark, anchor, scalar_kind(tag, value, line_of(mark)));
    node.text = value;
    finish(node);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    push(start(mark, anchor, Node::Kind::sequence));
  }
  void OnSequenceEnd() override { pop(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    push(start(mark, anchor, Node::Kind::mapping));
  }
  void OnMapEnd() override {
    merge_keys(stack_.back());
    pop();
  }

  int line_of(const YAML::Mark& mark) const { return first_line_ + std::max(mark.line, 0); }
  int last_line() const { return last_line_; }
  bool is_empty() const { return !root_ || root_->kind == Node::Kind::null; }  // the last document

private:
  struct Frame {
    Node* node;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    std::unordered_map<std::string, int> lines;  // of the keys so far
  };

  Node::Kind scalar_kind(const std::string& tag, const std::string& value, int line) const;
  Node& start(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind);
  void push(Node& node);
  void pop();
  void finish(Node& node);
  void attach(const Node& node, int line);
  void take_key(Frame& frame, const Node& node, int line);
  void count(std::size_t nodes, int line);
  void merge_keys(Frame& frame);

  Trees& trees_;
  int first_line_, last_line_ = first_line_;
  std::size_t count_ = 0;
  Node* root_ = nullptr;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, const Node*> anchors_;
};

Node::Kind Builder::scalar_kind(const std::string& tag, const std::string& value, int line) const {
  constexpr std::string_view core = "tag:yaml.org,2002:";
  if (tag == "?") return resolve_plain(value);
  if (tag.starts_with(core) && tag != "tag:yaml.org,2002:str") {
    if (tag == "tag:yaml.org,2002:binary") throw Refusal{line, "!!binary is not supported"};
    return resolve_plain(value);
  }
  return Node::Kind::text;
}

void Builder::count(std::size_t nodes, int line) {
  count_ += nodes;
  if (count_ > limits::yaml_nodes) {
    throw Refusal{line, "more than " + std::to_string(limits::yaml_nodes) +
                            " values in a document (aliases are expanded)"};
  }
}

Node& Builder::start(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
  const int line = line_of(mark);
  last_line_ = std::max(last_line_, line);
  count(1, line);
  Node& node = trees_.nodes.emplace_back();
  node.kind = kind;
  node.line = line;
  if (anchor) anchors_[anchor] = &node;
  if (!root_) root_ = &node;
  return node;
}

void Builder::push(Node& node) {
  if (stack_.size() >= static_cast<std::size_t>(limits::yaml_depth)) {
    throw Refusal{node.line,
                  "nested more than " + std::to_string(limits::yaml_depth) + " levels deep"};
  }
  if (!stack_.empty() && stack_.back().node->kind == Node::Kind::mapping &&
      !stack_.back().has_key) {
    throw Refusal{node.line, "a key must be a string"};
  }
  stack_.push_back({&node});
}

void Builder::pop() {
  Node& node = *stack_.back().node;
  stack_.pop_back();
  finish(node);
}

void Builder::finish(Node& node) {
  node.complete = true;
  attach(node, node.line);
}

void Builder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const int line = line_of(mark);
  const auto at = anchors_.find(anchor);
  if (at == anchors_.end()) throw Refusal{line, "an alias without its anchor"};
  if (!at->second->complete) throw Refusal{line, "an alias inside of what it names"};
  count(at->second->weight, line);
  attach(*at->second, line);
}

void Builder::take_key(Frame& frame, const Node& node, int line) {
  if (!node.is_scalar()) throw Refusal{line, "a key must be a string"};
  frame.key = node.text;
  frame.key_line = line;
  frame.has_key = true;
  if (frame.key == "<<") return;
  const auto [first, is_new] = frame.lines.emplace(frame.key, line);
  if (is_new) return;
  throw Refusal{line, "the key " + quoted(frame.key) + " appears twice (first in line " +
                          std::to_string(first->second) + ")"};
}

void Builder::attach(const Node& node, int line) {
  if (stack_.empty()) return;
  Frame& frame = stack_.back();
  if (frame.node->kind == Node::Kind::mapping && !frame.has_key) return take_key(frame, node, line);
  const bool keyed = frame.node->kind == Node::Kind::mapping;
  frame.node->entries.push_back({std::move(frame.key), keyed ? frame.key_line : line, &node});
  frame.node->weight += node.weight;
  frame.key.clear();
  frame.has_key = false;
}

// `<<: *base` (YAML 1.1 merge): what the mapping does not say itself comes from the bases, the
// first one first.
void Builder::merge_keys(Frame& frame) {
  Node& node = *frame.node;
  if (frame.lines.size() == node.entries.size()) return;
  std::vector<Node::Entry> own;
  std::vector<const Node*> bases;
  for (Node::Entry& entry : node.entries) {
    if (entry.key != "<<") {
      own.push_back(std::move(entry));
    } else if (entry.value->kind == Node::Kind::sequence) {
      for (const Node::Entry& base : entry.value->entries) bases.push_back(base.value);
    } else {
      bases.push_back(entry.value);
    }
  }
  node.entries = std::move(own);
  for (const Node* base : bases) {
    if (base->kind != Node::Kind::mapping) throw Refusal{node.line, "<< must name a mapping"};
    for (const Node::Entry& entry : base->entries) {
      if (!frame.lines.emplace(entry.key, entry.line).second) continue;
      count(entry.value->weight, node.line);
      node.weight += entry.value->weight;
      node.entries.push_back(entry);
    }
  }
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  if (kind != Kind::mapping) return nullptr;
  for (const Entry& entry : entries) {
    if (entry.key == key) return entry.value;
  }
  return nullptr;
}

std::string_view describe(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::boolean:
      return "a boolean";
    case Node::Kind::integer:
    case Node::Kind::real:
      return "a number";
    case Node::Kind::text:
      return "a string";
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::mapping:
      return "an object";
  }
  return "something else";
}

Trees parse_trees(std::string_view text, int first_line) {
  Trees trees;
  const auto lines = std::count(text.begin(), text.end(), '\n') - (text.ends_with('\n') ? 1 : 0);
  const int last_line = first_line + static_cast<int>(lines);  // also for what is amiss at the end
  Builder builder(trees, first_line);
  try {
    // Ended by a marker: without one yaml-cpp 0.7 takes a quote that is never closed for a string.
    std::string ended = quote_flow_scalars(text);
    ended += ended.ends_with('\n') ? "...\n" : "\n...\n";
    std::istringstream in(std::move(ended));
    YAML::Parser parser(in);
    // A stray bracket after the end is never consumed by yaml-cpp 0.7: it gives empty documents for
    // ever. Our own markers give one, a text's own two more.
    for (int empty = 0; parser.HandleNextDocument(builder);) {
      empty = builder.is_empty() ? empty + 1 : 0;
      if (empty > 3) throw Refusal{builder.last_line(), "YAML: more brackets closed than opened"};
    }
  } catch (const Refusal& refusal) {
    trees.errors.push_back({refusal.line, refusal.reason});
  } catch (const YAML::Exception& error) {
    const bool placed = !error.mark.is_null();
    const int line = placed ? builder.line_of(error.mark) : builder.last_line();
    trees.errors.push_back({std::min(line, last_line), "YAML: " + error.msg});
  } catch (const std::exception& error) {
    trees.errors.push_back({builder.last_line(), std::string("YAML: ") + error.what()});
  }
  return trees;
}

}  // namespace sallyport::istio
