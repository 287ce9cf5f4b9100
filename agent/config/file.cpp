#include "agent/config/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace sallyport::config {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Error failed(std::string reason) {
  return {.fault = Fault::internal, .context = std::move(reason)};
}
Error failed_errno() { return failed(std::strerror(errno)); }

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.fd < 0) return failed_errno();
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) return failed_errno();
  if (S_ISDIR(status.st_mode)) return failed("Is a directory");
  if (!S_ISREG(status.st_mode)) return failed("not a regular file");
  std::string text;
  text.reserve(std::min(static_cast<std::size_t>(status.st_size) + 1, bytes_max + 1));
  for (char chunk[64 * 1024];;) {
    const ssize_t count = ::read(file.fd, chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed_errno();
    if (count == 0) return text;
    if (text.size() + static_cast<std::size_t>(count) > bytes_max) {
      return failed("larger than " + std::to_string(bytes_max) + " bytes");
    }
    text.append(chunk, static_cast<std::size_t>(count));
  }
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string digest(std::string_view text) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
             EVP_sha256(), nullptr);
  out.resize(size);
  return out;
}

}  // namespace sallyport::config
