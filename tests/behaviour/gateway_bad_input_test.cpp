// What is hostile at a gateway, end to end: requests that two readers would take differently, paths
// that go around a policy, and crowds that never finish. The application behind it writes down
// every byte that it is sent (bad_input/gateway-recorder.yaml).
// (Slow bodies and slow readers, whose time is minutes: tests/unit/proxy/stall_test.cpp.)
#include <regex>

#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string webapp = "webapp.istioinaction.io";
const std::string host = "Host: " + webapp + "\r\n", close_asked = "Connection: close\r\n";
const std::string post = "POST /case HTTP/1.1\r\n" + host;
const std::string smuggled = "GET /smuggled HTTP/1.1\r\n" + host + "\r\n";

// One sandbox for all of these: none of them may disturb the next.
class HostileClient : public GatewayScenario {
protected:
  void SetUp() override {
    if (shared_) {
      sandbox_.emplace(std::move(*std::exchange(shared_, {})));
      return;
    }
    const auto mine = [](const std::string& name) {
      return text_of_file("tests/behaviour/bad_input/gateway-" + name + ".yaml");
    };
    up("ingress-simple", {{"rules.yaml", mine("rules")},
                          {"webapp.yaml", mine("recorder")},
                          {"client.yaml", mine("client")}});
  }
  void TearDown() override {
    if (sandbox_) shared_.emplace(std::move(*sandbox_));
  }
  static void TearDownTestSuite() { shared_.reset(); }

  // What is answered to the bytes, and how the connection ended: "[closed]", or "[open]" after 10
  // s.
  std::string send(int port, const std::string& bytes, bool late = false) {
    std::vector<std::string> words = {"python3", "/programs/send.py", gateway(),
                                      std::to_string(port)};
    if (late) words.push_back("late");
    const auto result = exec("client", words, bytes);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }

  // All that reached the application since `before`; a request of its own tells that nothing is on
  // its way any more.
  std::string recorded_since(std::size_t before) {
    static int number = 0;
    const std::string last = "/last-" + std::to_string(++number);
    const auto answer = send(80, "GET " + last + " HTTP/1.1\r\n" + host + close_asked + "\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
    EXPECT_TRUE(logged("webapp", "webapp", "request GET " + last + " "));
    const auto all = logs("webapp", "webapp").substr(before);
    return all.substr(0, all.find(last));
  }
  std::size_t recorded_size() { return logs("webapp", "webapp").size(); }

private:
  static inline std::optional<sandbox::Sandbox> shared_;
};

class BothPorts : public HostileClient, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Port, BothPorts, testing::Values(80, 443),
                         [](const auto& info) { return std::to_string(info.param); });

// --- what is no request ---

struct Refused {
  const char* name;
  std::string bytes;
  const char* status = "400";
};

std::string chunked_with(const std::string& field) {
  return post + "Content-Length: 4\r\n" + field + "\r\n\r\n0\r\n\r\n" + smuggled;
}
std::string chunks(const std::string& body) {
  return post + "Transfer-Encoding: chunked\r\n\r\n" + body;
}
std::string field(const std::string& line) {
  return "GET /case HTTP/1.1\r\n" + host + line + "\r\n\r\n" + smuggled;
}
std::string line(const std::string& text) { return text + "\r\n" + host + "\r\n" + smuggled; }
std::string length_of(const std::string& body) {
  return "Content-Length: " + std::to_string(body.size()) + "\r\n";
}
const std::string nul(1, '\0');

const Refused two_lengths[] = {
    {"CL.TE", post + length_of("0\r\n\r\n" + smuggled) +
                  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
    {"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n40\r\n" + smuggled +
                  "\r\n0\r\n\r\n"},
    {"two lengths that differ",
     post + "Content-Length: 0\r\n" + length_of(smuggled) + "\r\n" + smuggled},
    {"two lengths that agree",
     post + length_of(smuggled) + length_of(smuggled) + "\r\n" + smuggled},
    {"a list of lengths", post + "Content-Length: 0, 40\r\n\r\n" + smuggled},
    {"a signed length", post + "Content-Length: +0\r\n\r\n" + smuggled},
    {"a negative length", post + "Content-Length: -1\r\n\r\n" + smuggled},
    {"a hexadecimal length", post + "Content-Length: 0x0\r\n\r\n" + smuggled},
    {"an empty length", post + "Content-Length:\r\n\r\n" + smuggled},
    {"a length beyond 64 bits", post + "Content-Length: 18446744073709551616\r\n\r\n" + smuggled},
    {"a chunked body under HTTP/1.0",
     "POST /case HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
    {"a length that Connection would have taken out",
     post + "Connection: Content-Length\r\n" + length_of(smuggled) + "\r\n" + smuggled},
    {"a coding that Connection would have taken out",
     post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
         smuggled},
};

// TE.TE: one of two readers does not see the coding, and goes by the length. 501 is for one that is
// seen and not known.
const Refused hidden_codings[] = {
    {"not quite the name", chunked_with("Transfer-Encoding: xchunked"), "501"},
    {"a list of two", chunked_with("Transfer-Encoding: chunked, identity"), "501"},
    {"a list of one", chunked_with("Transfer-Encoding: ,chunked"), "501"},
    {"in quotes", chunked_with("Transfer-Encoding: \"chunked\""), "501"},
    {"with a parameter", chunked_with("Transfer-Encoding: chunked;q=1"), "501"},
    {"identity", chunked_with("Transfer-Encoding: identity"), "501"},
    {"empty", chunked_with("Transfer-Encoding:"), "501"},
    {"a second one that is not known",
     chunked_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"), "501"},
    {"a second one that is", chunked_with("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked"),
     "501"},
    {"in capitals", chunked_with("transfer-encoding: CHUNKED")},
    {"behind a tab", chunked_with("Transfer-Encoding:\tchunked")},
    {"behind a vertical tab", chunked_with("Transfer-Encoding:\vchunked")},
    {"before a vertical tab", chunked_with("Transfer-Encoding: chunked\v")},
    {"a blank before the colon", chunked_with("Transfer-Encoding : chunked")},
    {"a tab before the colon", chunked_with("Transfer-Encoding\t: chunked")},
    {"behind a blank", chunked_with(" Transfer-Encoding: chunked")},
    {"on a folded line", chunked_with("Transfer-Encoding:\r\n chunked"), "501"},
    {"behind a bare LF", chunked_with("A: b\nTransfer-Encoding: chunked")},
    {"behind a bare CR", chunked_with("A: b\rTransfer-Encoding: chunked")},
    {"a name that a line end cuts", chunked_with("Transfer-Encoding\n: chunked")},
    {"a NUL in the name", chunked_with("Transfer-Encoding" + nul + ": chunked")},
    {"a NUL behind the value", chunked_with("Transfer-Encoding: chunked" + nul)},
    {"a letter that is not ASCII",
     chunked_with("Transfer-Encoding: chun\xc5\xbf"
                  "ed"),
     "501"},
};

const Refused bad_heads[] = {
    {"a folded line", field("A: b\r\n c")},
    {"a folded line at first", "GET /case HTTP/1.1\r\n " + host + "\r\n" + smuggled},
    {"no name", field(": b")},
    {"no colon", field("A")},
    {"a blank in a name", field("A b: c")},
    {"a name that is not ASCII", field("\xc3\xa4: b")},
    {"a bracket in a name", field("A[0]: b")},
    {"a NUL in a value", field("A: b" + nul + "c")},
    {"a bare CR in a value", field("A: b\rc")},
    {"a bare LF in a value", field("A: b\nc: d")},
    {"a head that bare LFs end", "GET /case HTTP/1.1\nHost: " + webapp + "\n\n" + smuggled},
    {"a control character in a value", field("A: \x01")},
    {"a delete character in a value", field("A: \x7f")},
    {"no Host", "GET /case HTTP/1.1\r\n\r\n" + smuggled},
    {"two Hosts", field(host + "A: b")},
    {"two Hosts that differ", field("Host: other.example.com")},
    {"a Host with a path", "GET /case HTTP/1.1\r\nHost: " + webapp + "/x\r\n\r\n" + smuggled},
    {"a Host with a user", "GET /case HTTP/1.1\r\nHost: a@" + webapp + "\r\n\r\n" + smuggled},
    {"another host in the target", line("GET http://other.example.com/case HTTP/1.1")},
    {"a user in the target", line("GET http://a@" + webapp + "/case HTTP/1.1")},
    {"a target of another scheme", line("GET ftp://" + webapp + "/case HTTP/1.1")},
    {"a target without a slash", line("GET case HTTP/1.1")},
    {"a fragment in the target", line("GET /case#x HTTP/1.1")},
    {"a NUL in the target", line("GET /ca" + nul + "se HTTP/1.1")},
    {"an escaped NUL in the path", line("GET /case%00 HTTP/1.1")},
    {"a line end in the target", line("GET /case\r\nA: b HTTP/1.1"), "505"},
    {"two blanks behind the method", line("GET  /case HTTP/1.1")},
    {"a tab behind the method", line("GET\t/case HTTP/1.1")},
    {"a method that is no token", line("G(T /case HTTP/1.1")},
    {"HTTP/0.9", "GET /case\r\n\r\n" + smuggled, "505"},
    {"HTTP/2.0 in a line", line("GET /case HTTP/2.0"), "505"},
    {"a version of two digits", line("GET /case HTTP/1.10")},
    {"a version in small letters", line("GET /case http/1.1")},
    {"a head of 70 KiB", field("A: " + std::string(70 * 1024, 'a')), "431"},
};

const Refused bad_chunks[] = {
    {"a size beyond 64 bits", chunks("10000000000000000\r\n" + smuggled)},
    {"a size that wraps to 0", chunks("100000000000000000000000000000000\r\n\r\n" + smuggled)},
    {"a negative size", chunks("-1\r\n" + smuggled)},
    {"a size with a prefix", chunks("0x0\r\n\r\n" + smuggled)},
    {"no size", chunks("\r\n\r\n" + smuggled)},
    {"a size that is no number", chunks("zero\r\n\r\n" + smuggled)},
    {"a blank before the size", chunks(" 0\r\n\r\n" + smuggled)},
    {"a blank before the line's end", chunks("0 \r\n\r\n" + smuggled)},
    {"a bare LF behind the size", chunks("0\n\n" + smuggled)},
    {"a bare CR behind the size", chunks("0\r\r" + smuggled)},
    {"a bare LF in an extension", chunks("0;a\n\r\n" + smuggled)},
    {"more data than the size", chunks("1\r\nabc\r\n0\r\n\r\n" + smuggled)},
    {"data that a bare LF ends", chunks("1\r\na\n0\r\n\r\n" + smuggled)},
    {"a trailer that is a length", chunks("0\r\nContent-Length: 40\r\n\r\n" + smuggled)},
    {"a trailer that is a coding", chunks("0\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled)},
    {"a trailer that is a host", chunks("0\r\nHost: other.example.com\r\n\r\n" + smuggled)},
    {"a trailer without a colon", chunks("0\r\nA\r\n\r\n" + smuggled)},
    {"a trailer that is folded", chunks("0\r\nA: b\r\n c\r\n\r\n" + smuggled)},
    {"a trailer that a bare LF ends", chunks("0\r\nA: b\n\r\n" + smuggled)},
};

// More than comes with the head.
const Refused long_extension[] = {
    {"an extension of 20 KiB", chunks("0;" + std::string(20 * 1024, 'a') + "\r\n\r\n" + smuggled)},
};

class Smuggling : public BothPorts {
protected:
  void expect_refused(const Refused& c, bool late = false) {
    const auto answer = send(GetParam(), c.bytes, late);
    EXPECT_TRUE(std::regex_search(answer, std::regex(std::string("^HTTP/1.[01] ") + c.status)))
        << c.name << ": " << answer;
    EXPECT_EQ(count(answer, "HTTP/1."), 1) << c.name << ": nothing else is answered: " << answer;
    EXPECT_TRUE(has(answer, "connection: close\r\n")) << c.name << ": " << answer;
    EXPECT_TRUE(has(answer, "[closed]")) << c.name << ": " << answer;
  }
  template <std::size_t N>
  void expect_none_reaches_the_application(const Refused (&cases)[N]) {
    const auto before = recorded_size();
    for (const auto& c : cases) expect_refused(c);
    const auto recorded = recorded_since(before);
    EXPECT_TRUE(recorded.starts_with("bytes GET ") && count(recorded, "bytes ") == 1)
        << "only the test's own request: " << recorded;
  }
};
INSTANTIATE_TEST_SUITE_P(Port, Smuggling, testing::Values(80, 443),
                         [](const auto& info) { return std::to_string(info.param); });

TEST_P(Smuggling, ABodyOfTwoLengthsIsRefused) { expect_none_reaches_the_application(two_lengths); }
TEST_P(Smuggling, ACodingThatIsHiddenIsRefused) {
  expect_none_reaches_the_application(hidden_codings);
}
TEST_P(Smuggling, AHeadThatIsMalformedIsRefused) { expect_none_reaches_the_application(bad_heads); }
TEST_P(Smuggling, AChunkThatIsMalformedIsRefused) {
  expect_none_reaches_the_application(bad_chunks);
}

// The head is forwarded before anybody sees that its chunks are none: then what is behind them is
// not, and the application's connection ends.
TEST_P(Smuggling, AChunkThatIsMalformedAndComesLaterIsRefusedToo) {
  const auto before = recorded_size();
  for (const auto& c : bad_chunks) expect_refused(c, true);
  for (const auto& c : long_extension) expect_refused(c, true);
  const auto recorded = recorded_since(before);
  EXPECT_TRUE(has(recorded, "bytes POST /case ")) << recorded;
  EXPECT_FALSE(has(recorded, "request ")) << recorded;
  EXPECT_FALSE(has(recorded, "smuggled")) << recorded;
}

// --- what is one request, and must stay one ---

struct One {
  const char* name;
  std::string bytes;
  const char* forwarded;  // of it, as the recorder escapes it
};

const One ones[] = {
    {"CL.0: a body that looks like a request",
     post + close_asked + length_of(smuggled) + "\r\n" + smuggled, "\\r\\n\\r\\nGET /smuggled"},
    {"a body of GET",
     "GET /case HTTP/1.1\r\n" + host + close_asked + length_of(smuggled) + "\r\n" + smuggled,
     "\\r\\n\\r\\nGET /smuggled"},
    {"a chunk extension",
     post + close_asked + "Transfer-Encoding: chunked\r\n\r\n1;a=\"b\"\r\nx\r\n0;c\r\n\r\n",
     "1;a=\"b\"\\r\\nx\\r\\n0;c\\r\\n\\r\\n"},
    {"zeros before a chunk's size",
     post + close_asked + "Transfer-Encoding: chunked\r\n\r\n0001\r\nx\r\n000\r\n\r\n",
     "0001\\r\\nx\\r\\n"},
    {"a trailer", post + close_asked + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
     "0\\r\\nA: b\\r\\n\\r\\n"},
    {"the host of the target",
     "GET http://" + webapp + "/case HTTP/1.1\r\n" + host + close_asked + "\r\n", "GET /case "},
    {"bytes behind the last request",
     "GET /case HTTP/1.1\r\n" + host + close_asked + "\r\n" + smuggled, "GET /case "},
    {"an upgrade to h2c",
     "GET /case HTTP/1.1\r\n" + host +
         "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
         "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
     "GET /case "},
};

TEST_P(Smuggling, ABodyIsNoRequestAndTheLastRequestIsTheLast) {
  for (const auto& c : ones) {
    const auto before = recorded_size();
    const auto answer = send(GetParam(), c.bytes);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << c.name << ": " << answer;
    EXPECT_EQ(count(answer, "HTTP/1.1 "), 1) << c.name << ": " << answer;
    EXPECT_TRUE(has(answer, "[closed]")) << c.name << ": " << answer;
    const auto recorded = recorded_since(before);
    EXPECT_TRUE(has(recorded, c.forwarded)) << c.name << ": " << recorded;
    EXPECT_EQ(count(recorded, "request "), 1) << c.name << ": " << recorded;
    for (const char* never : {"request GET /smuggled", "h2c", "HTTP2-Settings", "PRI "})
      EXPECT_FALSE(has(recorded, never)) << c.name << ": " << recorded;
  }
}

TEST_P(Smuggling, BytesBehindARequestAreRefusedAndItsAnswerIsNotSpoiled) {
  const auto before = recorded_size();
  const auto answer =
      send(GetParam(), "GET /case HTTP/1.1\r\n" + host + "\r\n\x16\x03 trailing\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
  EXPECT_TRUE(has(answer, "HTTP/1.1 400 ")) << answer;
  EXPECT_TRUE(has(answer, "[closed]")) << answer;
  EXPECT_FALSE(has(recorded_since(before), "trailing"));
}

// --- paths ---

struct Path {
  const char *sent, *status, *reaches;  // the application; null: nothing does
};

// meshConfig.pathNormalization is unset: BASE. It decodes what needs no escape, resolves dots and
// turns backslashes; it keeps escaped slashes and repeated ones, as Envoy does under it.
const Path paths[] = {
    {"/admin", "403", nullptr},
    {"/%61dmin", "403", nullptr},
    {"/%61%64%6D%69%6e", "403", nullptr},
    {"/./admin", "403", nullptr},
    {"/%2e/admin", "403", nullptr},
    {"/x/../admin", "403", nullptr},
    {"/x/%2e%2E/admin", "403", nullptr},
    {"/x/.%2e/admin", "403", nullptr},
    {"/../../admin", "403", nullptr},
    {"/x\\..\\admin", "403", nullptr},
    {"\\admin", "400", nullptr},
    {"http://webapp.istioinaction.io/x/../admin", "403", nullptr},
    {"/admin/../x", "200", "/x"},
    {"/admin?a=/../", "403", nullptr},
    {"/x%2F..%2Fadmin", "200", "/x%2F..%2Fadmin"},
    {"/%2Fadmin", "200", "/%2Fadmin"},
    {"//admin", "200", "//admin"},
    {"/%2561dmin", "200", "/%2561dmin"},
    {"/x?a=%61/../b", "200", "/x?a=%61/../b"},
};

TEST_P(BothPorts, APolicyOnAPathSeesWhatTheApplicationIsSent) {
  for (const auto& c : paths) {
    const auto before = recorded_size();
    const auto answer = send(
        GetParam(), "GET " + std::string(c.sent) + " HTTP/1.1\r\n" + host + close_asked + "\r\n");
    EXPECT_TRUE(answer.starts_with(std::string("HTTP/1.1 ") + c.status + " "))
        << c.sent << ": " << answer;
    auto recorded = recorded_since(before);
    if (!c.reaches) {
      EXPECT_FALSE(has(recorded, "request ")) << c.sent << ": " << recorded;
    } else {
      EXPECT_TRUE(has(recorded, "request GET " + std::string(c.reaches) + " HTTP/1.1\n"))
          << c.sent << ": " << recorded;
    }
  }
}

// --- crowds ---

double number_behind(const std::string& text, const std::string& words) {
  std::smatch found;
  return std::regex_search(text, found, std::regex(words + "([0-9.]+)")) ? std::stod(found[1]) : -1;
}

// Half of the crowd is cut within the ClientHello (let go after limits::client_hello_time, 10 s),
// half of it behind it (limits::mesh_handshake_time, 15 s); a slow head has limits::http_head_time,
// 10 s.
TEST_F(HostileClient, WhoNeverFinishesDisturbsNobodyAndIsLetGo) {
  const auto result = exec("client", {"python3", "/programs/crowd.py", gateway(), "2000"});
  const auto& said = result.out;
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(said, "gathered 2000 in ")) << said;
  EXPECT_TRUE(has(said, "answered 200 in ")) << said;
  EXPECT_GE(number_behind(said, ", beside "), 1000) << "they were there meanwhile: " << said;
  EXPECT_TRUE(has(said, "left 0 after ")) << said;
  EXPECT_GE(number_behind(said, "left 0 after "), 14) << "each has its time: " << said;
  for (const std::string port : {"80", "443"}) {
    const auto slow = "slow head on " + port + ": HTTP/1.1 408 Request Timeout after ";
    EXPECT_GE(number_behind(said, slow), 9.5) << said;
    EXPECT_LT(number_behind(said, slow), 15) << said;
  }
  EXPECT_TRUE(gateway_logged(" 408 DPE request_header_timeout "));
  const auto metrics = curl("client", {"http://" + gateway() + ":15021/healthz/ready"});
  EXPECT_EQ(metrics.code, 0) << "it is still ready: " << metrics.err;
}

}  // namespace
}  // namespace sallyport::behaviour
