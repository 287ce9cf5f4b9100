#include "agent/config/decoded_files.h"

#include <algorithm>

#include "agent/config/file.h"
#include "agent/istio/documents.h"

namespace sallyport::config {
namespace {

// Reads a file's documents beside what its last version held: both go from the top, by line.
class Reading {
public:
  Reading(const SharedText& path, const DecodedFile* before, const KnownRef& known)
      : path_(path), before_(before), known_(known), file_(std::make_shared<DecodedFile>()) {}
  void document(const istio::Document& document);
  DecodedFilePtr take();

private:
  const DecodedFile::Part* same_before(const DecodedFile::Part& part);
  void copy(const DecodedFile::Part& part);
  void decode(const istio::Document& document, DecodedFile::Part part);
  void keep_ref(istio::Resource& resource) const;

  const SharedText& path_;
  const DecodedFile* before_;  // may be null
  const KnownRef& known_;
  std::shared_ptr<DecodedFile> file_;
  // How far `before_` has been walked.
  std::size_t part_ = 0, resource_ = 0, refused_ = 0, finding_ = 0;
};

DecodedFilePtr Reading::take() {
  file_->resources.shrink_to_fit();
  file_->parts.shrink_to_fit();
  return file_;
}

const DecodedFile::Part* Reading::same_before(const DecodedFile::Part& part) {
  for (; before_ && part_ < before_->parts.size(); part_++) {
    const auto& old = before_->parts[part_];
    if (old.line > part.line) return nullptr;
    if (old.line == part.line) return old.digest == part.digest ? &old : nullptr;
    resource_ += old.resources;
    refused_ += old.refused;
    finding_ += old.findings;
  }
  return nullptr;
}

void Reading::copy(const DecodedFile::Part& part) {
  const auto append = [](auto& to, const auto& from, std::size_t at, std::size_t count) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(at);
    to.insert(to.end(), first, first + static_cast<std::ptrdiff_t>(count));
  };
  append(file_->resources, before_->resources, resource_, part.resources);
  append(file_->refused, before_->refused, refused_, part.refused);
  append(file_->findings, before_->findings, finding_, part.findings);
  file_->parts.push_back(part);
}

void Reading::keep_ref(istio::Resource& resource) const {
  auto& ref = std::visit([](auto& one) -> ResourceRefPtr& { return one.metadata.ref; }, resource);
  auto known = known_(*ref);
  if (known && *known == *ref) ref = std::move(known);
}

void Reading::decode(const istio::Document& document, DecodedFile::Part part) {
  istio::Decoded decoded = istio::decode(document, path_);
  part.resources = static_cast<uint32_t>(decoded.resources.size());
  part.refused = static_cast<uint32_t>(decoded.refused.size());
  part.findings = static_cast<uint32_t>(decoded.findings.size());
  for (istio::Resource& resource : decoded.resources) {
    keep_ref(resource);
    file_->resources.push_back(std::make_shared<istio::Resource>(std::move(resource)));
  }
  std::move(decoded.refused.begin(), decoded.refused.end(), std::back_inserter(file_->refused));
  std::move(decoded.findings.begin(), decoded.findings.end(), std::back_inserter(file_->findings));
  file_->parts.push_back(part);
}

void Reading::document(const istio::Document& document) {
  DecodedFile::Part part;
  part.line = document.line;
  const std::string sum = digest(document.text);
  std::copy_n(sum.begin(), part.digest.size(), part.digest.begin());
  const auto* same = same_before(part);
  same ? copy(*same) : decode(document, part);
}

}  // namespace

void DecodedFiles::mark(Known& file) {
  taken_ += file.load != load_;
  file.load = load_;
}

DecodedFilePtr DecodedFiles::held(std::string_view path, const FileStamp& stamp) {
  const auto at = files_.find(path);
  if (at == files_.end() || at->second.stamp != stamp) return nullptr;
  mark(at->second);
  return at->second.file;
}

DecodedFilePtr DecodedFiles::take(const SourceFile& source, const KnownRef& known) {
  auto at = files_.find(source.path);
  if (at == files_.end()) {
    SharedText path(source.path);
    const std::string_view key = path.str();
    at = files_.emplace(key, Known{std::move(path), {}, nullptr, 0}).first;
  }
  auto& file = at->second;
  mark(file);
  Reading reading(file.path, file.file.get(), known);
  for (const auto& document : istio::split_documents(source.text)) reading.document(document);
  file.stamp = source.stamp;
  return file.file = reading.take();
}

void DecodedFiles::finish() {
  if (taken_ != files_.size())
    std::erase_if(files_, [&](const auto& entry) { return entry.second.load != load_; });
  finish_edit();
}

void DecodedFiles::finish_edit() {
  load_++;
  taken_ = 0;
}

DecodedFilePtr DecodedFiles::find(std::string_view path) const {
  const auto at = files_.find(path);
  return at == files_.end() ? nullptr : at->second.file;
}

}  // namespace sallyport::config
