// What a connection that waits costs: no record buffers, only OpenSSL's state.
#include <malloc.h>

#include "tests/unit/tls/tls_pair.h"

namespace sallyport::tls {
namespace {

// OpenSSL's allocations of this program, counted from its very start (later it refuses other
// functions).
std::atomic<long> openssl_bytes = 0;

long size_of(void* block) { return block ? static_cast<long>(malloc_usable_size(block)) : 0; }
void* count_malloc(std::size_t size, const char*, int) {
  void* const block = std::malloc(size);
  openssl_bytes += size_of(block);
  return block;
}
void* count_realloc(void* block, std::size_t size, const char*, int) {
  openssl_bytes -= size_of(block);
  void* const moved = std::realloc(block, size);
  openssl_bytes += size_of(moved);
  return moved;
}
void count_free(void* block, const char*, int) {
  openssl_bytes -= size_of(block);
  std::free(block);
}
const int counting = CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);

TEST(IdleConnection, HoldsNoRecordBuffers) {
  ASSERT_EQ(counting, 1);
  ClientContext context;
  Server server({.issued = root().issue({.dns = {"a.example.com"}})});
  ClientSettings settings;
  settings.roots = trust(root().pem());
  settings.names = {"a.example.com"};
  SessionSlot slot;
  long per_client = 0;
  for (const bool client_writes_last : {false, true}) {
    const long before = openssl_bytes;
    Pair pair(std::move(*context.open(settings, &slot)), server.accept());
    ASSERT_TRUE(pair.handshake());
    if (!client_writes_last) pair.send(*pair.client, "request");
    pair.send(*pair.server, "x");
    EXPECT_EQ(pair.receive(*pair.client, 1), "x");
    if (client_writes_last) pair.send(*pair.client, "request");
    char byte;
    EXPECT_EQ(read_step(*pair.client, {&byte, 1}).want, Want::read);
    pair.server.reset();
    per_client = openssl_bytes - before;
    EXPECT_LT(per_client, 24 * 1024) << "a record buffer is 16 KiB more";
  }
  EXPECT_GT(per_client, 4 * 1024) << "else nothing was counted";
}

}  // namespace
}  // namespace sallyport::tls
