// What is broken or hostile, end to end: a clear reason in the log or the answer, and other traffic
// goes on. (A missing secret, a wrong value in a rule and one of a wrong type: egress_mtls_test.)
#include <algorithm>

#include "tests/behaviour/scenario.h"
#include "tests/unit/sniff/hello_bytes.h"

namespace sallyport::behaviour {
namespace {

const std::string host = "my-nginx.mesh-external.svc.cluster.local";
const std::string url = "http://" + host;
const std::string anywhere = "198.18.255.1";  // nobody is there: the proxy routes by Host

// Istio's format writes reasons without blanks.
std::string in_log(std::string reason) {
  std::replace(reason.begin(), reason.end(), ' ', '_');
  return reason;
}

class BadInput : public Scenario {
protected:
  static std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(SALLYPORT_SOURCE_DIR "/" + path).rdbuf();
    EXPECT_FALSE(text.str().empty()) << path;
    return text.str();
  }
  static sandbox::Files with(std::initializer_list<std::string> names) {
    sandbox::Files files;
    for (const auto& name : names) files[name] = text_of("tests/behaviour/bad_input/" + name);
    return files;
  }

  // curl to `name`, whatever the pod's own resolver says of it; answer with its head.
  sandbox::CommandResult ask(const std::string& pod, const std::string& name,
                             const std::string& path = "/", const std::string& seconds = "20") {
    return curl(pod,
                {"-m", seconds, "-D", "-", "-H", "Host: " + name, "http://" + anywhere + path});
  }

  std::string metric(const std::string& pod, const std::string& name) {
    const auto text = "\n" + curl(pod, {"http://127.0.0.1:15000/stats/prometheus"}).out;
    for (const std::string labels : {"{} ", " "}) {
      const auto at = text.find("\n" + name + labels);
      if (at == text.npos) continue;
      const auto begin = at + 1 + name.size() + labels.size();
      return text.substr(begin, text.find('\n', begin) - begin);
    }
    return "none: " + text;
  }

  // The sidecar is the process that it was, and carries what it shall carry.
  void expect_undisturbed(const std::string& after) {
    EXPECT_TRUE(has(curl("sleep", {url}).out, "Welcome to nginx!")) << after;
    const auto pods = sandbox_->status();
    ASSERT_TRUE(pods);
    for (const auto& pod : *pods) EXPECT_EQ(pod.restarts, "0") << pod.name << " after " << after;
  }
};

// --- the configuration ---

// What a cluster's user gives the sidecars: here the sandbox must not read it itself.
std::string configuration(const sandbox::Files& files) {
  std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sallyport-config}\ndata:\n";
  for (const auto& [name, content] : files) {
    text += "  " + name + ": |\n";
    std::istringstream lines(content);
    for (std::string line; std::getline(lines, line);) text += "    " + line + "\n";
  }
  return text;
}

// NAME.example.org, whose plain HTTP shall go to the sample's server with `tls` (line 16).
std::string origination(const std::string& name, const std::string& tls,
                        const std::string& more = "resolution: DNS") {
  return "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " + name +
         "}\nspec:\n  hosts: [" + name +
         ".example.org]\n  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]\n  " +
         more + "\n  endpoints: [{address: " + host +
         "}]\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " +
         name + "}\nspec:\n  workloadSelector: {matchLabels: {app: sleep}}\n  host: " + name +
         ".example.org\n  trafficPolicy: {tls: " + tls + "}\n";
}

std::string with_credential(const std::string& name) {
  return "{mode: MUTUAL, credentialName: " + name + ", sni: " + host + ", subjectAltNames: [" +
         host + "]}";
}

struct Pem {
  std::string certificate, key;
};

// Of the Secret `name` in the sample's certificates.yaml.
Pem pem_of(const std::string& certificates, const std::string& name) {
  const auto secret = certificates.find("name: " + name);
  const auto block = [&](const std::string& label) {
    const auto begin = certificates.find("-----BEGIN " + label, secret);
    const std::string end = "-----END " + label + "-----\n";
    return "    " + certificates.substr(begin, certificates.find(end, begin) + end.size() - begin);
  };
  return {block("CERTIFICATE"), block("PRIVATE KEY")};
}

std::string secret(const std::string& name, const Pem& pem, const Pem& ca) {
  return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name +
         "}\nstringData:\n  tls.crt: |\n" + pem.certificate + "  tls.key: |\n" + pem.key +
         "  ca.crt: |\n" + ca.certificate;
}

class BadConfiguration : public BadInput {
protected:
  const std::string certificates_ = text_of("deploy/samples/egress-mtls/certificates.yaml");
  const std::string rule_ = text_of("deploy/samples/egress-mtls/originate-mtls.yaml");
  const Pem client_ = pem_of(certificates_, "client-credential");
  const Pem server_ = pem_of(certificates_, "nginx-server-certs");
  const Pem ca_ = pem_of(certificates_, "nginx-ca-certs");
  const Pem broken_{"    -----BEGIN CERTIFICATE-----\n    AAAA\n    -----END CERTIFICATE-----\n",
                    client_.key};
  const sandbox::Files good_ = {{"rule.yaml", rule_},
                                {"credential.yaml", secret("client-credential", client_, ca_)}};
};

TEST_F(BadConfiguration, ClosesWhatItNamesAndNothingElse) {
  auto files = good_;
  files["malformed.yaml"] =
      "kind: ServiceEntry\nmetadata: {name: malformed}\nspec:\n  hosts: [malformed.example.org]\n"
      "  resolution: DNS\n  ports: [{number: 80}\n";
  files["unknown.yaml"] = origination("unknown", "{mode: SIMPLE, caCertificate: /etc/ca.pem}");
  files["broken.yaml"] =
      origination("broken", with_credential("broken")) + "---\n" + secret("broken", broken_, ca_);
  files["mismatch.yaml"] = origination("mismatch", with_credential("mismatch")) + "---\n" +
                           secret("mismatch", {client_.certificate, server_.key}, ca_);
  files["odd.yaml"] =
      origination("odd", with_credential("client-credential"), "colour: blue\n  resolution: DNS");
  up("egress-mtls", {{"configuration.yaml", configuration(files)}});

  const std::tuple<std::string, std::string, std::string> closed[] = {
      {"malformed", "malformed.yaml:", "end of sequence flow"},
      {"unknown",
       "unknown.yaml:16: DestinationRule default/unknown: ", "tls.caCertificate: unknown field"},
      {"broken", "broken.yaml:18: Secret default/broken: ", "certificate chain"},
      {"mismatch", "mismatch.yaml:18: Secret default/mismatch: ",
       "private key: does not match the certificate"},
  };
  for (const auto& [name, place, reason] : closed) {
    sandbox::CommandResult result;
    const auto wire = captured_if_any(
        "sleep", [&] { result = ask("sleep", name + ".example.org", "/marker-in-path"); });
    EXPECT_TRUE(result.out.starts_with("HTTP/1.1 503 Service Unavailable")) << result.out;
    EXPECT_TRUE(has(result.out, place)) << result.out;
    EXPECT_TRUE(has(result.out, reason)) << result.out;
    EXPECT_FALSE(has(wire, "marker-in-path")) << name << ": no plaintext left instead";
    expect_undisturbed(name);
  }
  EXPECT_TRUE(has(ask("sleep", "odd.example.org").out, "Welcome to nginx!"))
      << "an unknown field that protects nothing is a warning";
  EXPECT_TRUE(
      logged("sleep", "istio-proxy", "odd.yaml:7: ServiceEntry default/odd: spec.colour: "));
  for (const auto& [name, place, reason] : closed)
    EXPECT_TRUE(logged("sleep", "istio-proxy", place)) << name;
}

TEST_F(BadConfiguration, AppliedLaterLeavesTheLastGoodVersionInForce) {
  up("egress-mtls", {{"configuration.yaml", configuration(good_)}});
  expect_undisturbed("the good version");
  auto files = good_;
  files["rule.yaml"] = rule_ + "        mode: [\n";
  apply("configuration.yaml", configuration(files));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "its last good version stays in force"));
  expect_undisturbed("malformed YAML");
  files = good_;
  files["credential.yaml"] = secret("client-credential", broken_, ca_);
  apply("configuration.yaml", configuration(files));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "the last good version stays in use"));
  expect_undisturbed("a broken certificate");
  files["credential.yaml"] = secret("client-credential", {client_.certificate, server_.key}, ca_);
  apply("configuration.yaml", configuration(files));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "does not match the certificate"));
  expect_undisturbed("a key that does not match");
}

// One sandbox for all of these: none of them may disturb the next.
class BadPeers : public BadInput {
protected:
  void SetUp() override {
    if (shared_) {
      sandbox_.emplace(std::move(*std::exchange(shared_, {})));
      return;
    }
    up("egress-mtls", with({"upstream.yaml", "resolver.yaml"}));
    // Answered after 15 s (two tries of 5 s and 10 s): the last test wants it.
    exec("misled", {"sh", "-c",
                    "curl -sS -m 60 -D - -H 'Host: silent.example.org' http://" + anywhere +
                        " >/tmp/silent 2>&1 &"});
  }
  void TearDown() override {
    if (sandbox_) shared_.emplace(std::move(*sandbox_));
  }
  static void TearDownTestSuite() { shared_.reset(); }

private:
  static inline std::optional<sandbox::Sandbox> shared_;
};

// --- the client ---

struct BadClient {
  const char* name;
  std::string bytes, to;
  const char* answer;  // how it begins; empty: none
  std::string logged;
};

std::string noise(std::size_t size) {
  std::string bytes;
  for (uint32_t x = 1; bytes.size() < size; x = x * 1664525 + 1013904223) bytes += char(x >> 24);
  return bytes;
}

const std::string http = host + ":80", https = host + ":443", request = "GET / HTTP/1.1\r\n";
const std::string hello = sniff::hello_for(host);
const std::string long_hello =
    sniff::records(sniff::message_with(sniff::server_name(host) + sniff::padding(65'450)));

const BadClient bad_clients[] = {
    {"a ClientHello cut short", hello.substr(0, hello.size() - 1), https, "",
     "\"ClientHello cut short\""},
    {"a ClientHello of 64 KiB", long_hello, https, "", "\"ClientHello longer than 64 KiB\""},
    {"garbage in the place of a ClientHello", "\x16\x03\x01" + noise(5000), https, "",
     "\"TLS handshake that does not begin with a ClientHello\""},
    {"garbage after HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise(5000), http, "",
     "\"HTTP/2 is not read yet"},
    {"garbage after a request line", request + noise(5000) + "\r\n\r\n", http, "HTTP/1.1 400 ",
     " 400 DPE "},
    {"garbage behind a request", request + "Host: " + host + "\r\n\r\n" + noise(5000) + "\r\n\r\n",
     http, "HTTP/1.1 200 ", " 400 DPE "},
    {"a header of 1 MiB",
     request + "Host: " + host + "\r\nA: " + std::string(1 << 20, 'a') + "\r\n\r\n", http,
     "HTTP/1.1 431 ", " 431 DPE "},
    {"the proxy's own port", noise(5000), anywhere + ":15001", "", "passing it on would loop"},
    {"garbage for the admin port", noise(5000) + "\r\n\r\n", "127.0.0.1:15000", "HTTP/1.1 400 ",
     ""},
};

TEST_F(BadPeers, AClientIsRefusedWithTheReason) {
  for (const auto& c : bad_clients) {
    const auto before = logs("sleep", "istio-proxy").size();
    const auto news = [&] { return logs("sleep", "istio-proxy").substr(before); };
    const auto result = exec("sleep", {"socat", "-t20", "-", "TCP:" + c.to}, c.bytes);
    EXPECT_TRUE(result.out.starts_with(c.answer)) << c.name << ": " << result.out << result.err;
    const auto words = c.logged.starts_with(' ') ? c.logged : in_log(c.logged);
    EXPECT_TRUE(soon([&] { return has(news(), words); })) << c.name << ": " << news();
    expect_undisturbed(c.name);
  }
}

// --- the upstream ---

struct BadUpstream {
  const char* path;
  int curl_code;  // 56: the connection was reset, 28: time over
  const char* answer;
  const char* logged;
};

const BadUpstream bad_upstreams[] = {
    {"/cut-length", 56, "HTTP/1.1 200 OK",
     " 200 UC upstream_reset_after_response_started{connection_termination} "},
    {"/cut-chunk", 56, "HTTP/1.1 200 OK",
     " 200 UC upstream_reset_after_response_started{connection_termination} "},
    {"/reset", 56, "HTTP/1.1 200 OK",
     " 200 UC upstream_reset_after_response_started{connection_termination} "},
    {"/gone", 0, "HTTP/1.1 503 Service Unavailable",
     " 503 UC upstream_reset_before_response_started{connection_termination} "},
    {"/garbage", 0, "HTTP/1.1 502 Bad Gateway",
     " 502 UPE upstream_reset_before_response_started{protocol_error} "},
    {"/endless", 0, "HTTP/1.1 502 Bad Gateway",
     " 502 UPE upstream_reset_before_response_started{protocol_error} "},
    {"/never", 28, "", " 0 DC downstream_remote_disconnect "},
};

TEST_F(BadPeers, AnUpstreamThatBreaksOffOrNeverAnswers) {
  for (const auto& c : bad_upstreams) {
    const auto result =
        ask("sleep", "upstream.example.org", c.path, c.curl_code == 28 ? "1" : "20");
    EXPECT_EQ(result.code, c.curl_code) << c.path << result.err;
    EXPECT_TRUE(result.out.starts_with(c.answer)) << c.path << result.out;
    EXPECT_TRUE(
        logged("sleep", "istio-proxy", "\"GET " + std::string(c.path) + " HTTP/1.1\"" + c.logged));
    EXPECT_TRUE(has(ask("sleep", "upstream.example.org").out, "fine")) << "after " << c.path;
    expect_undisturbed(c.path);
  }
  EXPECT_TRUE(logged("outside/upstream", "server", "left alone: /never"))
      << "nobody waits for an answer that nobody wants";
}

TEST_F(BadPeers, AServerThatNeverFinishesTheHandshake) {
  sandbox::CommandResult result;
  const auto wire =
      captured("sleep", [&] { result = ask("sleep", "mute.example.org", "/marker-in-path"); });
  EXPECT_TRUE(result.out.starts_with("HTTP/1.1 503 Service Unavailable")) << result.out;
  EXPECT_TRUE(has(result.out, "(SNI mute.example.org)")) << result.out;
  EXPECT_FALSE(has(wire, "marker-in-path"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", " 503 URX,UF "));
  expect_undisturbed("the handshake");
}

// --- DNS ---

TEST_F(BadPeers, ANameServerThatLies) {
  for (const char* truth : {"wrong-id", "wrong-question", "noise"}) {
    EXPECT_TRUE(has(ask("misled", truth + std::string(".example.org")).out, "fine"))
        << truth << ": only the answer to the question counts; " << logs("misled", "istio-proxy");
  }
  const std::pair<const char*, const char*> lies[] = {
      {"other-names.example.org", "the answer is about other names only"},
      {"cut-short.example.org", "the answer is cut short or malformed"},
  };
  for (const auto& [name, reason] : lies) {
    const auto answer = ask("misled", name).out;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 Service Unavailable")) << answer;
    EXPECT_TRUE(has(answer, "resolve " + std::string(name) + ": " + reason)) << answer;
    EXPECT_TRUE(logged("misled", "istio-proxy", in_log(reason)));
  }
  EXPECT_TRUE(has(ask("misled", "upstream.example.org").out, "fine"));
  expect_undisturbed("lies");
}

TEST_F(BadPeers, ANameServerThatIsSilent) {
  const auto told = [this] { return exec("misled", {"cat", "/tmp/silent"}).out; };
  EXPECT_TRUE(soon([&] { return has(told(), "no answer in time"); }));
  const auto answer = told();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 Service Unavailable")) << answer;
  EXPECT_TRUE(has(answer, "resolve silent.example.org: no answer in time (asked 127.0.0.1:53)"))
      << answer;
  EXPECT_TRUE(has(ask("misled", "upstream.example.org").out, "fine"));
  expect_undisturbed("silence");
}

// --- what the machine lacks ---

TEST_F(BadInput, WithoutDescriptorsNewConnectionsWaitAndOldOnesAreServed) {
  up("egress-mtls", with({"upstream.yaml", "crowd.yaml"}));
  const auto step = [this](const char* path) {
    return curl("crowd", {std::string("http://127.0.0.1:9000") + path}).out;
  };
  const auto descriptors = [this] {
    return std::stoi(in_sidecar("crowd", "ls /proc/$proxy/fd | wc -l").out);
  };
  EXPECT_EQ(step("/kept"), "200 fine\n");
  const int limit = descriptors() + 10;
  const auto set = "prlimit --pid $proxy --nofile=" + std::to_string(limit) + ":";
  EXPECT_EQ(in_sidecar("crowd", set).code, 0);
  EXPECT_EQ(step("/gather"), "gathered") << "the kernel completes what nobody accepts yet";
  EXPECT_TRUE(soon([&] { return descriptors() == limit; })) << "as many as it may have";
  EXPECT_EQ(step("/kept"), "200 fine\n") << "what was open before is served";
  const auto answer = step("/kept-but-new-upstream");
  EXPECT_TRUE(answer.starts_with("503 ") && has(answer, "Too many open files")) << answer;
  EXPECT_EQ(step("/leave"), "left");
  EXPECT_TRUE(soon([&] { return descriptors() < limit - 5; })) << "enough for a name, too";
  EXPECT_EQ(step("/new"), "200 fine\n") << "recovered";
  EXPECT_GT(std::stoi(metric("crowd", "sallyport_descriptors_starved_total")), 0);
  expect_undisturbed("the crowd");
}

TEST_F(BadInput, AFullDiskUnderTheLogIsSaidAndCounted) {
  up("egress-mtls", {{"mesh.yaml",
                      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: "
                      "istio-system}\ndata:\n  mesh: 'accessLogFile: /dev/full'\n"}});
  for (int i = 0; i < 3; i++) expect_undisturbed("a line that can't be written");
  EXPECT_TRUE(soon([&] { return metric("sleep", "envoy_access_logs_write_dropped") == "3"; }))
      << metric("sleep", "envoy_access_logs_write_dropped");
  EXPECT_GT(std::stoi(metric("sleep", "envoy_access_logs_write_failed")), 0);
  const auto log = logs("sleep", "istio-proxy");
  EXPECT_EQ(count(log, "access log /dev/full: No space left on device"), 1) << log;
}

TEST_F(BadInput, Sigusr1OpensTheLogAnewAfterARename) {
  up("egress-mtls",
     {{"mesh.yaml", "---\n"}, {"sleep.yaml", with({"sleep-logs.yaml"}).begin()->second}});
  const auto file_has = [this](const char* file, const char* part) {
    return soon([&] { return has(in_sidecar("sleep", std::string("cat ") + file).out, part); });
  };
  curl("sleep", {url + "/before"});
  EXPECT_TRUE(file_has("/var/log/proxy/access.log", "GET /before "));
  in_sidecar("sleep", "mv /var/log/proxy/access.log /var/log/proxy/old.log");
  curl("sleep", {url + "/between"});
  EXPECT_TRUE(file_has("/var/log/proxy/old.log", "GET /between ")) << "the file stays open";
  in_sidecar("sleep", "kill -USR1 $proxy");
  EXPECT_TRUE(
      soon([&] { return in_sidecar("sleep", "test -e /var/log/proxy/access.log").code == 0; }));
  curl("sleep", {url + "/after"});
  EXPECT_TRUE(file_has("/var/log/proxy/access.log", "GET /after "));
  EXPECT_FALSE(has(in_sidecar("sleep", "cat /var/log/proxy/old.log").out, "GET /after "));
  expect_undisturbed("the signal");
}

}  // namespace
}  // namespace sallyport::behaviour
