#include "certs/ca/file_source.h"

#include "agent/config/file.h"
#include "agent/config/secret_keys.h"
#include "agent/config/watcher.h"
#include "agent/core/limits.h"

namespace sallyport::ca {
namespace {

class FileSource : public IdentitySource {
public:
  FileSource(boost::asio::io_context& io, IdentityFiles files,
             std::function<void(const std::string&)> warn, std::string expected_id)
      : files_(std::move(files)),
        expected_id_(std::move(expected_id)),
        warn_(std::move(warn)),
        watcher_(io, [this](const auto&) { read_all(); }) {}

  void fetch(Deliver deliver) override {
    deliver_ = std::move(deliver);
    read_all();
  }
  bool follows() const override { return true; }
  std::string name() const override { return "files " + files_.chain + ", " + files_.key; }

private:
  // What is watched from now on may have changed while it was read: then once more, but not
  // forever.
  void read_all() {
    constexpr int reads_max = 4;
    for (int reads = 1;; ++reads) {
      auto material = read();
      const bool again = watch();
      if (again && reads < reads_max) continue;
      return deliver_(std::move(material));
    }
  }

  Result<IdentityMaterial> read() const {
    auto pair = config::read_pem({files_.chain, files_.key});
    if (!pair) return pair.error();
    IdentityMaterial material{std::move(pair->first), SecretText(std::move(pair->second)), {}};
    auto roots = config::read_file(files_.roots, limits::pem_file_bytes);
    if (!roots) return while_doing(files_.roots, roots.error());
    material.roots_pem = std::move(*roots);
    material.expected_id = expected_id_;
    return material;
  }

  bool watch() {
    config::WatchPoints points;
    for (const auto* path : {&files_.chain, &files_.key, &files_.roots})
      config::add_path(*path, points);
    const auto watched = watcher_.watch(points);
    if (watched) return *watched;
    if (watched.error().context != told_)
      warn_("changes of " + name() + " are not followed: " + watched.error().context);
    told_ = watched.error().context;
    return false;
  }

  IdentityFiles files_;
  std::string expected_id_;
  std::function<void(const std::string&)> warn_;
  Deliver deliver_;
  std::string told_;
  config::Watcher watcher_;
};

}  // namespace

std::unique_ptr<IdentitySource> make_file_source(boost::asio::io_context& io, IdentityFiles files,
                                                 std::function<void(const std::string&)> warn,
                                                 std::string expected_id) {
  return std::make_unique<FileSource>(io, std::move(files), std::move(warn),
                                      std::move(expected_id));
}

}  // namespace sallyport::ca
