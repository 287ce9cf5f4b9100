#include "certs/ca/identity_settings.h"

#include "agent/config/file.h"
#include "agent/core/limits.h"
#include "certs/ca/ca_source.h"
#include "certs/ca/identity_check.h"
#include "certs/ca/workload_source.h"

namespace sallyport::ca {
namespace {

// A source whose roots have company.
class MoreRoots : public IdentitySource {
public:
  MoreRoots(std::unique_ptr<IdentitySource> source, std::string file)
      : source_(std::move(source)), file_(std::move(file)) {}

  void fetch(Deliver deliver) override {
    source_->fetch([this, deliver = std::move(deliver)](Result<IdentityMaterial> material) {
      deliver(material ? joined(std::move(*material)) : std::move(material));
    });
  }
  bool follows() const override { return source_->follows(); }
  std::string name() const override { return source_->name(); }

private:
  Result<IdentityMaterial> joined(IdentityMaterial material) const {
    auto more = config::read_file(file_, limits::pem_file_bytes);
    if (!more) return while_doing(file_, more.error());
    auto all = join_certificates({material.roots_pem, *more});
    if (!all) return while_doing(file_, all.error());
    material.roots_pem = std::move(*all);
    return material;
  }

  std::unique_ptr<IdentitySource> source_;
  std::string file_;
};

}  // namespace

std::unique_ptr<IdentitySource> make_source(boost::asio::io_context& io,
                                            const IdentitySettings& settings,
                                            const std::string& spiffe_id,
                                            std::function<void(const std::string&)> warn) {
  std::unique_ptr<IdentitySource> source;
  if (const auto* files = std::get_if<IdentityFiles>(&settings.source))
    source = make_file_source(io, *files, std::move(warn), spiffe_id);
  else if (const auto* from = std::get_if<CaSettings>(&settings.source))
    source = make_ca_source(io, *from, spiffe_id);
  else
    source =
        make_workload_source(io, std::get<WorkloadApiSettings>(settings.source), spiffe_id, warn);
  if (settings.more_roots_file.empty()) return source;
  return std::make_unique<MoreRoots>(std::move(source), settings.more_roots_file);
}

}  // namespace sallyport::ca
