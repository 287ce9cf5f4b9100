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

Error file_error(const std::string& path) {
  return {.fault = Fault::internal, .context = path + ": " + std::strerror(errno)};
}

Result<void> write_whole(const std::string& path, std::string_view text, mode_t mode) {
  ::unlink(path.c_str());  // of a start that was cut off
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return file_error(path);
  bool whole = true;
  while (whole && !text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    whole = written > 0;
    if (whole) text.remove_prefix(static_cast<std::size_t>(written));
  }
  whole = whole && ::fsync(fd) == 0;
  const Error error = file_error(path);
  ::close(fd);
  if (!whole) return error;
  return {};
}

Result<void> sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return file_error(directory);
  const bool synced = ::fsync(fd) == 0 || errno == EINVAL;  // some file systems have no such thing
  const Error error = file_error(directory);
  ::close(fd);
  if (!synced) return error;
  return {};
}

// Linked rather than renamed to its name: that never replaces what is there.
Result<void> write_new(const std::string& directory, const char* name, std::string_view text,
                       mode_t mode) {
  const std::string path = directory + '/' + name, unfinished = directory + "/." + name + ".new";
  if (auto written = write_whole(unfinished, text, mode); !written) return written;
  const bool linked = ::link(unfinished.c_str(), path.c_str()) == 0;
  const Error error = file_error(path);
  ::unlink(unfinished.c_str());
  if (!linked) return error;
  return sync_directory(directory);
}

}  // namespace

bool has_authority(const std::string& directory) {
  return config::exists(directory + "/ca-cert.pem");
}

Result<AuthorityFiles> read_authority(const std::string& directory) {
  const auto path = [&](const char* name) { return directory + '/' + name; };
  auto pair = config::read_pem({path("ca-cert.pem"), path("ca-key.pem")});
  if (!pair) return pair.error();
  if (auto own = join_certificates({pair->first}); !own)
    return while_doing(path("ca-cert.pem"), own.error());
  AuthorityFiles files{pair->first, SecretText(std::move(pair->second)), pair->first};
  if (config::exists(path("cert-chain.pem"))) {
    auto chain = config::read_file(path("cert-chain.pem"), limits::pem_file_bytes);
    if (!chain) return while_doing(path("cert-chain.pem"), chain.error());
    const bool is_empty = chain->find_first_not_of(" \t\r\n") == chain->npos;  // as a root's may be
    if (auto any = join_certificates({*chain}); !any && !is_empty)
      return while_doing(path("cert-chain.pem"), any.error());
    auto joined = join_certificates({pair->first, *chain});
    if (!joined) return while_doing(path("cert-chain.pem"), joined.error());
    files.chain_pem = std::move(*joined);
  }
  if (config::exists(path("root-cert.pem"))) {
    auto roots = config::read_file(path("root-cert.pem"), limits::pem_file_bytes);
    if (!roots) return while_doing(path("root-cert.pem"), roots.error());
    files.roots_pem = std::move(*roots);
  }
  return files;
}

Result<SecretText> read_left_key(const std::string& directory) {
  const std::string path = directory + "/ca-key.pem";
  if (!config::exists(path)) return SecretText();
  auto text = config::read_file(path, limits::pem_file_bytes);
  if (!text) return while_doing(path, text.error());
  return SecretText(std::move(*text));
}

Result<void> write_key(const std::string& directory, const SecretText& key_pem) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Error{.fault = Fault::internal, .context = directory + ": " + error.message()};
  return write_new(directory, "ca-key.pem", key_pem.view(), 0600);
}

Result<void> write_certificate(const std::string& directory, const std::string& root_pem) {
  if (config::exists(directory + "/root-cert.pem")) {
    return Error{.fault = Fault::internal,
                 .context = directory + "/root-cert.pem: is there, and no ca-cert.pem with it"};
  }
  return write_new(directory, "ca-cert.pem", root_pem, 0644);
}

void complete_roots(const std::string& directory, const std::string& root_pem) {
  if (!config::exists(directory + "/root-cert.pem"))
    (void)write_new(directory, "root-cert.pem", root_pem, 0644);
}

Result<void> write_roots(const std::string& path, const std::string& roots_pem) {
  const std::string next = path + ".new";
  if (auto written = write_whole(next, roots_pem, 0644); !written) return written;
  if (::rename(next.c_str(), path.c_str()) != 0) return file_error(path);
  return {};
}

}  // namespace sallyport::ca
