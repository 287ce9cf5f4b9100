#include "agent/proxy/mirror.h"

#include "agent/http/body.h"
#include "agent/net/combine.h"
#include "agent/net/timers.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

net::Task<bool> fill(upstream::Connection& upstream, Inbox& inbox) {
  const auto count = co_await upstream.stream.read(inbox.room());
  if (count > 0) inbox.filled(std::size_t(count));
  co_return count > 0;
}

// Reads the answer to its end. True: whole, and the connection may be used again.
net::Task<bool> discard_answer(upstream::Connection& upstream, std::string_view method) {
  const HeadsLease heads;
  auto& head = (*heads).response;
  Inbox inbox;
  for (;;) {
    const auto parsed =
        inbox.empty() ? http::Parse::more : http::parse_response(inbox.bytes(), head);
    if (parsed == http::Parse::bad || inbox.bytes().size() >= Inbox::most) co_return false;
    if (parsed == http::Parse::more) {
      if (!co_await fill(upstream, inbox)) co_return false;
      continue;
    }
    if (head.status >= 200) break;
    if (head.status == 101) co_return false;
    inbox.consume(head.size);
  }
  auto body = http::Body::of_response(head, method);
  const bool reusable = head.persistent() && !body.until_end();
  for (inbox.consume(head.size);;) {
    inbox.consume(body.eat(inbox.bytes()));
    if (body.over() || body.bad()) co_return reusable && !body.bad() && inbox.empty();
    if (!co_await fill(upstream, inbox)) co_return false;
  }
}

// Bytes of copies that are under way on this worker's thread.
constexpr std::size_t bytes_under_way_max = 32 * limits::mirrored_bytes;
thread_local std::size_t bytes_under_way = 0;

struct Held {
  explicit Held(std::size_t size) : bytes(size) { bytes_under_way += bytes; }
  ~Held() { bytes_under_way -= bytes; }
  Held(const Held&) = delete;
  const std::size_t bytes;
};

net::Task<void> exchange(const MirroredRequest& request, Worker& worker) {
  upstream::Need need;
  need.authority = request.authority;
  need.original_destination = request.original_destination;
  auto acquired = co_await worker.upstreams().acquire(request.cluster, need);
  if (!acquired) {
    worker.metrics().mirrored_failed.add();
    co_return;
  }
  auto upstream = std::move(*acquired);
  const bool sent = co_await upstream.stream.write_all(request.bytes);
  const bool whole = sent && co_await discard_answer(upstream, request.method);
  if (whole) {
    worker.upstreams().give_back(std::move(upstream));
  } else {
    worker.metrics().mirrored_failed.add();
  }
}

}  // namespace

net::Task<void> send_mirrored(MirroredRequest request, Worker& worker) {
  worker.metrics().mirrored.add();
  const Held held(request.bytes.size());
  // A cluster that is overloaded may keep it waiting for a connection.
  const auto time = request.timeout.count() ? request.timeout : limits::mirror_time;
  auto first =
      co_await net::when_any(exchange(request, worker), net::sleep_for(worker.loop(), time));
  if (first.index() != 0) worker.metrics().mirrored_failed.add();
}

// Called with the head as it goes upstream, before the body at hand.
void Exchange::begin_mirrors(const http::Outgoing& out) {
  if (!actions_ || actions_->mirrors.empty() || upgrade_ || attempts_ > 1) return;
  constexpr uint32_t million = 1'000'000;
  for (const auto& mirror : actions_->mirrors)
    if (worker_.random() % million < mirror.share) mirrored_.push_back(mirror.cluster);
  if (mirrored_.empty()) return;
  for (std::size_t i = 0; i < out.count; i++)
    mirrored_bytes_.append(static_cast<const char*>(out.pieces[i].iov_base), out.pieces[i].iov_len);
  mirror_body(at_hand_);
}

// A body is kept up to a limit, as Envoy's shadows are; the copies go when it is over.
void Exchange::mirror_body(std::string_view more) {
  if (mirrored_.empty()) return;
  if (mirrored_bytes_.size() + more.size() > limits::mirrored_bytes) {
    worker_.metrics().mirrored_failed.add(mirrored_.size());
    mirrored_.clear();
    mirrored_bytes_ = {};
    return;
  }
  mirrored_bytes_.append(more);
  if (!body_.over()) return;
  for (auto& cluster : mirrored_) {
    const bool room = bytes_under_way + mirrored_bytes_.size() <= bytes_under_way_max;
    if (!room || worker_.loop().spawned() >= limits::connections_per_worker) {
      worker_.metrics().mirrored_failed.add();
      continue;
    }
    worker_.loop().spawn(send_mirrored({.cluster = std::move(cluster),
                                        .bytes = mirrored_bytes_,
                                        .method = std::string(record_.method),
                                        .authority = std::string(need().authority),
                                        .original_destination = client_.destination,
                                        .timeout = timeout_},
                                       worker_));
  }
  mirrored_.clear();
}

}  // namespace sallyport::proxy
