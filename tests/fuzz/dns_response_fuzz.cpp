// Servers' DNS responses of any bytes. Beside memory errors it watches these promises: no limit is
// exceeded, a response that was cut still answers, and ageing takes nothing but time away.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "dns/message_walk.h"
#include "dns/response.h"

namespace {

using namespace sallyport::dns;

void require(bool promise) {
  if (!promise) std::abort();
}

// The client's own question, as the response repeats it; else one of another name.
std::vector<char> query_of(const std::vector<char>& response) {
  const std::size_t end = question_end(response);
  std::vector<char> query(response.begin(), response.begin() + static_cast<std::ptrdiff_t>(end));
  if (end == 0) query = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};
  query[2] = 1;
  query[3] = 0;
  for (std::size_t at = 6; at < dns_header_bytes; at++) query[at] = 0;
  return query;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size < dns_header_bytes) return 0;
  const std::vector<char> response(data, data + size);
  const auto query = query_of(response);
  Question question;
  if (read_question(query, question) != Reading::answer) return 0;
  const bool good = answers(response, number_at(response, 0), query, question);
  const auto facts = read_response(response);
  require(!facts.ttl || (!facts.truncated && (facts.rcode == 0 || facts.rcode == 3)));

  auto older = response;
  age(older, 7);
  rotate(older, static_cast<uint32_t>(size));
  const auto later = read_response(older);
  if (facts.ttl) require(later.ttl && *later.ttl <= *facts.ttl);

  auto ours = response;
  readdress(ours, query, question);
  if (good) require(answers(ours, question.id, query, question));
  for (const std::size_t limit : {12u, 64u, 512u, 4096u}) {
    auto cut = ours;
    cut.resize(fit(cut, limit));
    require(cut.size() <= std::max<std::size_t>(limit, dns_header_bytes));
    if (good && limit >= question.end && ours.size() > limit)
      require(answers(cut, question.id, query, question) && read_response(cut).truncated);
  }
  return 0;
}
