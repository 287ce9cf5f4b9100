// A parsed filter expression: a tree whose nodes know their type, so that what can never be true is
// refused while it is read. Inside this module only.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/istio/regex.h"
#include "agent/observe/access_record.h"
#include "agent/observe/log_format.h"

namespace sallyport::observe {

// `headers` and `list` are no values: they stand on the right of `in`.
enum class FilterType : uint8_t { boolean, integer, real, text, duration, headers, list };

// What a record says of an attribute; views live as long as the record and the scratch.
struct FilterValue {
  FilterType type = FilterType::boolean;
  bool absent = false;  // CEL's error: there is no such value
  bool boolean = false;
  int64_t integer = 0;  // of a duration: nanoseconds
  double real = 0;
  std::string_view text = {};
};
inline constexpr FilterValue absent_value{.absent = true};

enum class Attribute : uint8_t {
  request_path,
  request_url_path,
  request_query,
  request_host,
  request_scheme,
  request_method,
  request_useragent,
  request_id,
  request_protocol,
  request_duration,
  request_size,
  response_code,
  response_code_details,
  response_flags,
  response_grpc_status,
  response_size,
  connection_mtls,
  connection_sni,
  connection_id,
  connection_termination_details,
  connection_failure_reason,
  source_address,
  source_port,
  destination_address,
  destination_port,
  upstream_address,
  upstream_port,
  upstream_local_address,
  upstream_failure_reason,
  upstream_attempts,
  xds_cluster_name,
  xds_route_name,
  xds_filter_chain_name,
  tls  // of either side: see FilterNode::tls
};
enum class HeaderMap : uint8_t { request, response, trailers };

// A text of TlsFacts, of the upstream's or the client's connection.
struct TlsAttribute {
  std::string TlsFacts::*text = nullptr;
  bool upstream = false;
};

struct FilterAttribute {
  Attribute attribute{};
  FilterType type{};
  TlsAttribute tls{};
};
// By its name, "response.code"; nothing: there is none. The names are for suggestions.
std::optional<FilterAttribute> find_attribute(std::string_view name);
std::vector<std::string> attribute_names();

struct FilterNode {
  enum class Op : uint8_t {
    literal,    // `value`; a text is `texts[left]`
    attribute,  // `attribute`
    header,     // the value of `texts[right]` in the map `headers`
    headers,    // the map itself
    list,       // `items`, from `left` as many as `right`
    has,        // whether `left`, an attribute or a header, is there
    negation,   // !left
    conjunction,
    disjunction,
    equal,
    unequal,
    less,
    less_or_equal,
    greater,
    greater_or_equal,
    in_list,
    in_headers,  // `left` names one of the map `headers`
    starts_with,
    ends_with,
    contains,
    matches  // left, by regexes[right]
  };
  Op op{};
  FilterType type{};
  uint32_t left = 0, right = 0;  // of `nodes`, where `op` says nothing else
  FilterValue value = {};
  FilterAttribute attribute = {};
  HeaderMap headers{};
};

struct FilterPlan {
  std::vector<FilterNode> nodes;
  uint32_t root = 0;
  std::vector<uint32_t> items;  // of lists: nodes that are literals
  std::vector<std::string> texts;
  std::vector<istio::Regex> regexes;
  LogNeeds needs;
};

// Room for addresses as texts.
struct FilterScratch {
  std::array<std::array<char, SocketAddress::text_max>, 4> addresses;
};

FilterValue attribute_value(const FilterAttribute& attribute, const AccessRecord& record,
                            FilterScratch& scratch);
// `name` in lower case; of a request also ":path", ":method", ":authority" and ":scheme".
std::optional<std::string_view> header_value(HeaderMap map, std::string_view name,
                                             const AccessRecord& record);
void want_for(const FilterAttribute& attribute, LogNeeds& needs);

// A condition.
Result<FilterPlan> parse_filter(std::string_view expression);
// Anything that has a value, or string() of it.
Result<FilterPlan> parse_value(std::string_view expression);
FilterValue value_of(const FilterPlan& plan, const AccessRecord& record, FilterScratch& scratch);

// Of an expression, from left to right.
struct FilterToken {
  enum class Kind : uint8_t { end, name, text, integer, real, symbol };
  Kind kind = Kind::end;
  std::string_view text = {};  // as it is written; of a text what is between the quotes
  bool raw = false;            // of a text: backslashes are what they are
  std::size_t column = 1;
};

Error bad_filter(std::size_t column, std::string_view why);

class FilterLexer {
public:
  explicit FilterLexer(std::string_view expression) : text_(expression) {}
  Result<FilterToken> next();

private:
  Result<FilterToken> read_text(std::size_t begin, bool raw);
  FilterToken read_number(std::size_t begin);
  FilterToken token(FilterToken::Kind kind, std::size_t begin) const;

  std::string_view text_;
  std::size_t at_ = 0;
};
// What a text token stands for. Error: an escape that is none.
Result<std::string> unescaped(const FilterToken& token);

}  // namespace sallyport::observe
