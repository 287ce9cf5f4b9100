// How much of the bytes at hand belongs to a message's body. Chunk framing is checked strictly and
// passed through as it is, or taken off (next). Pure.
#pragma once
#include <cstdint>
#include <string_view>

#include "agent/http/message/head.h"

namespace sallyport::http {

class Body {
public:
  static Body none() { return of(0); }
  static Body of(uint64_t length);
  static Body of_chunks();
  static Body to_the_end();
  // RFC 9112 section 6.3.
  static Body of_request(const Head& head);
  // The answer to `method`. HEAD, 1xx, 204, 304: none, whatever the fields say.
  static Body of_response(const Head& head, std::string_view method);

  // How many of the bytes are this body's. Fewer than all: the body is over, or the next byte is
  // bad. Any split of the bytes gives the same result.
  std::size_t eat(std::string_view bytes);

  // As eat(), but goes only to the end of one run of content: call it again with what is left,
  // until nothing is taken.
  struct Part {
    std::size_t taken = 0;     // bytes of the body, framing included
    std::string_view content;  // the payload among them; may be empty
  };
  Part next(std::string_view bytes);

  bool over() const;       // complete; never for a body that lasts until the end
  bool bad() const;        // the framing is broken: the connection is of no more use
  bool until_end() const;  // as long as the connection
  bool is_chunked() const;
  uint64_t content_bytes() const;  // payload so far, without framing

private:
  enum class Kind : uint8_t { length, chunks, until_end };
  enum class State : uint8_t;
  bool step(unsigned char byte);
  bool size_byte(unsigned char byte);
  bool trailer_byte(unsigned char byte);

  Kind kind_ = Kind::length;
  State state_{};
  uint8_t digits_ = 0;
  uint16_t extension_bytes_ = 0, trailer_bytes_ = 0;
  uint32_t name_hash_ = 0;  // of a trailer's name in lower case
  uint64_t left_ = 0, content_ = 0;
};

}  // namespace sallyport::http
