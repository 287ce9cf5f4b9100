// The two parsed heads of an exchange and the one that goes out (8 KiB): recycled by the thread,
// held only while a request is served.
#pragma once
#include <memory>
#include <vector>

#include "agent/http/message/head.h"
#include "agent/http/rewrite.h"

namespace sallyport::proxy {

struct Heads {
  http::Head request, response;
  http::Outgoing out;
};

class HeadsLease {
public:
  HeadsLease() {
    auto& spare = spares();
    if (spare.empty()) {
      heads_ = std::make_unique<Heads>();
    } else {
      heads_ = std::move(spare.back());
      spare.pop_back();
    }
  }
  ~HeadsLease() {
    if (spares().size() < most_spare) spares().push_back(std::move(heads_));
  }
  HeadsLease(const HeadsLease&) = delete;
  Heads& operator*() const { return *heads_; }

private:
  static constexpr std::size_t most_spare = 256;
  static std::vector<std::unique_ptr<Heads>>& spares() {
    static thread_local std::vector<std::unique_ptr<Heads>> spare;
    return spare;
  }
  std::unique_ptr<Heads> heads_;
};

}  // namespace sallyport::proxy
