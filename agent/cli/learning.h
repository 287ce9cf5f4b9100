// --learn of a sidecar: every worker remembers the destinations outside of the registry
// (agent/observe/egress.h); here their processes get names, and the workers' memories become one.
//
// Threading: the configuration thread's.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "agent/cli/process_names.h"
#include "agent/observe/egress.h"
#include "agent/proxy/worker.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::cli {

class Learning {
public:
  using Workers = std::vector<std::unique_ptr<proxy::Worker>>;
  // Both outlive it.
  Learning(boost::asio::io_context& io, Workers& workers) : io_(io), workers_(workers) {}
  Learning(const Learning&) = delete;

  // Has the newest of the workers learn. REQUIRES: it does not run, and answers no DNS yet.
  void begin(proxy::Worker& worker);
  // `done` is called on the io_context's thread, when every worker has told.
  void collect(std::function<void(observe::EgressReport)> done);

private:
  boost::asio::io_context& io_;
  Workers& workers_;
  ProcessNames names_;
};

}  // namespace sallyport::cli
