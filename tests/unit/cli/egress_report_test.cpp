// `sallyport egress-report`: from what was learned to ServiceEntries.
#include "agent/cli/egress_report.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "agent/cli/egress_text.h"
#include "agent/cli/process_names.h"
#include "agent/cli/validate.h"
#include "agent/net/socket_owner.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

struct Seen {
  std::string name, address;
  std::string port, protocol;  // as they stand in the JSON
  std::string more = {};       // further fields
};

std::string destination(const Seen& seen) {
  return R"({"name": ")" + seen.name + R"(", "address": ")" + seen.address + R"(", "port": )" +
         seen.port + R"(, "protocol": ")" + seen.protocol + R"(", )" + seen.more +
         R"("passed": 3, "refused": 0, "firstSeen": "2026-11-23T10:00:00.000Z",
            "lastSeen": "2026-11-23T11:00:00.500Z", "processes": ["curl"]})";
}

std::string document(const std::vector<std::string>& destinations,
                     const std::string& policy = "ALLOW_ANY") {
  std::string out = R"({"outboundTrafficPolicy": ")" + policy +
                    R"(", "since": "2026-11-16T08:00:00Z", "beyond": 0, "destinations": [)";
  for (const auto& one : destinations) out += (out.back() == '[' ? "" : ",") + one;
  return out + "]}";
}

const std::vector<std::string> all_kinds = {
    destination({"api.example.com", "192.0.2.1", "443", "TLS"}),
    destination({"api.example.com", "192.0.2.1", "80", "HTTP"}),
    destination({"api.example.com", "192.0.2.1", "443", "QUIC"}),
    destination({"db.example.com", "192.0.2.2", "5432", "TCP", R"("nameByDns": true, )"}),
    destination({"", "192.0.2.5", "443", "TLS"}),
    destination({"", "192.0.2.3", "9000", "TCP"}),
    destination({"", "2001:db8::", "80", "HTTP"}),
    destination({"", "192.0.2.4", "53", "UDP"}),
    destination({"known.example.com", "192.0.2.9", "443", "TLS", R"("declared": true, )"}),
};

class EgressReporting : public testing::Test {
protected:
  EgressReporting() {
    char path[] = "/tmp/sallyport-egress-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~EgressReporting() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& name, const std::string& text) {
    std::string path = directory_ / name;
    std::ofstream(path) << text;
    return path;
  }
  Outcome report(const std::string& text, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"-f", file("learned.json", text)});
    return run_command(run_egress_report, more);
  }
  std::filesystem::path directory_;
};

TEST_F(EgressReporting, TheTableSaysWhatRegistryOnlyWouldRefuse) {
  const auto outcome =
      report(document({all_kinds[0], all_kinds[5], all_kinds[8]}), {"-o", "table"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(
      outcome.output,
      "DESTINATION         PORT   PROTOCOL   PASSED   REFUSED   LAST SEEN              PROCESSES   "
      "REGISTRY_ONLY\n"
      "192.0.2.3           9000   TCP        3        0         2026-11-23T11:00:00Z   curl        "
      "would refuse\n"
      "api.example.com     443    TLS        3        0         2026-11-23T11:00:00Z   curl        "
      "would refuse\n"
      "known.example.com   443    TLS        3        0         2026-11-23T11:00:00Z   curl        "
      "declared\n"
      "2 of 3 destinations since 2026-11-16T08:00:00Z are in no resource; outboundTrafficPolicy "
      "REGISTRY_ONLY would refuse them\n");
  EXPECT_TRUE(has(report(document({all_kinds[0]}, "REGISTRY_ONLY"), {"-o", "table"}).output,
                  "REGISTRY_ONLY refuses them\n"));
}

TEST_F(EgressReporting, TheYamlIsServiceEntriesThatAreValid) {
  const auto outcome = report(document(all_kinds));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const auto validated = run_command(run_validate, {file("entries.yaml", outcome.output)});
  EXPECT_EQ(validated.exit_code, 0) << validated.output << validated.errors << outcome.output;
  for (const char* part : {
           "# 8 of 9 destinations since ",
           "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: "
           "egress-api.example.com\nspec:\n  hosts:\n  - api.example.com\n  exportTo:\n  - \".\"\n"
           "  location: MESH_EXTERNAL\n  resolution: DNS\n  ports:\n  - number: 80\n    name: "
           "http-80\n    protocol: HTTP\n  - number: 443\n    name: tls-443\n    protocol: "
           "TLS\n---",
           "  name: egress-api.example.com-udp\n",
           "  - number: 5432\n    name: tcp-5432\n    protocol: TCP\n",
           "  - \"192.0.2.5\"\n  exportTo:\n  - \".\"\n  location: MESH_EXTERNAL\n  resolution: "
           "NONE\n  ports:\n  - number: 443\n    name: tcp-443\n    protocol: TCP\n",
           "  name: egress-ip-192-0-2-3-ip\nspec:\n  hosts:\n  - "
           "ip-192-0-2-3-ip.egress.internal\n  addresses:\n  - \"192.0.2.3\"\n",
           "  addresses:\n  - \"2001:db8::\"\n  exportTo:\n  - \".\"\n  location: "
           "MESH_EXTERNAL\n  resolution: NONE\n",
           "  name: egress-ip-192-0-2-4-ip-udp\n",
       })
    EXPECT_TRUE(has(outcome.output, part)) << part << "\n" << outcome.output;
  EXPECT_FALSE(has(outcome.output, "egress-known.example.com"));
}

TEST_F(EgressReporting, APortHasTheProtocolThatIsSpokenMost) {
  const auto outcome = report(document({destination({"a.example.com", "192.0.2.1", "443", "HTTP"}),
                                        destination({"a.example.com", "192.0.2.1", "443", "TLS"}),
                                        destination({"a.example.com", "::1", "443", "TLS"})}));
  EXPECT_TRUE(has(outcome.output, "protocol: TLS\n")) << outcome.output;
  EXPECT_TRUE(
      has(outcome.output, "  # HTTP was seen on this port, too; it can have one protocol only\n"));
  EXPECT_EQ(run_command(run_validate, {file("entries.yaml", outcome.output)}).exit_code, 0);
}

TEST_F(EgressReporting, SeveralPodsBecomeOne) {
  const auto other = file("other.json", document({all_kinds[0], all_kinds[5]}));
  const auto outcome = report(document({all_kinds[0]}), {"-f", other, "-o", "table"});
  EXPECT_TRUE(has(outcome.output, "api.example.com   443    TLS        6 ")) << outcome.output;
  const auto again = report(report(document(all_kinds), {"-o", "json"}).output, {"-o", "json"});
  EXPECT_EQ(again.exit_code, 0) << "what it prints it reads: " << again.errors;
}

TEST_F(EgressReporting, WhatIsHostileNeverReachesYamlOrTerminal) {
  const Seen hostile[] = {
      {R"(a.com\nkind: Secret)", "192.0.2.1", "443", "TLS"},
      {"*.com", "192.0.2.1", "443", "TLS"},
      {"A.com", "192.0.2.1", "443", "TLS"},
      {"", R"(192.0.2.1\n)", "443", "TLS"},
      {"", "192.0.2.1", "0", "TLS"},
      {"", "192.0.2.1", "65536", "TLS"},
      {"", "192.0.2.1", "-1", "TLS"},
      {"", "192.0.2.1", "443", "tls"},
  };
  for (const auto& seen : hostile) {
    const std::string one = destination(seen);
    const auto outcome = report(document({one}));
    EXPECT_EQ(outcome.exit_code, 1) << one;
    EXPECT_TRUE(has(outcome.errors, "learned.json: destinations[0].")) << outcome.errors;
  }
  for (const char* text : {"", "[]", "{}", "nonsense", R"({"destinations": 7, "beyond": "x"})"})
    EXPECT_EQ(report(text).exit_code, 1) << text;
  auto named = destination({"", "192.0.2.1", "1", "TCP"});
  named.replace(named.find("curl"), 4, R"(\u001b[31m\nkind: x)");
  const auto process = report(document({named}));
  EXPECT_TRUE(has(process.output, "?[31m?kind: x")) << process.output;
  EXPECT_FALSE(has(process.output, "\x1b"));
  EXPECT_FALSE(has(process.output, "\nkind: x"));
}

TEST_F(EgressReporting, TheLongestNameHasAValidResource) {
  std::string name;
  while (name.size() < 240) name += "label-" + std::to_string(name.size()) + ".";
  name += "example";
  const auto outcome = report(document({destination({name, "192.0.2.1", "443", "TLS"})}));
  const auto validated = run_command(run_validate, {file("entries.yaml", outcome.output)});
  EXPECT_EQ(validated.exit_code, 0) << validated.output << validated.errors;
}

// A connection of this very process.
TEST(ProcessNames, NamesWhoseASocketIs) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage;
  socklen_t size = SocketAddress::parse("127.0.0.1:0")->fill(storage);
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  ASSERT_EQ(bind(listener, address, size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, address, &size), 0);
  const auto destination = SocketAddress::from(address);
  ASSERT_EQ(connect(client, address, size), 0);
  ASSERT_EQ(getsockname(client, address, &size), 0);
  const auto source = SocketAddress::from(address);

  std::string comm;
  std::getline(std::ifstream("/proc/self/comm"), comm);
  std::mutex mutex;
  std::condition_variable came;
  std::string name;
  {
    ProcessNames names;
    names.ask({IPPROTO_TCP, source, destination}, [&](const std::string& process) {
      const std::lock_guard lock(mutex);
      name = process;
      came.notify_one();
    });
    std::unique_lock lock(mutex);
    EXPECT_TRUE(came.wait_for(lock, std::chrono::seconds(20), [&] { return !name.empty(); }));
  }
  EXPECT_EQ(name, comm);
  const auto facts = net::facts_of(IPPROTO_TCP, source, destination);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->user, getuid());
  EXPECT_EQ(process_with_socket("/nowhere", facts->inode), "");
  EXPECT_EQ(process_with_socket("/proc", 0), "");
  close(client);
  close(listener);
  EXPECT_FALSE(net::facts_of(IPPROTO_TCP, source, destination));
}

}  // namespace
}  // namespace sallyport::cli
