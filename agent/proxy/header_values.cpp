#include "agent/proxy/header_values.h"

#include <utility>

#include "agent/core/limits.h"
#include "agent/proxy/log_facts.h"

namespace sallyport::proxy {

HeaderValues::Parsed& HeaderValues::parsed(const std::string& value) {
  if (const auto at = parsed_.find(value); at != parsed_.end()) return at->second;
  // Of configurations that are gone; those in use are parsed again.
  if (parsed_.size() >= limits::header_formats) parsed_.clear();
  Parsed out;
  auto format = observe::LogFormat::parse_header_value(value);
  if (format) {
    out.scratch = format->scratch();
    out.format = std::move(*format);
  } else if (warn_) {
    warn_("a VirtualService's header value \"" + value +
          "\" is sent as it is written: " + format.error().context);
  }
  return parsed_.emplace(value, std::move(out)).first->second;
}

std::string HeaderValues::text_of(const std::string& value, observe::AccessRecord& record,
                                  const Facts& facts) {
  auto& [format, scratch] = parsed(value);
  if (!format) return value;
  const auto& needs = format->needs();
  auto extras = std::make_unique<observe::AccessExtras>();
  extras->request.keep_of(facts.request, needs.request_headers);
  extras->response.keep_of(facts.response, needs.response_headers);
  if (needs.upstream_tls && facts.upstream)
    extras->upstream_tls = log_facts(tls::facts_of(*facts.upstream));
  // The record's own are the log's.
  std::swap(record.extras, extras);
  std::string out(format->bound(record), '\0');
  out.resize(static_cast<std::size_t>(format->write(out.data(), record, scratch) - out.data()));
  std::swap(record.extras, extras);
  return out;
}

}  // namespace sallyport::proxy
