// How the functions that write heads fill an Outgoing. Inside this module only.
#pragma once
#include <cstdint>
#include <string_view>

#include "agent/core/address.h"
#include "agent/http/rewrite.h"

namespace sallyport::http {

// Appends to an Outgoing; what lies side by side becomes one piece. A head that needs more pieces
// or scratch than there are was counted wrongly: that ends the process, for better none than one
// that writes past its memory.
class Pieces {
public:
  explicit Pieces(Outgoing& out) : out_(out), at_(out.scratch.data()) { out.count = out.bytes = 0; }

  // REQUIRES: the bytes live until the pieces are written.
  void view(std::string_view bytes);
  void copy(std::string_view bytes);
  // A field; `name` with its colon and blank. A long value is not worth a copy.
  void field(std::string_view name, std::string_view value);
  void field(std::string_view name, int64_t value);
  void address(const IpAddress& ip);

private:
  Outgoing& out_;
  char* at_;  // in scratch
};

// All from `from` to the last field but those that `drops`.
template <class Drops>
void keep_fields(const Head& head, uint32_t from, Pieces& pieces, Drops drops) {
  for (std::size_t i = 0; i < head.count; i++) {
    const Field& field = head.fields[i];
    if (!drops(field)) continue;
    pieces.view({head.base + from, field.begin - from});
    from = field.end;
  }
  pieces.view({head.base + from, head.size - 2 - from});
}

// Whether a gateway doesn't pass this field on as it is.
bool edge_drops(const Head& head, const Field& field, const Edge& edge);

// What a gateway says in those fields' place. REQUIRES: adds.edge.
void add_edge_fields(const Head& head, const RequestAdds& adds, Pieces& pieces);

// x-forwarded-client-cert as adds.forward_client_cert wants it.
void add_forwarded_cert(const Head& head, const RequestAdds& adds, Pieces& pieces);

}  // namespace sallyport::http
