// Reads the fields of one object with their types, names what is wrong with its line and path, and
// at the end what nobody asked for. Keys are lowerCamelCase; snake_case is taken too, as proto3
// JSON does.
#pragma once
#include <chrono>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/report.h"
#include "agent/istio/resources.h"
#include "agent/istio/tree.h"

namespace sallyport::istio {

// What an unknown field does. Inside tls and policy rules it refuses the resource: a mistyped
// `subjectAltNames` must not mean "no names to check".
enum class Unknown : uint8_t { warn, refuse, ignore };

struct Choice {
  std::string_view name;  // as in the proto
  int value;              // its number there, accepted as well
};

class Fields {
public:
  // Anything but an object is an error (null counts as an empty one). `node` and `report` outlive
  // this.
  Fields(const Node& node, std::string path, Report& report, Unknown unknown = Unknown::warn);
  Fields(const Fields&) = delete;
  // REQUIRES: every field was asked for by now. Names the unknown ones.
  void finish();

  int line() const { return node_.line; }
  int line_of(std::string_view name) const;  // of its key; of the object when absent
  const std::string& path() const { return path_; }
  std::string path_of(std::string_view name) const;
  bool has(std::string_view name) { return find(name) != nullptr; }
  const Node* find(std::string_view name);    // null: absent, or YAML's null
  bool is_null(std::string_view name) const;  // given, with nothing in it

  std::string text(std::string_view name);  // "" when absent
  std::vector<std::string> texts(std::string_view name);
  Labels labels(std::string_view name);  // any map of strings
  std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
  uint16_t port(std::string_view name);           // 0 when absent; else 1..65535
  uint16_t optional_port(std::string_view name);  // the same, but 0 may be written
  std::optional<double> real(std::string_view name, double min, double max);
  std::optional<bool> boolean(std::string_view name);
  std::string bytes(std::string_view name);  // base64, as proto3 JSON writes them
  std::optional<std::chrono::milliseconds> duration(
      std::string_view name, std::chrono::milliseconds min = std::chrono::milliseconds(1));
  std::optional<int> choice(std::string_view name, std::span<const Choice> choices);
  // Calls with the object's fields and names the unknown ones afterwards; true when it was there
  // and is an object.
  bool object(std::string_view name, const std::function<void(Fields&)>& read,
              Unknown unknown = Unknown::warn);
  // The same for each object of a list.
  void each(std::string_view name, const std::function<void(Fields&)>& read,
            Unknown unknown = Unknown::warn);

  void ignore(std::initializer_list<std::string_view> names);  // known, and no matter here
  void unsupported(std::initializer_list<std::string_view>
                       names);  // known, without effect yet: a warning when given
  void error(std::string_view name, std::string reason);  // "" for the object itself
  void warn(std::string_view name, std::string reason);
  Report& report() { return report_; }

private:
  bool expect(std::string_view name, const Node& node, bool fits, std::string_view wanted);

  const Node& node_;
  std::string path_;
  Report& report_;
  Unknown unknown_;
  std::vector<std::string> known_;
};

}  // namespace sallyport::istio
