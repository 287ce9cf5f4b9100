// What servers' responses are taken for, and how they are made to fit the client: the bytes are
// hostile.
#include "dns/response.h"

#include <gtest/gtest.h>

#include "dns/codes.h"
#include "dns/message_walk.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

namespace wire = test::dns;

const std::string query = wire::u16(7) + wire::u16(0x0110) + wire::u16(1) + wire::u16(0) +
                          wire::u32(0) + wire::wire_name("A.test") + wire::u16(type_a) +
                          wire::u16(class_in);

Question asked() {
  Question question;
  EXPECT_EQ(read_question(query, question), Reading::answer);
  return question;
}

struct Parts {
  unsigned flags = 0x8180;
  std::vector<wire::Record> answers = {}, authorities = {}, additional = {};
  std::string name = "a.test";
};
std::string response(const Parts& parts, uint16_t id = 9) {
  std::string out = wire::u16(id) + wire::u16(parts.flags) + wire::u16(1) +
                    wire::u16(unsigned(parts.answers.size())) +
                    wire::u16(unsigned(parts.authorities.size())) +
                    wire::u16(unsigned(parts.additional.size()));
  out += wire::wire_name(parts.name) + wire::u16(type_a) + wire::u16(class_in);
  for (const auto* section : {&parts.answers, &parts.authorities, &parts.additional})
    for (const auto& record : *section) out += wire::wire(record);
  return out;
}
wire::Record soa(uint32_t ttl, uint32_t minimum) {
  return {"test", type_soa, ttl,
          wire::wire_name("ns.test") + wire::wire_name("mail.test") + wire::u32(1) + wire::u32(2) +
              wire::u32(3) + wire::u32(4) + wire::u32(minimum)};
}
// Its owner is the root's name, its class the size.
wire::Record opt() { return {"", type_opt, 0x8000, ""}; }

bool fits(const std::string& bytes, uint16_t id = 9) { return answers(bytes, id, query, asked()); }
std::optional<uint32_t> ttl(const Parts& parts) { return read_response(response(parts)).ttl; }

TEST(Response, AnswersTheSameQuestionWithTheSameId) {
  EXPECT_TRUE(fits(response({}))) << "case aside";
  EXPECT_FALSE(fits(response({}), 8));
  EXPECT_FALSE(fits(response({.name = "b.test"})));
  EXPECT_FALSE(fits(response({.name = "a.test.test"})));
  EXPECT_FALSE(fits(response({.flags = 0x0180}))) << "a question";
  EXPECT_FALSE(fits(response({.flags = 0xa980}))) << "of another operation";
  auto other_type = response({});
  other_type[other_type.size() - 3] = char(type_aaaa);
  EXPECT_FALSE(fits(other_type));
  EXPECT_FALSE(fits("short"));
  auto two = response({}) + response({}).substr(12);
  two[5] = 2;
  EXPECT_FALSE(fits(two)) << "the question asked, and another";
}

TEST(Response, TellsTheAddressesAmongItsAnswers) {
  const std::string v6 = "\x20\x01\x0d\xb8" + std::string(11, '\0') + "\x07";
  const auto bytes = response({.answers = {{"a.test", type_cname, 60, wire::wire_name("b.test")},
                                           {"b.test", type_a, 60, std::string("\xc0\0\x02\x07", 4)},
                                           {"b.test", type_aaaa, 60, v6},
                                           {"b.test", type_a, 60, "odd"}},
                               .additional = {{"c.test", type_a, 60, "1234"}}});
  EXPECT_EQ(addresses_in(bytes),
            (std::vector{*IpAddress::parse("192.0.2.7"), *IpAddress::parse("2001:db8::7")}));
  for (std::size_t size = 12; size < bytes.size(); size++)
    EXPECT_LE(addresses_in(bytes.substr(0, size)).size(), 2U) << size;
}

TEST(Response, OfAFailureAHeaderIsEnough) {
  const auto bare = [](unsigned flags) {
    return wire::u16(9) + wire::u16(flags) + wire::u32(0) + wire::u32(0);
  };
  EXPECT_TRUE(fits(bare(0x8182)));
  EXPECT_TRUE(fits(bare(0x8185)));
  EXPECT_FALSE(fits(bare(0x8186)));
  EXPECT_FALSE(fits(bare(0x8180))) << "what it says nothing of is no answer";
  EXPECT_FALSE(fits(bare(0x8183)));
}

TEST(Response, IsKeptAsLongAsItsShortestTtl) {
  EXPECT_EQ(ttl({.answers = {wire::address("a.test", "10.0.0.1", 60),
                             wire::address("a.test", "10.0.0.2", 20)}}),
            20u);
  EXPECT_EQ(ttl({.answers = {wire::alias("a.test", "b.test", 5),
                             wire::address("b.test", "10.0.0.1", 60)}}),
            5u);
  EXPECT_EQ(ttl({.answers = {wire::address("a.test", "10.0.0.1", 0x80000000)}}), 0u)
      << "RFC 2181 section 8";
}

TEST(Response, ADenialIsKeptAsItsSoaSays) {
  EXPECT_EQ(ttl({.flags = 0x8183, .authorities = {soa(300, 30)}}), 30u);
  EXPECT_EQ(ttl({.authorities = {soa(10, 30)}}), 10u) << "no such type";
  EXPECT_EQ(ttl({.flags = 0x8183, .authorities = {soa(3'600, 3'600)}}), 30u)
      << "limits::dns_negative_ttl_max";
  EXPECT_EQ(ttl({.flags = 0x8183,
                 .answers = {wire::alias("a.test", "b.test", 5)},
                 .authorities = {soa(300, 30)}}),
            5u);
  EXPECT_EQ(ttl({.answers = {wire::alias("a.test", "b.test", 60)}, .authorities = {soa(300, 30)}}),
            30u)
      << "an alias of a name without the type";
  EXPECT_EQ(ttl({.answers = {wire::alias("a.test", "b.test", 60)}}), std::nullopt)
      << "the same without an SOA";
  EXPECT_EQ(ttl({.flags = 0x8183}), std::nullopt);
  EXPECT_EQ(ttl({}), std::nullopt);
}

TEST(Response, AnSoaThatIsCutOrInAnotherSectionDeniesNothing) {
  EXPECT_EQ(ttl({.flags = 0x8183, .additional = {soa(300, 30)}}), std::nullopt);
  auto cut = soa(300, 30);
  cut.data.resize(cut.data.size() - 1);
  EXPECT_EQ(ttl({.flags = 0x8183, .authorities = {cut, soa(300, 30)}}), 30u) << "the other's";
  EXPECT_EQ(ttl({.flags = 0x8183, .authorities = {cut, wire::address("", "10.0.0.1", 9)}}),
            std::nullopt)
      << "what follows it is not its MINIMUM";
}

TEST(Response, WithoutItsOneQuestionIsNotKept) {
  const auto whole = response({.answers = {wire::address("a.test", "10.0.0.1", 60)}});
  for (const char questions : {0, 2}) {
    auto lying = whole;
    lying[5] = questions;
    EXPECT_EQ(read_response(lying).ttl, std::nullopt) << int(questions);
  }
}

TEST(Response, NamesThatAreNoneAreNotKept) {
  for (const std::string& owner : {std::string("\x40"), std::string("\x80"), std::string("\xbf")}) {
    auto bytes = response({.answers = {wire::address("", "10.0.0.1", 60)}});
    const std::size_t at = response({}).size();
    bytes.replace(at, 1, owner + std::string(uint8_t(owner[0]), 'a') + '\0');
    EXPECT_EQ(read_response(bytes).ttl, std::nullopt);
  }
  auto cut = response({}) + "\xc0";
  cut[7] = 1;
  EXPECT_EQ(read_response(cut).ttl, std::nullopt) << "half a pointer";
}

TEST(Response, FailuresAndPartsAreNotKept) {
  const std::vector<wire::Record> one = {wire::address("a.test", "10.0.0.1", 60)};
  EXPECT_EQ(ttl({.flags = 0x8182, .answers = one}), std::nullopt);
  EXPECT_EQ(ttl({.flags = 0x8185, .answers = one}), std::nullopt);
  EXPECT_EQ(ttl({.flags = 0x8380, .answers = one}), std::nullopt) << "TC";
  EXPECT_TRUE(read_response(response({.flags = 0x8380})).truncated);
  EXPECT_EQ(read_response(response({.flags = 0x8185})).rcode, refused);
}

TEST(Response, CountsThatLieAreNoAnswerToKeep) {
  auto lying = response({.answers = {wire::address("a.test", "10.0.0.1", 60)}});
  lying[7] = 2;
  EXPECT_EQ(read_response(lying).ttl, std::nullopt);
  lying[6] = char(0xff);
  EXPECT_EQ(read_response(lying).ttl, std::nullopt);
}

TEST(Response, ThatIsTooLongIsCutToTheAnswersThatFit) {
  Parts parts;
  for (int i = 0; i < 100; i++) parts.answers.push_back(wire::address("a.test", "10.0.0.1", 60));
  parts.authorities = {soa(300, 30)};
  parts.additional = {opt()};
  auto bytes = response(parts);
  EXPECT_EQ(fit(bytes, bytes.size()), bytes.size());
  bytes.resize(fit(bytes, 512));
  Parts fitting{.flags = 0x8380, .additional = {opt()}};
  while (response(fitting).size() + wire::wire(parts.answers[0]).size() <= 512)
    fitting.answers.push_back(parts.answers[0]);
  EXPECT_EQ(bytes, response(fitting));
  EXPECT_GT(fitting.answers.size(), 10u) << "there are clients that know neither EDNS nor TCP";
}

TEST(Response, ThatIsKeptHasItsAddressesInAnotherOrder) {
  const auto of = [](const char* first, const char* second) {
    return response(
        {.flags = 0x8180,
         .answers = {wire::alias("a.test", "b.test", 5), wire::address("b.test", first, 60),
                     wire::address("b.test", second, 60),
                     wire::address("b.test", "2001:db8::1", 60)}});
  };
  const auto before = of("10.0.0.1", "10.0.0.2");
  auto bytes = before;
  bytes[2] = char(bytes[2] | 0x04);
  rotate(bytes, 1);
  EXPECT_EQ(bytes, of("10.0.0.2", "10.0.0.1")) << "and AA is the server's alone to say";
  rotate(bytes, 1);
  EXPECT_EQ(bytes, before);
  rotate(bytes, 4'000'000'000);
  EXPECT_EQ(bytes, before);
}

TEST(Response, ItsTtlsFallByItsAge) {
  auto bytes = response(
      {.answers = {wire::address("a.test", "10.0.0.1", 60), wire::address("a.test", "10.0.0.2", 5)},
       .additional = {opt()}});
  age(bytes, 20);
  EXPECT_EQ(bytes, response({.answers = {wire::address("a.test", "10.0.0.1", 40),
                                         wire::address("a.test", "10.0.0.2", 0)},
                             .additional = {opt()}}))
      << "what stands in the OPT record's place is no TTL";
}

TEST(Response, BecomesTheClients) {
  auto bytes = response({.flags = 0x8080});
  readdress(bytes, query, asked());
  EXPECT_EQ(bytes, wire::u16(7) + wire::u16(0x8190) + query.substr(4)) << "id, RD, CD, case";
}

TEST(Response, OfAFailureWithoutAQuestionOnlyTheHeaderBecomesTheClients) {
  std::string bare = wire::u16(9) + wire::u16(0x8082) + wire::u32(0) + wire::u32(0) + "behind";
  readdress(bare, query, asked());
  EXPECT_EQ(bare, wire::u16(7) + wire::u16(0x8192) + wire::u32(0) + wire::u32(0) + "behind");
}

TEST(Response, EveryPrefixIsHandledWithoutFault) {
  const auto whole = response(
      {.answers = {wire::alias("a.test", "b.test", 60), wire::address("b.test", "10.0.0.1", 60)},
       .authorities = {soa(300, 30)},
       .additional = {opt()}});
  for (std::size_t size = dns_header_bytes; size <= whole.size(); size++) {
    std::string bytes = whole.substr(0, size);
    EXPECT_EQ(read_response(bytes).ttl.has_value(), size == whole.size()) << size;
    age(bytes, 1);
    rotate(bytes, 1);
    readdress(bytes, query, asked());
    EXPECT_LE(fit(bytes, 20), 20u);
  }
}

TEST(Response, SixtyFourKibibytesOfRecordsEnd) {
  Parts parts;
  const auto record = wire::address("", "10.0.0.1", 60);
  for (int i = 0; i < 4'300; i++) parts.answers.push_back(record);
  auto bytes = response(parts);
  EXPECT_GT(bytes.size(), 64'000u);
  EXPECT_EQ(read_response(bytes).ttl, std::nullopt) << "more records than are read";
  age(bytes, 1);
  EXPECT_LE(fit(bytes, 512), 512u);
}

TEST(Response, CompressionLoopsAreSteppedOver) {
  std::string bytes = response({});
  bytes[7] = 1;
  const std::string to_itself("\xc0\x1a", 2);
  bytes += to_itself + wire::u16(type_a) + wire::u16(1) + wire::u32(60) + wire::u16(4) + "abcd";
  EXPECT_EQ(read_response(bytes).ttl, 60u) << "nobody asks whose it is";
}

}  // namespace
}  // namespace sallyport::dns
