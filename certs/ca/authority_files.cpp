#include "certs/ca/authority_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "agent/config/file.h"
#include "agent/config/secret_keys.h"
#include "agent/core/limits.h"
#include "certs/ca/identity_check.h"

namespace sallyport::ca {
namespace {

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Error failed(const std::string& path) {
  return {.fault = Fault::internal, .context = path + ": " + std::strerror(errno)};
}

Result<void> write_new(const std::string& path, std::string_view text, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return failed(path);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const bool whole = written == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const Error error = failed(path);
  ::close(fd);
  if (!whole) return error;
  return {};
}

}  // namespace

bool has_authority(const std::string& directory) {
  return exists(directory + "/ca-cert.pem") || exists(directory + "/ca-key.pem");
}

Result<AuthorityFiles> read_authority(const std::string& directory) {
  const auto path = [&](const char* name) { return directory + '/' + name; };
  auto pair = config::read_pem({path("ca-cert.pem"), path("ca-key.pem")});
  if (!pair) return pair.error();
  if (auto own = join_certificates({pair->first}); !own)
    return while_doing(path("ca-cert.pem"), own.error());
  AuthorityFiles files{pair->first, SecretText(std::move(pair->second)), pair->first};
  if (exists(path("cert-chain.pem"))) {
    auto chain = config::read_file(path("cert-chain.pem"), limits::pem_file_bytes);
    if (!chain) return while_doing(path("cert-chain.pem"), chain.error());
    const bool is_empty = chain->find_first_not_of(" \t\r\n") == chain->npos;  // as a root's may be
    if (auto any = join_certificates({*chain}); !any && !is_empty)
      return while_doing(path("cert-chain.pem"), any.error());
    auto joined = join_certificates({pair->first, *chain});
    if (!joined) return while_doing(path("cert-chain.pem"), joined.error());
    files.chain_pem = std::move(*joined);
  }
  if (exists(path("root-cert.pem"))) {
    auto roots = config::read_file(path("root-cert.pem"), limits::pem_file_bytes);
    if (!roots) return while_doing(path("root-cert.pem"), roots.error());
    files.roots_pem = std::move(*roots);
  }
  return files;
}

Result<void> write_authority(const std::string& directory, const std::string& root_pem,
                             const SecretText& key_pem) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Error{.fault = Fault::internal, .context = directory + ": " + error.message()};
  // The certificate last: what is found without a key is no CA, and is never overwritten.
  if (auto key = write_new(directory + "/ca-key.pem", key_pem.view(), 0600); !key) return key;
  if (auto root = write_new(directory + "/root-cert.pem", root_pem, 0644); !root) return root;
  return write_new(directory + "/ca-cert.pem", root_pem, 0644);
}

Result<void> write_roots(const std::string& path, const std::string& roots_pem) {
  const std::string next = path + ".new";
  ::unlink(next.c_str());  // of a start that was cut off
  if (auto written = write_new(next, roots_pem, 0644); !written) return written;
  if (::rename(next.c_str(), path.c_str()) != 0) return failed(path);
  return {};
}

}  // namespace sallyport::ca
