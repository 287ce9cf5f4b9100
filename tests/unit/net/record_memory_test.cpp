// The memory of TLS records is kept for the next record (tls/record_memory.h).
#include "tls/record_memory.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <cstring>
#include <thread>

namespace sallyport::tls {
namespace {

const bool recycled = recycle_record_memory();  // before OpenSSL allocates anything

constexpr std::size_t of_a_record = 16 * 1024 + 300;

TEST(RecordMemory, IsTheOneGivenBackLast) {
  ASSERT_TRUE(recycled);
  void* const first = OPENSSL_malloc(of_a_record);
  void* const second = OPENSSL_malloc(of_a_record);
  OPENSSL_free(first);
  OPENSSL_free(second);
  void* const again = OPENSSL_malloc(of_a_record + 100);
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_NE(again, second) << "a use after giving it back shall be seen";
#else
  EXPECT_EQ(again, second);
#endif
  OPENSSL_free(again);
}

TEST(RecordMemory, OfOtherSizesIsMallocs) {
  for (const std::size_t size : {1u, 16u * 1024, 17u * 1024 + 1, 17u * 1024 + 40, 1u << 20}) {
    char* const memory = static_cast<char*>(OPENSSL_zalloc(size));
    ASSERT_NE(memory, nullptr);
    std::memset(memory, 1, size);
    OPENSSL_free(memory);
    char* const record = static_cast<char*>(OPENSSL_malloc(17 * 1024));
    std::memset(record, 2, 17 * 1024);  // ASan and malloc would see one that is too small
    OPENSSL_free(record);
  }
  OPENSSL_free(nullptr);
}

TEST(RecordMemory, MayBeGivenBackByAnotherThread) {
  for (int i = 0; i < 100; i++) {
    void* const memory = OPENSSL_malloc(of_a_record);
    std::thread([memory] { OPENSSL_free(memory); }).join();
  }
}

}  // namespace
}  // namespace sallyport::tls
