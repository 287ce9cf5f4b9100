#include "agent/cli/json_output.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "agent/core/ascii.h"

namespace sallyport::cli {
namespace {

namespace json = boost::json;

std::string camel_case(std::string_view name) {
  std::string out;
  bool upper = false;
  for (const char c : name) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

// Names that are data, not fields of a message, stay as they are.
bool holds_data(std::string_view name) { return name == "filter_metadata" || name == "metadata"; }

json::value renamed(const json::value& value) {
  if (const auto* array = value.if_array()) {
    json::array out;
    for (const auto& one : *array) out.push_back(renamed(one));
    return out;
  }
  const auto* object = value.if_object();
  if (!object) return value;
  json::object out;
  for (const auto& [name, one] : *object) {
    const std::string_view text(name.data(), name.size());
    // Of "metadata" the next level still is a message in Envoy's words.
    const bool keep =
        holds_data(text) && !(one.is_object() && one.get_object().contains("filter_metadata"));
    out[camel_case(text)] = keep ? one : renamed(one);
  }
  return out;
}

class JsonPrinter {
public:
  std::string take() { return std::move(out_) + "\n"; }
  void print(const json::value& value) {
    if (const auto* array = value.if_array()) {
      list('[', ']', *array, [this](const json::value& one) { print(one); });
    } else if (const auto* object = value.if_object()) {
      list('{', '}', *object, [this](const auto& one) {
        out_ += json::serialize(json::value(one.key())) + ": ";
        print(one.value());
      });
    } else {
      out_ += json::serialize(value);
    }
  }

private:
  void list(char open, char close, const auto& all, auto each) {
    out_ += open;
    depth_++;
    bool first = true;
    for (const auto& one : all) {
      out_ += first ? "\n" : ",\n";
      first = false;
      out_.append(4 * depth_, ' ');
      each(one);
    }
    depth_--;
    if (!first) (out_ += '\n').append(4 * depth_, ' ');
    out_ += close;
  }

  std::string out_;
  std::size_t depth_ = 0;
};

// Whether YAML reads it back as the same string without quotes. Rather too few than too many.
bool is_plain(std::string_view text) {
  static constexpr std::string_view words[] = {"true", "false", "null", "yes", "no",
                                               "on",   "off",   "y",    "n"};
  if (text.empty() || text.size() > 1024) return false;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!is_letter(text.front()) && text.front() != '/') return false;
  const std::string lower = ascii::lower_case(text);
  if (std::find(std::begin(words), std::end(words), lower) != std::end(words)) return false;
  if (text.ends_with(' ') || text.ends_with(':')) return false;
  if (text.find(": ") != text.npos || text.find(" #") != text.npos) return false;
  constexpr std::string_view marks = " ._-/:|*=+~()@,;";
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || marks.find(c) != marks.npos;
  });
}

class YamlPrinter {
public:
  std::string take() { return std::move(out_); }
  // Stands behind "name:" or "- ", or at the beginning.
  void print(const json::value& value, std::size_t depth, bool after_dash) {
    if (const auto* array = value.if_array(); array && !array->empty()) {
      for (const auto& one : *array) {
        line(depth, after_dash);
        out_ += "- ";
        print(one, depth + 2, true);
      }
    } else if (const auto* object = value.if_object(); object && !object->empty()) {
      print_object(*object, depth, after_dash);
    } else {
      out_ += scalar(value) + "\n";
    }
  }

private:
  void print_object(const json::object& object, std::size_t depth, bool after_dash) {
    std::vector<std::string> names;
    for (const auto& one : object) names.emplace_back(one.key().data(), one.key().size());
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
      line(depth, after_dash);
      const auto& value = object.at(name);
      const bool nested = (value.is_array() && !value.get_array().empty()) ||
                          (value.is_object() && !value.get_object().empty());
      out_ += scalar(json::value(name)) + (nested ? ":\n" : ": ");
      // A list stands as deep as its name, as sigs.k8s.io/yaml has it.
      print(value, depth + (value.is_array() ? 0 : 2), false);
    }
  }
  // The first entry behind "- " is on that line already.
  void line(std::size_t depth, bool& after_dash) {
    if (!after_dash) out_.append(depth, ' ');
    after_dash = false;
  }
  static std::string scalar(const json::value& value) {
    const auto* text = value.if_string();
    if (text && is_plain({text->data(), text->size()})) return {text->data(), text->size()};
    return json::serialize(value);  // JSON's strings are YAML's in double quotes
  }

  std::string out_;
};

}  // namespace

std::string print(const Json& value, Output output, Names names) {
  const json::value& shown = names == Names::camel_case ? renamed(value) : value;
  if (output == Output::yaml) {
    YamlPrinter printer;
    printer.print(shown, 0, false);
    return printer.take();
  }
  JsonPrinter printer;
  printer.print(shown);
  return printer.take();
}

std::string print_list(const std::vector<const Json*>& values, Output output, Names names) {
  json::array all;
  for (const auto* one : values) all.push_back(*one);
  return print(json::value(std::move(all)), output, names);
}

}  // namespace sallyport::cli
