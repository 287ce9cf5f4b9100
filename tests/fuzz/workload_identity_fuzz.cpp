// Hostile bytes for the CA and for what asks one: tokens, key sets, gRPC frames, identities.
//
// Whatever the bytes: no token is taken without a signature, a frame comes out as it went in.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "certs/ca/grpc_frames.h"
#include "certs/ca/token.h"
#include "certs/ca/workload_source.h"

namespace {

using namespace sallyport::ca;

void require(bool condition) {
  if (!condition) std::abort();
}

// RFC 7515 A.3's key: bytes at random are no signature of it.
const TokenRules& rules() {
  static const TokenRules one{
      *parse_token_keys(R"({"keys":[{"kty":"EC","crv":"P-256",)"
                        R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                        R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})")};
  return one;
}

void frames(std::string_view text) {
  GrpcReader reader(1024);
  if (!reader.feed(text)) return;
  std::string whole;
  while (const auto message = reader.take()) {
    require(message->size() <= 1024);
    whole += grpc_frame(*message);
  }
  require(text.starts_with(whole));
  require(percent_decoded(percent_encoded(text)) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      require(!verify_token(text, rules(), 1'700'000'000));
      break;
    case 1:
      (void)parse_token_keys(text);
      break;
    case 2:
      (void)parse_static_tokens(text);
      break;
    case 3:
      frames(text);
      break;
    default:
      (void)read_svid(text, "spiffe://cluster.local/ns/default/sa/sleep");
  }
  return 0;
}
