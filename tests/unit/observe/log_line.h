// One record and the line that a format makes of it, for the tests of this folder.
#pragma once
#include <string>

#include "agent/observe/log_format.h"

namespace sallyport::observe {

inline SocketAddress at(std::string_view text) { return *SocketAddress::parse(text); }

constexpr int64_t start = 1'795'246'646'439'999;  // 2026-11-21T07:37:26.439999Z

inline AccessRecord answered() {
  AccessRecord r;
  r.start_us = start;
  r.duration_us = 51'999;
  r.method = "GET";
  r.path = "/up";
  r.protocol = "HTTP/1.1";
  r.response_code = 200;
  r.details = "via_upstream";
  r.bytes_received = 0;
  r.bytes_sent = 615;
  r.upstream_service_us = 50'000;
  r.forwarded_for = "1.2.3.4";
  r.user_agent = "curl \"q\" \\ \xc3\xa9";
  r.request_id = "586f6569-86b0-40dc-abbd-f4488efc6ce1";
  r.authority = "a.test";
  r.upstream_host = at("127.0.0.1:18081");
  r.upstream_local = at("127.0.0.1:60970");
  r.downstream_local = at("[2001:db8::1]:80");
  r.downstream_remote = at("1.2.3.4:5");
  r.downstream_direct_remote = at("4.3.2.1:6");
  r.cluster = "outbound|80||a.test";
  r.route_name = "default";
  return r;
}

inline std::string line_of(const Result<LogFormat>& format, const AccessRecord& record) {
  if (!format) return "refused: " + format.error().context;
  auto scratch = format->scratch();
  // An exact allocation, so that a write behind its end is seen by the sanitizer.
  std::vector<char> room(format->bound(record));
  const char* const end = format->write(room.data(), record, scratch);
  EXPECT_LE(end, room.data() + room.size());
  return std::string(room.data(), static_cast<std::size_t>(end - room.data()));
}

inline std::string line(const AccessRecord& record, std::string_view format = {}) {
  return line_of(LogFormat::parse(format), record);
}

inline std::string json_line(const AccessRecord& record, std::string_view format = {}) {
  return line_of(LogFormat::parse_json(format), record);
}

}  // namespace sallyport::observe
