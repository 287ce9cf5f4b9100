// Clients' DNS messages of any bytes. Beside memory errors it watches these promises: what is read
// lies within the message, an answer is no longer than its limit, and answers the question asked.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "dns/answer.h"
#include "dns/answer_cache.h"
#include "dns/codes.h"
#include "dns/response.h"

namespace {

using namespace sallyport;
using namespace sallyport::dns;

void require(bool promise) {
  if (!promise) std::abort();
}

void check_answer(std::span<const char> query, const Question& question, std::size_t limit) {
  static const std::vector<IpAddress> many(200, IpAddress::v4(0x0a000001));
  std::vector<char> room(limit);
  const OwnAnswer whole{.cname = "a.test", .addresses = many, .first = question.id};
  for (const OwnAnswer& what : {OwnAnswer(), whole}) {
    const std::size_t size = write_answer(query, question, what, limit, room);
    require(size <= limit);
    const std::span<const char> response(room.data(), size);
    require(answers(response, question.id, query, question));
    require(read_response(response).rcode == no_error);
    Question again;
    require(read_question(response, again) == Reading::ignore);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::vector<char> message(data, data + size);
  Question question;
  const Reading reading = read_question(message, question);
  if (reading == Reading::ignore) return 0;
  std::array<char, 512> room;
  const bool whole = reading == Reading::answer || reading == Reading::bad_version;
  const std::size_t refusal =
      write_refusal(message, whole ? &question : nullptr, bad_version, room);
  require(refusal <= room.size());
  if (!whole) return 0;
  require(question.end <= message.size());
  require(question.name().size() <= question.text.size());
  require(question.wire_name().size() <= 255);
  if (reading == Reading::bad_version) return 0;
  check_answer(message, question, answer_limit(question, false));
  check_answer(message, question, 512);
  AnswerCache cache;
  cache.put(question, "answer", 10, {});
  require(cache.find(question, {}).has_value() == !question.options);
  return 0;
}
