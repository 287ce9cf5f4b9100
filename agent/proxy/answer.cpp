// Exchange, third part: the upstream's answer on its way to the client.
#include "agent/core/wall_clock.h"
#include "agent/net/combine.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

using http::Parse;
using Answered = Exchange::Answered;

// Reads once from the upstream. Bytes > 0; 0: it has ended; -1: failed, or the client left
// meanwhile (client_left_).
net::Task<ssize_t> Exchange::read_answer() {
  if (answer_.bytes().size() >= Inbox::most) co_return -1;
  for (;;) {
    const ssize_t count =
        half_closed_ ? co_await upstream_.stream.read(answer_.room())
                     : co_await net::read_unless_ended(upstream_.stream, answer_, client_.stream);
    if (count > 0) answer_.filled(std::size_t(count));
    if (count != net::other_ended) co_return count;
    client_left_ = has_left(client_);
    if (client_left_) co_return -1;
    half_closed_ = true;  // It still wants its answer.
  }
}

net::Task<Answered> Exchange::relay_answer_and_body() {
  auto first = co_await net::when_any(pump_body(), relay_answer());
  co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

net::Task<Answered> Exchange::relay_answer() {
  const auto head = co_await read_answer_head();
  if (cluster_->load) report(head);
  if (head != Answered::whole) co_return head;
  if (response_.status != 101 && retriable_status() && may_retry(Answered::retriable))
    co_return Answered::retriable;
  if (retry_.per_try_timeout.count()) end_try_deadline();
  record_.upstream_service_us = wall_clock_us() - record_.start_us;
  record_.response_code = response_.status;
  record_.details = "via_upstream";
  const bool switched = response_.status == 101;
  if (switched && !upgrade_) co_return Answered::malformed;
  if (!switched) answer_body_ = http::Body::of_response(response_, record_.method);
  // No limit of tries was reached where another could not begin (UO).
  const bool limited = !(record_.flags & observe::UO);
  if (retriable_status() && limited) record_.flags |= observe::URX;
  co_return co_await relay_answer_body();
}

// The final head, after any interim ones. Answered::whole: it lies in response_, its bytes at the
// front of answer_.
net::Task<Answered> Exchange::read_answer_head() {
  for (int interim = 0;;) {
    const auto parsed =
        answer_.empty() ? Parse::more : http::parse_response(answer_.bytes(), response_);
    if (parsed == Parse::bad) co_return Answered::malformed;
    if (parsed == Parse::more) {
      const bool began = !answer_.empty();
      if (answer_.bytes().size() >= Inbox::most) co_return Answered::malformed;
      if (co_await read_answer() > 0) continue;
      co_return why_no_head(began || interim > 0);
    }
    if (response_.status >= 200 || response_.status == 101) co_return Answered::whole;
    if (++interim > limits::interim_responses) co_return Answered::malformed;
    if (!co_await forward_interim()) co_return Answered::client_left;
    answer_.consume(response_.size);
  }
}

Answered Exchange::why_no_head(bool began) const {
  if (client_left_) return Answered::client_left;
  if (upstream_.stream.failure(Side::upstream).fault == Fault::timed_out)
    return Answered::timed_out;
  return began ? Answered::failed : Answered::nothing;
}

// 1xx are passed on, but not to HTTP/1.0 (RFC 9110 section 15.2).
net::Task<bool> Exchange::forward_interim() {
  if (request_.minor == 0) co_return true;
  auto& out = (*heads_).out;
  http::write_response(response_, {}, out);
  co_return co_await client_.stream.write_all(with_body(out, {}));
}

// TLS servers often send head and body as two records: what is there already goes out with the
// head.
void Exchange::batch_records() {
  while (!answer_body_.over() && !answer_body_.bad() && upstream_.stream.more_at_hand() &&
         answer_.bytes().size() < net::Buffers::size) {
    const auto step = upstream_.stream.try_read(answer_.room());
    if (step.want != net::Want::nothing || step.bytes <= 0) break;
    answer_.filled(std::size_t(step.bytes));
  }
  response_.base = answer_.bytes().data();  // room() may have moved them.
}

net::Task<Answered> Exchange::relay_answer_body() {
  const bool switched = response_.status == 101;
  if (!switched) batch_records();
  framing_ = http::framing_of(response_, answer_body_, request_.minor);
  close_ =
      !switched && (!request_.persistent() || framing_ != http::Framing::as_is || !body_.over() ||
                    outdated_ || worker_.draining(client_.inbound != nullptr));
  const auto behind = answer_.bytes().substr(response_.size);
  const auto first = switched ? Piece{} : take_piece(behind);
  if (answer_body_.bad()) co_return Answered::malformed;

  http::ResponseAdds adds;
  adds.date = worker_.date().at(record_.start_us / 1'000'000);
  if (!switched) adds.service_time_ms = record_.upstream_service_us / 1000;
  adds.client_minor = request_.minor;
  adds.server = server_name();
  adds.keep = !close_;
  adds.framing = framing_;
  auto& out = (*heads_).out;
  if (edits_response() && !edit_response()) co_return Answered::malformed;
  http::write_response(edited_response_ ? edited_response_->head : response_, adds, out);
  worker_.log().keep_response(record_, std::span<const iovec>(out.pieces.data(), out.count));
  head_forwarded_ = true;
  client_.stream.set_deadline(limits::body_stall);
  if (close_ && answer_body_.over()) client_.stream.end_follows();
  if (!co_await client_.stream.write_all(with_body(out, first.content)))
    co_return Answered::client_left;
  answer_.consume(response_.size + first.taken);
  if (switched) co_return Answered::upgraded;

  while (!answer_body_.over()) {
    const ssize_t count = co_await read_answer();
    if (client_left_) co_return Answered::client_left;
    if (count == 0 && answer_body_.until_end()) co_return Answered::whole;
    if (count <= 0 && upstream_.stream.failure(Side::upstream).fault == Fault::timed_out)
      co_return Answered::timed_out;
    if (count <= 0) co_return Answered::cut;
    const auto next = take_piece(answer_.bytes());
    if (answer_body_.bad()) co_return Answered::malformed;
    client_.stream.set_deadline(limits::body_stall);  // A client that does not read is let go.
    if (close_ && answer_body_.over()) client_.stream.end_follows();
    if (!next.content.empty() && !co_await client_.stream.write_all(next.content))
      co_return Answered::client_left;
    answer_.consume(next.taken);
  }
  co_return Answered::whole;
}

// Content is moved together in place where the client can't take chunks (HTTP/1.0).
Exchange::Piece Exchange::take_piece(std::string_view bytes) {
  if (framing_ != http::Framing::dechunked) {
    const auto taken = answer_body_.eat(bytes);
    return {taken, bytes.substr(0, taken)};
  }
  char* const front = const_cast<char*>(bytes.data());
  std::size_t taken = 0, content = 0;
  for (;;) {
    const auto part = answer_body_.next(bytes.substr(taken));
    if (!part.taken) break;
    if (!part.content.empty())
      std::memmove(front + content, part.content.data(), part.content.size());
    content += part.content.size();
    taken += part.taken;
  }
  return {taken, {front, content}};
}

// Where the exchange ended decides what becomes of both connections.
Next Exchange::finish(Answered answered) {
  if (answered == Answered::whole) return finish_whole();
  struct End {
    uint32_t flag;
    std::string_view details;
  };
  const End end = [answered]() -> End {
    switch (answered) {
      case Answered::client_left:
        return {observe::DC, "downstream_remote_disconnect"};
      case Answered::timed_out:
        return {observe::UT, "response_timeout"};
      case Answered::malformed:
        return {observe::UPE, "upstream_reset_after_response_started{protocol_error}"};
      case Answered::body_malformed:
        return {observe::DPE, "http1.codec_error"};
      case Answered::body_stalled:
        return {observe::SI, "stream_idle_timeout"};
      default:
        return {observe::UC, "upstream_reset_after_response_started{connection_termination}"};
    }
  }();
  if (end.flag & (observe::UPE | observe::DPE)) worker_.metrics().protocol_errors.add();
  record_.flags |= end.flag;
  record_.details = end.details;
  if (!head_forwarded_) record_.response_code = 0;
  client_.stream.abort();  // An answer cut short must not look whole.
  return Next::close;
}

Next Exchange::finish_whole() {
  const bool sent = body_.over() && upstream_took_all_;
  const bool clean = answer_.empty() && !answer_body_.until_end() && response_.persistent();
  if (sent && clean) {
    try_timer_.disarm();
    worker_.upstreams().give_back(std::move(upstream_));
  }
  if (sent && !close_) {
    make_way();
    return Next::keep;
  }
  // A client that asked for the end, and sent nothing behind its request, will send nothing more
  // that a reset could answer (RFC 9112 section 9.6): there is nothing to wait for.
  const bool more = client_.inbox.bytes().size() > request_.size + at_hand_.size() ||
                    !pipelined_.empty() || client_.stream.more_at_hand();
  return sent && !more && !request_.persistent() ? Next::close : Next::say_goodbye;
}

}  // namespace sallyport::proxy
