// The few header fields of a message that a log format asks for by name, copied when the message
// passes by: by the time the line is written its buffers are somebody else's.
//
// Threading: its record's. Nothing is allocated until a wanted field is found.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::observe {

class KeptHeaders {
public:
  // `name` in lower case. A name that is there keeps its first value, as Envoy logs it.
  void keep(std::string_view name, std::string_view value);
  // The wanted fields (`wanted` in lower case) of an HTTP/1 head as it lies or goes out: a start
  // line, then fields. What follows the empty line is not looked at.
  void keep_of(std::string_view head, const std::vector<std::string>& wanted);
  void clear() { lines_.clear(); }
  // Nothing: the message had none. An empty value is one.
  std::optional<std::string_view> find(std::string_view name) const;
  std::size_t size() const { return lines_.size(); }  // no value is longer

private:
  std::string lines_;  // "name:value\n": neither has a line end in it
};

// Puts the pieces of a head behind each other, as far as its empty line.
void join_head(std::span<const iovec> pieces, std::string& into);

}  // namespace sallyport::observe
