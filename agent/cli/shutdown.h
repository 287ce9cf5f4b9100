// How a proxy ends, as istio-agent ends Envoy (istio-api.md 2.20): SIGTERM drains what is inbound
// and leaves what is outbound alone, for the application goes on using it; the process ends when
// the drain time is over, or when nothing is connected any more.
//
//   terminate()  SIGTERM: drain, wait, end. Called again, or after drain_now(): end at once.
//   drain_now()  /drain, the preStop of a native sidecar: drain and stay; the SIGTERM comes when
//                the application has ended.
//   drain()      /drain_listeners: what it says, nothing else.
//   quit()       /quitquitquit, SIGINT: end at once.
//
// Threading: the io_context's thread. `end` is called once.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "agent/admin/server.h"
#include "agent/core/limits.h"
#include "agent/proxy/worker.h"

namespace sallyport::cli {

struct ShutdownTimes {
  std::chrono::milliseconds drain{45'000};       // drainDuration: then nothing is accepted any more
  std::chrono::milliseconds termination{5'000};  // terminationDrainDuration
  bool until_unused = false;                     // EXIT_ON_ZERO_ACTIVE_CONNECTIONS
  // With that: MINIMUM_DRAIN_DURATION, then the time between counts of connections.
  std::chrono::milliseconds minimum = limits::minimum_drain;
  std::chrono::milliseconds count_period = limits::connection_count_period;
};

class Shutdown {
public:
  struct Actions {
    std::function<void(const proxy::Worker::Drain&)> drain;  // of every worker
    std::function<uint64_t()> connections;                   // downstream, at this moment
    std::function<void()> end;
    std::function<void(const std::string&)> log;
  };
  Shutdown(boost::asio::io_context& io, Actions actions);
  ~Shutdown();
  Shutdown(const Shutdown&) = delete;

  void terminate(const ShutdownTimes& times);
  void drain_now(const ShutdownTimes& times);
  void drain(const admin::Drain& how, const ShutdownTimes& times);
  void quit();
  bool draining() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::cli
