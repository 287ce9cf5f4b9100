#include "agent/http/local_reply.h"

#include <cstring>
#include <ctime>
#include <utility>

#include "agent/http/message/head.h"

namespace sallyport::http {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Payload Too Large";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

std::string_view HttpDate::at(int64_t unix_seconds) {
  if (unix_seconds != second_) {
    static constexpr char days[] = "SunMonTueWedThuFriSat";
    static constexpr char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const time_t now = unix_seconds;
    tm t{};
    gmtime_r(&now, &t);
    const auto two = [this](std::size_t at, int n) {
      text_[at] = static_cast<char>('0' + n / 10 % 10);
      text_[at + 1] = static_cast<char>('0' + n % 10);
    };
    std::memcpy(text_.data(), "Sat, 21 Nov 2026 07:37:26 GMT", text_.size());
    std::memcpy(text_.data(), days + 3 * t.tm_wday, 3);
    two(5, t.tm_mday);
    std::memcpy(text_.data() + 8, months + 3 * t.tm_mon, 3);
    two(12, (t.tm_year + 1900) / 100);
    two(14, (t.tm_year + 1900) % 100);
    two(17, t.tm_hour);
    two(20, t.tm_min);
    two(23, t.tm_sec);
    second_ = unix_seconds;
  }
  return {text_.data(), text_.size()};
}

namespace {

// Of lines as they are written.
bool names_field(std::string_view lines, std::string_view name) {
  while (!lines.empty()) {
    if (lines.size() > name.size() && lines[name.size()] == ':' &&
        same_name(lines.substr(0, name.size()), name))
      return true;
    lines.remove_prefix(std::min(lines.find('\n'), lines.size() - 1) + 1);
  }
  return false;
}

}  // namespace

std::string write_local_reply(const LocalReply& reply) {
  std::string out = reply.minor ? "HTTP/1.1 " : "HTTP/1.0 ";
  const auto field = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  out.append(std::to_string(reply.status)).append(" ").append(reason_phrase(reply.status));
  out.append("\r\n");
  // 1xx, 204 and 304 have no body; a length would be read as the one of a 200.
  const bool bodiless = reply.status < 200 || reply.status == 204 || reply.status == 304;
  if (!bodiless) field("content-length", std::to_string(reply.body.size()));
  const bool typed = names_field(reply.fields, "content-type");
  if (!bodiless && !reply.body.empty() && !typed) field("content-type", "text/plain");
  if (!reply.location.empty()) field("location", reply.location);
  out.append(reply.fields);
  if (reply.overloaded) field("x-envoy-overloaded", "true");
  if (!reply.date.empty()) field("date", reply.date);
  if (!reply.server.empty()) field("server", reply.server);
  if (reply.close)
    field("connection", "close");
  else if (!reply.minor)
    field("connection", "keep-alive");
  out.append("\r\n");
  if (!bodiless && !reply.head) out.append(reply.body);
  return out;
}

}  // namespace sallyport::http
