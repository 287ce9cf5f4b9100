// Exchange, last part: answers that no upstream gave, with the reason in the log, the flag and
// shortly in the body.
#include "agent/http/local_reply.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/reason.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

// Envoy's sentence, so that whoever greps for it finds it, with our reason behind it.
std::string upstream_sentence(std::string_view reset_reason, std::string_view cause) {
  std::string text = "upstream connect error or disconnect/reset before headers. reset reason: ";
  text += reset_reason;
  if (!cause.empty()) (text += ", transport failure reason: ") += cause;
  return text;
}

// Whoever is outside of the mesh learns what happened, in Envoy's words. Where, which resource says
// so and in which file is for the log.
std::string edge_sentence(uint32_t flags) {
  if (flags & observe::UF) return upstream_sentence("connection failure", {});
  if (flags & observe::UO) return upstream_sentence("overflow", {});
  return "no healthy upstream";
}

}  // namespace

// Nobody could be reached: which of no endpoint, refused, handshake or missing secret it was is
// observe's table.
Refusal Exchange::failed_connect() const {
  if (timed_out_)
    return {.status = timeout_status_,
            .flags = observe::UT,
            .details = "response_timeout",
            .body = timeout_status_ == 204 ? "" : "upstream request timeout"};
  const Error& error = failure_->error;
  Refusal refusal{.status = observe::status_of(error),
                  .flags = observe::flag_of(error),
                  .details = observe::details_of(error),
                  .body = {}};
  // Envoy: the retries are used up only where the policy has such a failure tried again.
  if (error.retryable && retries_connects() && !(record_.flags & observe::UO))
    refusal.flags |= observe::URX;
  if (client_.of_gateway()) {
    refusal.body = edge_sentence(refusal.flags);
    return refusal;
  }
  const bool connecting = refusal.flags & observe::UF;
  refusal.body =
      connecting ? upstream_sentence("connection failure", reason_of(error)) : reason_of(error);
  return refusal;
}

Refusal Exchange::failed_answer(Answered answered) {
  if (answered == Answered::body_malformed)
    return malformed(400, "http1.codec_error", "chunk framing");
  if (answered == Answered::body_stalled)
    return {.status = 408,
            .flags = observe::SI,
            .details = "stream_idle_timeout",
            .body = {},
            .close = true};
  if (answered == Answered::malformed) {
    worker_.metrics().protocol_errors.add();
    const std::string reason = response_.refuse_reason;
    return {.status = 502,
            .flags = observe::UPE,
            .details = "upstream_reset_before_response_started{protocol_error}",
            .body = upstream_sentence("protocol error", reason)};
  }
  const Error error = upstream_.stream.failure(Side::upstream);
  if (answered == Answered::timed_out) {
    const bool route_over = timeout_.count() && time_left() <= std::chrono::milliseconds(1);
    const bool of_try = retry_.per_try_timeout.count() && !route_over;
    const bool tried_all = of_try && retries_resets() && !(record_.flags & observe::UO);
    return {.status = timeout_status_,
            .flags = tried_all ? observe::UT | observe::URX : observe::UT,
            .details = of_try ? "upstream_per_try_timeout" : "response_timeout",
            .body = timeout_status_ == 204 ? "" : "upstream request timeout"};
  }
  // A plain end is no failure of the transport; an alert after the handshake (TLS 1.3 refuses our
  // certificate so) is.
  const bool told = error.fault == Fault::tls_handshake || error.fault == Fault::tls_verify;
  if (told) failure_ = upstream::Failure{error, upstream_.host};
  const bool tell = told && !client_.of_gateway();
  return {
      .status = 503,
      .flags = observe::UC,
      .details = "upstream_reset_before_response_started{connection_termination}",
      .body = upstream_sentence("connection termination", tell ? error.context : std::string())};
}

net::Task<Next> Exchange::refuse(const Refusal& refusal) {
  record_.response_code = refusal.status;
  record_.flags |= refusal.flags;
  record_.details = refusal.details;
  if (failure_) {
    failure_->error.context = reason_of(failure_->error);  // the record only views it
    record_.failure_reason = failure_->error.context;
    if (failure_->host.is_set()) record_.upstream_host = failure_->host;
    record_.attempts = uint32_t(attempts_ + connect_retries_ + 1);
  }
  const bool unread = !body_.over() || refusal.close;
  close_ =
      unread || outdated_ || !request_.persistent() || worker_.draining(client_.inbound != nullptr);
  const std::string answer =
      http::write_local_reply({.status = refusal.status,
                               .body = refusal.body,
                               .date = worker_.date().at(record_.start_us / 1'000'000),
                               .server = server_name(),
                               .close = close_,
                               .minor = request_.minor,
                               .head = record_.method == "HEAD",
                               .overloaded = (refusal.flags & observe::UO) != 0,
                               .location = refusal.location,
                               .fields = refusal.fields});
  worker_.log().keep_response(record_, std::string_view(answer));
  if (record_.method != "HEAD") record_.bytes_sent = refusal.body.size();
  client_.stream.set_deadline(limits::body_stall);
  if (close_) client_.stream.end_follows();
  const bool sent = co_await client_.stream.write_all(answer);
  if (!sent) co_return Next::close;
  if (close_) co_return Next::say_goodbye;
  make_way();
  co_return Next::keep;
}

}  // namespace sallyport::proxy
