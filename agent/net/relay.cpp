#include "agent/net/relay.h"

#include "agent/net/relaying.h"

namespace sallyport::net {

Relaying::Relaying(Socket& client, Socket& upstream, RelayCounts& counts,
                   std::chrono::milliseconds idle)
    : client_(client),
      upstream_(upstream),
      idle_(idle),
      up_(*this, client, upstream, counts.from_client),
      down_(*this, upstream, client, counts.to_client) {}

bool Relaying::await_suspend(std::coroutine_handle<> awaiting) {
  up_.waiter = down_.waiter = awaiting;
  moved();
  const bool over = up_.run() || down_.run();
  return !over;
}

RelayEnd Relaying::await_resume() {
  RelayEnd end;
  if (idle_too_long_) {
    end.error =
        Error{Fault::timed_out, Side::local, false,
              "no byte in either direction for " + std::to_string(idle_.count()) + " ms", ""};
  } else if (failed_ != nullptr) {
    end.error = failed_->failure(failed_ == &client_ ? Side::downstream : Side::upstream);
  }
  client_.set_deadline(std::chrono::milliseconds(0));
  upstream_.set_deadline(std::chrono::milliseconds(0));
  return end;
}

void Relaying::moved() {
  client_.set_deadline(idle_);
  upstream_.set_deadline(idle_);
}

Task<RelayEnd> relay(Stream& client, Stream& upstream, RelayCounts& counts,
                     std::chrono::milliseconds idle) {
  co_return co_await Relaying(client.socket(), upstream.socket(), counts, idle);
}

}  // namespace sallyport::net
