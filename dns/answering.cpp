#include "dns/answering.h"

#include <algorithm>

#include "agent/mesh/name_table.h"
#include "dns/answer.h"
#include "dns/codes.h"
#include "dns/message_walk.h"
#include "dns/response.h"

namespace sallyport::dns {
namespace {

uint8_t code_of(Reading reading) {
  switch (reading) {
    case Reading::not_implemented:
      return not_implemented;
    case Reading::bad_version:
      return bad_version;
    default:
      return format_error;
  }
}

}  // namespace

Answering::AtOnce Answering::at_once(std::span<const char> message, bool tcp, Question& question,
                                     std::span<char> into) {
  const Reading reading = read_question(message, question);
  if (reading == Reading::ignore) return {Step::ignore};
  metrics_.dns_proxy_requests.add();
  if (reading != Reading::answer) {
    const bool asked = reading == Reading::bad_version;
    return {Step::answered,
            write_refusal(message, asked ? &question : nullptr, code_of(reading), into)};
  }
  const std::size_t limit = std::min(answer_limit(question, tcp), into.size());
  if (const std::size_t size = of_mesh(message, question, limit, into))
    return {Step::answered, size};
  if (const std::size_t size = kept(message, question, limit, into)) return {Step::answered, size};
  return {Step::ask_servers};
}

// Other types than addresses are the servers' even of the mesh's names, as Istio's.
std::size_t Answering::of_mesh(std::span<const char> message, const Question& question,
                               std::size_t limit, std::span<char> into) {
  const bool v4 = question.type == type_a;
  if (question.klass != class_in || (!v4 && question.type != type_aaaa)) return 0;
  const auto& snapshot = snapshots_.get();
  if (!snapshot || !snapshot->names) return 0;
  mesh::NameRoom room;
  const auto found =
      mesh::find_name(*snapshot->names, question.name(), forwarder_.search_domain(), room);
  if (!found) return 0;
  const OwnAnswer answer{
      .cname = found->cname, .addresses = v4 ? found->v4 : found->v6, .first = uint32_t(order_())};
  return write_answer(message, question, answer, limit, into);
}

std::size_t Answering::kept(std::span<const char> message, const Question& question,
                            std::size_t limit, std::span<char> into) {
  if (const auto servers = forwarder_.version(); servers != servers_) {
    servers_ = servers;
    cache_.clear();
  }
  const auto found = cache_.find(question, loop_.now());
  if (!found || found->response.size() > into.size()) return 0;
  std::copy(found->response.begin(), found->response.end(), into.begin());
  const auto response = into.first(found->response.size());
  age(response, uint32_t(found->age.count()));
  readdress(response, message, question);
  rotate(response, uint32_t(order_()));
  return fit(response, limit);
}

net::Task<std::string> Answering::by_servers(std::string message, Question question, bool tcp) {
  metrics_.dns_proxy_forwarded.add();
  const auto begun = net::Loop::Clock::now();
  const auto servers = forwarder_.version();
  std::string response = co_await forwarder_.ask(message, question, tcp);
  count(net::Loop::Clock::now() - begun);
  if (response.empty()) {
    metrics_.dns_proxy_failures.add();
    response.resize(limits::dns_proxy_message);
    response.resize(write_refusal(message, &question, server_failure, response));
    co_return response;
  }
  const auto facts = read_response(response);
  if (egress_ != nullptr && facts.rcode == 0) {
    for (const auto& address : addresses_in(response)) egress_->give_name(address, question.name());
  }
  if (facts.ttl && servers == servers_ && servers == forwarder_.version())
    cache_.put(question, response, *facts.ttl, loop_.now());
  if (question_end(response) == 0) {  // of a failure; clients pass over what has no question
    response.resize(limits::dns_proxy_message);
    response.resize(write_refusal(message, &question, facts.rcode, response));
    co_return response;
  }
  readdress(response, message, question);
  response.resize(fit(response, answer_limit(question, tcp)));
  co_return response;
}

// Istio's buckets.
void Answering::count(std::chrono::steady_clock::duration taken) {
  using std::chrono::microseconds;
  const auto time = std::chrono::duration_cast<microseconds>(taken);
  metrics_.dns_proxy_time.sum.add(uint64_t(time.count()));
  metrics_.dns_proxy_time.count.add();
  for (std::size_t i = 0; i < observe::DnsTimes::bounds.size(); i++)
    if (time <= observe::DnsTimes::bounds[i]) metrics_.dns_proxy_time.at_most[i].add();
}

}  // namespace sallyport::dns
