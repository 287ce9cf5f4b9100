// Answers that we give ourselves, field by field as Envoy's: refusals, no route, upstream failures.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::http {

// "Not Found"; "Unknown" for a status that has no name.
std::string_view reason_phrase(int status);

// The Date field's value, made once a second. One a worker, its thread only.
class HttpDate {
public:
  // "Sat, 21 Nov 2026 07:37:26 GMT"; the view is good until the next call.
  std::string_view at(int64_t unix_seconds);

private:
  int64_t second_ = -1;
  std::array<char, 29> text_;
};

struct LocalReply {
  int status = 503;
  std::string_view body;              // text/plain; may be empty
  std::string_view date;              // see HttpDate
  std::string_view server = "envoy";  // empty: none
  bool close = false;                 // "connection: close"
  uint8_t minor = 1;                  // of the request: HTTP/1.0 clients get an HTTP/1.0 line
  bool head = false;                  // the answer to HEAD: lengths without the body
  bool overloaded = false;            // x-envoy-overloaded: true (flag UO)
  std::string_view location;          // redirects
  std::string_view fields;            // further ones, "name: value\r\n" each
};

// The whole message. Cold path: allocates.
std::string write_local_reply(const LocalReply& reply);

}  // namespace sallyport::http
