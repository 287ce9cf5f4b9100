// What of a client's message is a question (miekg/dns' rule, as istio-agent's proxy has it), and
// what our answers to it look like.
#include "dns/question.h"

#include <gtest/gtest.h>

#include "dns/answer.h"
#include "dns/codes.h"
#include "dns/message.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

namespace wire = test::dns;

struct Counts {
  unsigned questions = 1, answers = 0, authorities = 0, additional = 0;
};
std::string header(unsigned flags = 0x0100, const Counts& counts = {}) {
  return wire::u16(4711) + wire::u16(flags) + wire::u16(counts.questions) +
         wire::u16(counts.answers) + wire::u16(counts.authorities) + wire::u16(counts.additional);
}
std::string asking(std::string_view name, uint16_t type = type_a) {
  return wire::wire_name(name) + wire::u16(type) + wire::u16(class_in);
}
std::string opt(uint16_t size, uint32_t flags = 0, const std::string& data = "") {
  return std::string(1, '\0') + wire::u16(type_opt) + wire::u16(size) + wire::u32(flags) +
         wire::u16(unsigned(data.size())) + data;
}

Reading reading(const std::string& message) {
  Question question;
  return read_question(message, question);
}
Question read(const std::string& message) {
  Question question;
  EXPECT_EQ(read_question(message, question), Reading::answer);
  return question;
}

TEST(Question, IsReadWithItsFlags) {
  const auto question = read(header(0x0110) + asking("Example.COM", type_aaaa));
  EXPECT_EQ(question.id, 4711);
  EXPECT_EQ(question.name(), "example.com");
  EXPECT_EQ(question.type, type_aaaa);
  EXPECT_EQ(question.klass, class_in);
  EXPECT_TRUE(question.recursion_desired);
  EXPECT_TRUE(question.checking_disabled);
  EXPECT_FALSE(question.authentic_data);
  EXPECT_TRUE(read(header(0x0120) + asking("a.test")).authentic_data);
  EXPECT_FALSE(question.edns);
  EXPECT_EQ(question.end, 12 + 13 + 4u);
  EXPECT_EQ(read(header() + asking("")).name(), "");
}

TEST(Question, ADotWithinALabelIsNotWhereItEnds) {
  const std::string label("\3a.B\1c\0", 7);
  const auto question = read(header() + label + wire::u16(type_a) + wire::u16(1));
  EXPECT_EQ(question.name(), "a\\b.c") << "no wildcard *.b.c";
  EXPECT_EQ(question.wire_name(), std::string("\3a.b\1c\0", 7));
}

TEST(Question, WithRecordsOfItsOwnIsForThisClientAlone) {
  const std::string soa = wire::wire({"a.test", type_soa, 0, "serial"});
  const std::string tsig = wire::wire({"key.test", 250, 0, "signature"});
  EXPECT_FALSE(read(header() + asking("a.test")).options);
  EXPECT_TRUE(read(header(0x0100, {.authorities = 1}) + asking("a.test", 251) + soa).options);
  EXPECT_TRUE(read(header(0x0100, {.additional = 1}) + asking("a.test") + tsig).options);
}

TEST(Question, OptRecordsAreSoughtInTheAdditionalSectionOnly) {
  const auto question = read(header(0x0100, {.answers = 1}) + asking("a.test") + opt(4096));
  EXPECT_FALSE(question.edns);
  EXPECT_TRUE(question.options);
}

TEST(Question, OfEdnsSizeFlagsAndOptionsAreRead) {
  const auto plain = read(header(0x0100, {.additional = 1}) + asking("a.test") + opt(1232, 0x8000));
  EXPECT_TRUE(plain.edns);
  EXPECT_EQ(plain.udp_size, 1232);
  EXPECT_TRUE(plain.dnssec_ok);
  EXPECT_FALSE(plain.options);
  const auto cookie = read(header(0x0100, {.additional = 1}) + asking("a.test") +
                           opt(512, 0, wire::u16(10) + wire::u16(8) + "12345678"));
  EXPECT_TRUE(cookie.options);
  EXPECT_FALSE(cookie.dnssec_ok);
}

TEST(Question, WhatIsNoneIsIgnored) {
  for (const auto& message : {std::string(), std::string("short"), header().substr(0, 11),
                              header(0x8100) + asking("a.test")}) {
    EXPECT_EQ(reading(message), Reading::ignore);
  }
}

TEST(Question, OtherOperationsAreNotImplemented) {
  for (const unsigned operation : {1u, 2u, 4u, 5u, 15u})
    EXPECT_EQ(reading(header(operation << 11) + asking("a.test")), Reading::not_implemented);
}

TEST(Question, CountsBeyondWhatAQuestionHasAreAFormatError) {
  const std::string record = wire::wire(wire::address("a.test", "10.0.0.1", 1));
  const auto with = [&](const Counts& counts) {
    std::string message = header(0x0100, counts);
    for (unsigned i = 0; i < counts.questions; i++) message += asking("a.test");
    for (unsigned i = 0; i < counts.answers + counts.authorities + counts.additional; i++)
      message += record;
    return reading(message);
  };
  EXPECT_EQ(with({}), Reading::answer);
  EXPECT_EQ(with({.answers = 1, .authorities = 1, .additional = 2}), Reading::answer);
  EXPECT_EQ(with({.questions = 0}), Reading::format_error);
  EXPECT_EQ(with({.questions = 2}), Reading::format_error);
  EXPECT_EQ(with({.answers = 2}), Reading::format_error);
  EXPECT_EQ(with({.authorities = 2}), Reading::format_error);
  EXPECT_EQ(with({.additional = 3}), Reading::format_error);
}

TEST(Question, NamesThatAreNoneAreAFormatError) {
  const auto tail = wire::u16(type_a) + wire::u16(1);
  const std::string label = '\x3f' + std::string(63, 'a');
  EXPECT_EQ(reading(header() + label + label + label + '\x3d' + std::string(61, 'a') + '\0' + tail),
            Reading::answer)
      << "255 bytes";
  EXPECT_EQ(reading(header() + label + label + label + '\x3e' + std::string(62, 'a') + '\0' + tail),
            Reading::format_error)
      << "256 bytes";
  EXPECT_EQ(reading(header() + '\x40' + std::string(64, 'a') + '\0' + tail), Reading::format_error);
  EXPECT_EQ(reading(header() + "\xc0\x0c" + tail), Reading::format_error) << "a loop";
}

TEST(Question, OptRecordsOfAnotherKindAreRefused) {
  const auto with = [](const std::string& more, unsigned count = 1) {
    return reading(header(0x0100, {.additional = count}) + asking("a.test") + more);
  };
  EXPECT_EQ(with(opt(512) + opt(512), 2), Reading::format_error);
  EXPECT_EQ(with(opt(512, 0x00010000)), Reading::bad_version);
  std::string named = opt(512);
  named.replace(0, 1, wire::wire_name("a"));
  EXPECT_EQ(with(named), Reading::format_error);
}

TEST(Question, EveryPrefixOfAMessageIsReadWithoutFault) {
  const std::string whole =
      header(0x0100, {.additional = 1}) + asking("a.example.test") + opt(1232, 0, "1234567890");
  for (std::size_t size = 0; size < whole.size(); size++) {
    const auto is = reading(whole.substr(0, size));
    EXPECT_EQ(is, size < 12 ? Reading::ignore : Reading::format_error) << size;
  }
  const std::string plain = header() + asking("a.example.test");
  for (std::size_t size = 12; size < plain.size(); size++)
    EXPECT_EQ(reading(plain.substr(0, size)), Reading::format_error) << size;
  EXPECT_EQ(reading(whole), Reading::answer);
  EXPECT_EQ(reading(whole + "more"), Reading::answer) << "what lies behind is nobody's";
}

// --- answers ---

std::vector<IpAddress> addresses(std::initializer_list<const char*> texts) {
  std::vector<IpAddress> out;
  for (const char* text : texts) out.push_back(*IpAddress::parse(text));
  return out;
}

std::string answered(const std::string& query, const OwnAnswer& what, std::size_t limit = 512) {
  std::string out(limit, '?');
  const auto question = read(query);
  out.resize(write_answer(query, question, what, limit, out));
  return out;
}
std::vector<std::string> told(const std::string& response, std::string_view name, Family family) {
  const auto records = read_addresses(
      {reinterpret_cast<const unsigned char*>(response.data()), response.size()}, name, family);
  std::vector<std::string> out;
  if (!records) return {records.error().context};
  for (const auto& ip : records->addresses) out.push_back(ip.text());
  return out;
}
using Texts = std::vector<std::string>;

TEST(Answer, HasTheQuestionAsItCameAndTheAddresses) {
  const auto query = header(0x0110) + asking("Example.COM");
  const auto two = addresses({"10.0.0.1", "10.0.0.2"});
  const auto response = answered(query, {.cname = {}, .addresses = two});
  EXPECT_EQ(response.substr(0, 12), wire::u16(4711) + wire::u16(0x8510) + wire::u16(1) +
                                        wire::u16(2) + wire::u16(0) + wire::u16(0));
  EXPECT_EQ(response.substr(12, 17), asking("Example.COM")) << "the case is the client's";
  EXPECT_EQ(told(response, "example.com", Family::v4), (Texts{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(response.substr(29, 12),
            "\xc0\x0c" + wire::u16(1) + wire::u16(1) + wire::u32(30) + wire::u16(4));
}

TEST(Answer, EachAddressIsFirstInItsTurn) {
  const auto query = header() + asking("a.test");
  const auto three = addresses({"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  Texts firsts;
  for (uint32_t turn = 0; turn < 4; turn++) {
    const auto response = answered(query, {.cname = {}, .addresses = three, .first = turn});
    firsts.push_back(told(response, "a.test", Family::v4).front());
  }
  EXPECT_EQ(firsts, (Texts{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"}));
}

TEST(Answer, AnAliasComesBeforeTheAddressesOfItsTarget) {
  const auto query = header() + asking("a.test.search.test", type_aaaa);
  const auto one = addresses({"2001:db8::1"});
  const auto response = answered(query, {.cname = "a.test", .addresses = one});
  EXPECT_EQ(told(response, "a.test.search.test", Family::v6), Texts{"2001:db8::1"});
  EXPECT_EQ(response.substr(6, 2), wire::u16(2));
  EXPECT_EQ(answered(query, {.cname = "a.test", .addresses = {}}).substr(6, 2), wire::u16(0))
      << "an alias of nothing is not told";
}

TEST(Answer, WithoutAddressesItIsEmptyAndNoError) {
  const auto response = answered(header() + asking("a.test"), {});
  EXPECT_EQ(response.size(), 12 + 8 + 4u);
  EXPECT_EQ(response.substr(2, 2), wire::u16(0x8500));
}

TEST(Answer, EdnsIsAnsweredWithEdns) {
  const auto query = header(0x0100, {.additional = 1}) + asking("a.test") + opt(4096, 0x8000);
  const auto one = addresses({"10.0.0.1"});
  const auto response = answered(query, {.cname = {}, .addresses = one});
  EXPECT_TRUE(response.ends_with(opt(1232, 0x8000)));
  EXPECT_EQ(response.substr(10, 2), wire::u16(1));
}

TEST(Answer, WhatFindsNoRoomIsLeftOutAndSaid) {
  std::vector<IpAddress> many;
  for (uint32_t i = 0; i < 100; i++) many.push_back(IpAddress::v4(0x0a000000 + i));
  const auto query = header(0x0100, {.additional = 1}) + asking("a.test") + opt(600);
  const auto question = read(query);
  EXPECT_EQ(answer_limit(question, false), 600u);
  EXPECT_EQ(answer_limit(question, true), 65'535u);
  const auto response = answered(query, {.cname = {}, .addresses = many}, 600);
  EXPECT_LE(response.size(), 600u);
  EXPECT_NE(response[2] & 0x02, 0) << "TC";
  EXPECT_TRUE(response.ends_with(opt(1232)));
  EXPECT_EQ(told(response, "a.test", Family::v4).size(), (600 - 24 - 11) / 16u);
}

TEST(Answer, AnAliasThatFindsNoRoomIsLeftOutWithItsAddresses) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  const auto one = addresses({"10.0.0.1"});
  const auto query = header() + asking(longest);
  EXPECT_EQ(answered(query, {.cname = longest, .addresses = one}),
            wire::u16(4711) + wire::u16(0x8700) + wire::u16(1) + wire::u16(0) + wire::u32(0) +
                asking(longest))
      << "TC";
}

TEST(Answer, ASizeBelow512IsTakenFor512) {
  const auto query = header(0x0100, {.additional = 1}) + asking("a.test") + opt(100);
  EXPECT_EQ(answer_limit(read(query), false), 512u) << "RFC 6891 section 6.2.3";
  EXPECT_EQ(answer_limit(read(header() + asking("a.test")), false), 512u);
}

TEST(Answer, ARefusalTellsWhichOperationItRefuses) {
  std::string out(512, '?');
  const auto update = header(0x2800) + asking("a.test");
  out.resize(write_refusal(update, nullptr, not_implemented, out));
  EXPECT_EQ(out.substr(0, 4), wire::u16(4711) + wire::u16(0xa804));
}

TEST(Answer, ARefusalHasTheQuestionWhereItCouldBeRead) {
  std::string out(512, '?');
  const auto query = header(0x0110) + asking("a.test");
  const auto question = read(query);
  const auto whole = out.substr(0, write_refusal(query, &question, server_failure, out));
  EXPECT_EQ(whole, wire::u16(4711) + wire::u16(0x8112) + wire::u16(1) + wire::u16(0) +
                       wire::u16(0) + wire::u16(0) + asking("a.test"));
  const auto bare = out.substr(0, write_refusal(query, nullptr, format_error, out));
  EXPECT_EQ(bare, wire::u16(4711) + wire::u16(0x8111) + wire::u32(0) + wire::u32(0));
}

TEST(Answer, BadVersionIsTenBitsInEdns) {
  const auto query = header(0x0100, {.additional = 1}) + asking("a.test") + opt(512, 0x00010000);
  Question question;
  ASSERT_EQ(read_question(query, question), Reading::bad_version);
  std::string out(512, '?');
  out.resize(write_refusal(query, &question, bad_version, out));
  EXPECT_EQ(out.substr(2, 2), wire::u16(0x8100));
  EXPECT_TRUE(out.ends_with(opt(1232, 0x01000000)));
}

}  // namespace
}  // namespace sallyport::dns
