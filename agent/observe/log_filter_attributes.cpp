// Envoy's attributes (Envoy's documentation, "Attributes"), as far as a record knows them.
#include <algorithm>

#include "agent/observe/log_filter_plan.h"
#include "agent/observe/log_plan.h"

namespace sallyport::observe {
namespace {

struct NamedAttribute {
  std::string_view name;
  Attribute attribute;
  FilterType type;
};
constexpr NamedAttribute named_attributes[] = {
    {"request.path", Attribute::request_path, FilterType::text},
    {"request.url_path", Attribute::request_url_path, FilterType::text},
    {"request.query", Attribute::request_query, FilterType::text},
    {"request.host", Attribute::request_host, FilterType::text},
    {"request.scheme", Attribute::request_scheme, FilterType::text},
    {"request.method", Attribute::request_method, FilterType::text},
    {"request.useragent", Attribute::request_useragent, FilterType::text},
    {"request.id", Attribute::request_id, FilterType::text},
    {"request.protocol", Attribute::request_protocol, FilterType::text},
    {"request.duration", Attribute::request_duration, FilterType::duration},
    {"request.size", Attribute::request_size, FilterType::integer},
    {"response.code", Attribute::response_code, FilterType::integer},
    {"response.code_details", Attribute::response_code_details, FilterType::text},
    {"response.flags", Attribute::response_flags, FilterType::integer},
    {"response.grpc_status", Attribute::response_grpc_status, FilterType::integer},
    {"response.size", Attribute::response_size, FilterType::integer},
    {"connection.mtls", Attribute::connection_mtls, FilterType::boolean},
    {"connection.requested_server_name", Attribute::connection_sni, FilterType::text},
    {"connection.id", Attribute::connection_id, FilterType::integer},
    {"connection.termination_details", Attribute::connection_termination_details, FilterType::text},
    {"connection.transport_failure_reason", Attribute::connection_failure_reason, FilterType::text},
    {"source.address", Attribute::source_address, FilterType::text},
    {"source.port", Attribute::source_port, FilterType::integer},
    {"destination.address", Attribute::destination_address, FilterType::text},
    {"destination.port", Attribute::destination_port, FilterType::integer},
    {"upstream.address", Attribute::upstream_address, FilterType::text},
    {"upstream.port", Attribute::upstream_port, FilterType::integer},
    {"upstream.local_address", Attribute::upstream_local_address, FilterType::text},
    {"upstream.transport_failure_reason", Attribute::upstream_failure_reason, FilterType::text},
    {"upstream.request_attempt_count", Attribute::upstream_attempts, FilterType::integer},
    {"xds.cluster_name", Attribute::xds_cluster_name, FilterType::text},
    {"xds.route_name", Attribute::xds_route_name, FilterType::text},
    {"xds.filter_chain_name", Attribute::xds_filter_chain_name, FilterType::text},
};

// Behind "connection." and "upstream.".
constexpr TlsText tls_attributes[] = {
    {"tls_version", &TlsFacts::version},
    {"subject_local_certificate", &TlsFacts::local_subject},
    {"subject_peer_certificate", &TlsFacts::peer_subject},
    {"dns_san_local_certificate", &TlsFacts::local_dns_san},
    {"dns_san_peer_certificate", &TlsFacts::peer_dns_san},
    {"uri_san_local_certificate", &TlsFacts::local_uri_san},
    {"uri_san_peer_certificate", &TlsFacts::peer_uri_san},
    {"sha256_peer_certificate_digest", &TlsFacts::peer_fingerprint_256},
};
constexpr std::string_view client_attributes = "connection.", upstream_attributes = "upstream.";

// response.flags is a number whose bits are in the order of Envoy's CoreResponseFlag.
constexpr Flag flag_bits[] = {LH,   UH,   UT,   LR,   UR, UF,  UC, UO, NR,  DI,
                              FI,   RL,   UAEX, RLSE, DC, URX, SI, IH, DPE, UMSDR,
                              RFCF, NFCF, DT,   UPE,  NC, OM,  DF, DO, DR};

int64_t bits_of(uint32_t flags) {
  int64_t bits = 0;
  for (std::size_t i = 0; i < std::size(flag_bits); i++)
    if (flags & flag_bits[i]) bits |= int64_t{1} << i;
  return bits;
}

FilterValue text_value(std::string_view value) {
  return {.type = FilterType::text, .absent = value.empty(), .text = value};
}

FilterValue whole_value(int64_t value) { return {.type = FilterType::integer, .integer = value}; }

FilterValue address_value(const SocketAddress& address, std::size_t place, FilterScratch& scratch) {
  if (!address.is_set()) return absent_value;
  char* const begin = scratch.addresses[place].data();
  return text_value({begin, static_cast<std::size_t>(address.write(begin) - begin)});
}

FilterValue port_value(const SocketAddress& address) {
  return address.is_set() && !address.is_unix() ? whole_value(address.port()) : absent_value;
}

// Of several SANs the first, as Envoy's attributes have it.
FilterValue tls_value(const TlsAttribute& tls, const AccessRecord& record) {
  if (!record.extras) return absent_value;
  const auto& facts = tls.upstream ? record.extras->upstream_tls : record.extras->downstream_tls;
  if (!facts) return absent_value;
  const std::string_view value = (*facts).*tls.text;
  const bool san = tls.text == &TlsFacts::peer_uri_san || tls.text == &TlsFacts::peer_dns_san ||
                   tls.text == &TlsFacts::local_uri_san || tls.text == &TlsFacts::local_dns_san;
  return text_value(san ? value.substr(0, value.find(',')) : value);
}

std::string_view path_of(const AccessRecord& record) {
  return record.rewritten_path.empty() ? record.path : record.rewritten_path;
}

// Of an opaque connection there is none.
FilterValue message_value(Attribute attribute, const AccessRecord& record) {
  if (!record.http) return absent_value;
  const auto path = path_of(record);
  const auto question = path.find('?');
  switch (attribute) {
    case Attribute::request_path:
      return text_value(path);
    case Attribute::request_url_path:
      return text_value(path.substr(0, question));
    case Attribute::request_query:
      return text_value(question == path.npos ? std::string_view() : path.substr(question + 1));
    case Attribute::request_host:
      return text_value(record.authority);
    case Attribute::request_scheme:
      return text_value(record.method.empty() ? std::string_view() : record.scheme);
    case Attribute::request_method:
      return text_value(record.method);
    case Attribute::request_useragent:
      return text_value(record.user_agent);
    case Attribute::request_id:
      return text_value(record.request_id);
    case Attribute::request_protocol:
      return text_value(record.protocol);
    case Attribute::response_code:
      return record.response_code > 0 ? whole_value(record.response_code) : absent_value;
    case Attribute::response_code_details:
      return text_value(record.details);
    default: {
      const auto status = grpc_status_of(record);
      return status ? whole_value(*status) : absent_value;
    }
  }
}

FilterValue end_value(Attribute attribute, const AccessRecord& record, FilterScratch& scratch) {
  switch (attribute) {
    case Attribute::source_address:
      return address_value(record.downstream_remote, 0, scratch);
    case Attribute::source_port:
      return port_value(record.downstream_remote);
    case Attribute::destination_address:
      return address_value(record.downstream_local, 1, scratch);
    case Attribute::destination_port:
      return port_value(record.downstream_local);
    case Attribute::upstream_address:
      return address_value(record.upstream_host, 2, scratch);
    case Attribute::upstream_port:
      return port_value(record.upstream_host);
    case Attribute::upstream_local_address:
      return address_value(record.upstream_local, 3, scratch);
    case Attribute::upstream_failure_reason:
      return text_value(record.failure_reason);
    case Attribute::upstream_attempts:
      return record.attempts ? whole_value(record.attempts) : absent_value;
    case Attribute::xds_cluster_name:
      return text_value(record.cluster);
    case Attribute::xds_route_name:
      return text_value(record.route_name);
    default:
      return text_value(record.filter_chain);
  }
}

}  // namespace

std::optional<FilterAttribute> find_attribute(std::string_view name) {
  for (const auto& one : named_attributes)
    if (one.name == name) return FilterAttribute{one.attribute, one.type, {}};
  const bool upstream = name.starts_with(upstream_attributes);
  if (!upstream && !name.starts_with(client_attributes)) return std::nullopt;
  name.remove_prefix((upstream ? upstream_attributes : client_attributes).size());
  for (const auto& one : tls_attributes)
    if (one.name == name)
      return FilterAttribute{Attribute::tls, FilterType::text, {one.text, upstream}};
  return std::nullopt;
}

std::vector<std::string> attribute_names() {
  std::vector<std::string> out;
  for (const auto& one : named_attributes) out.emplace_back(one.name);
  for (const auto& one : tls_attributes)
    for (const auto side : {client_attributes, upstream_attributes})
      out.push_back(std::string(side).append(one.name));
  return out;
}

FilterValue attribute_value(const FilterAttribute& attribute, const AccessRecord& record,
                            FilterScratch& scratch) {
  switch (attribute.attribute) {
    case Attribute::request_duration: {
      FilterValue out{.type = FilterType::duration};
      out.integer = record.duration_us * 1000;
      return out;
    }
    case Attribute::request_size:
      return whole_value(static_cast<int64_t>(record.bytes_received));
    case Attribute::response_size:
      return whole_value(static_cast<int64_t>(record.bytes_sent));
    case Attribute::response_flags:
      return whole_value(bits_of(record.flags));
    case Attribute::connection_mtls:
      return {.type = FilterType::boolean, .boolean = record.mutual_tls};
    case Attribute::connection_sni:
      return text_value(record.sni);
    case Attribute::connection_id:
      return whole_value(static_cast<int64_t>(record.connection_id));
    case Attribute::connection_termination_details:
      return text_value(record.termination_details);
    case Attribute::connection_failure_reason:
      return text_value(record.downstream_failure_reason);
    case Attribute::tls:
      return tls_value(attribute.tls, record);
    default:
      break;
  }
  if (attribute.attribute < Attribute::connection_mtls)
    return message_value(attribute.attribute, record);
  return end_value(attribute.attribute, record, scratch);
}

std::optional<std::string_view> header_value(HeaderMap map, std::string_view name,
                                             const AccessRecord& record) {
  if (name.starts_with(':')) {
    const auto value = name == ":path"     ? path_of(record)
                       : name == ":method" ? record.method
                       : name == ":scheme" ? record.scheme
                                           : record.authority;
    return record.http && !value.empty() ? std::optional(value) : std::nullopt;
  }
  if (!record.extras) return std::nullopt;
  const AccessExtras& extras = *record.extras;
  return (map == HeaderMap::request    ? extras.request
          : map == HeaderMap::response ? extras.response
                                       : extras.trailers)
      .find(name);
}

void want_for(const FilterAttribute& attribute, LogNeeds& needs) {
  if (attribute.attribute == Attribute::tls)
    (attribute.tls.upstream ? needs.upstream_tls : needs.downstream_tls) = true;
  if (attribute.attribute != Attribute::response_grpc_status) return;
  needs.response_headers.emplace_back("grpc-status");
  needs.trailers.emplace_back("grpc-status");
}

}  // namespace sallyport::observe
