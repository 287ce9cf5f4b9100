// ISTIO_KUBE_APP_PROBERS, and where redirects lead.
#include "agent/admin/app_probes.h"

#include <gtest/gtest.h>

#include "agent/admin/probe_url.h"

namespace sallyport::admin {
namespace {

TEST(AppProbes, AreReadAsTheInjectorWritesThem) {
  const auto probes = decode_app_probes(R"({
    "/app-health/web/livez": {"httpGet": {"path": "/healthy", "port": 8080, "scheme": "HTTPS",
        "host": "x", "httpHeaders": [{"name": "a", "value": "b"}]}, "timeoutSeconds": 3},
    "/app-health/web/readyz": {"tcpSocket": {"port": 5432}},
    "/app-health/web/startupz": {"grpc": {"port": 9000, "service": "ready"}, "timeoutSeconds": 2},
    "/app-lifecycle/web/prestopz": {"httpGet": {"port": 8080}}})");
  ASSERT_TRUE(probes) << probes.error().context;
  using Kind = AppProbe::Kind;
  using namespace std::chrono_literals;
  const AppProbe& live = probes->at("/app-health/web/livez");
  EXPECT_TRUE(live.kind == Kind::http_get && live.https);
  EXPECT_EQ(live.path, "/healthy");
  EXPECT_EQ(live.port, 8080);
  EXPECT_EQ(live.timeout, 3s);
  const AppProbe& ready = probes->at("/app-health/web/readyz");
  EXPECT_TRUE(ready.kind == Kind::tcp_socket && ready.port == 5432);
  EXPECT_EQ(ready.timeout, 1s) << "Kubernetes' default";
  const AppProbe& startup = probes->at("/app-health/web/startupz");
  EXPECT_TRUE(startup.kind == Kind::grpc && startup.service == "ready");
  const AppProbe& hook = probes->at("/app-lifecycle/web/prestopz");
  EXPECT_EQ(hook.path, "/");
  EXPECT_GT(hook.timeout, 1min) << "a hook may take its time";
}

TEST(AppProbes, NoneAreNoError) {
  EXPECT_TRUE(decode_app_probes("")->empty());
  EXPECT_TRUE(decode_app_probes("{}")->empty());
}

// As Go's JSON, by which Istio's agent reads them.
TEST(AppProbes, TheCaseOfKeysDoesNotCount) {
  const auto probes = decode_app_probes(
      R"({"/app-health/web/livez": {"gRPC": {"Port": 7, "service": "s"}, "timeoutseconds": 3}})");
  ASSERT_TRUE(probes) << probes.error().context;
  const AppProbe& probe = probes->at("/app-health/web/livez");
  EXPECT_EQ(probe.kind, AppProbe::Kind::grpc);
  EXPECT_EQ(probe.port, 7);
  EXPECT_EQ(probe.service, "s");
  EXPECT_EQ(probe.timeout, std::chrono::seconds(3));
}

struct Broken {
  const char* text;
  const char* reason;
};
class BrokenAppProbes : public testing::TestWithParam<Broken> {};

TEST_P(BrokenAppProbes, AreRefusedWithTheirName) {
  const auto probes = decode_app_probes(GetParam().text);
  ASSERT_FALSE(probes);
  EXPECT_NE(probes.error().context.find("ISTIO_KUBE_APP_PROBERS: "), std::string::npos);
  EXPECT_NE(probes.error().context.find(GetParam().reason), std::string::npos)
      << probes.error().context;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, BrokenAppProbes,
    testing::Values(
        Broken{"{", "no JSON"}, Broken{"[]", "a JSON object was expected"},
        Broken{R"({"/health": {"tcpSocket": {"port": 1}}})", "\"/health\": the path must be"},
        Broken{R"({"/app-health/a/b/livez": {"tcpSocket": {"port": 1}}})", "the path must be"},
        Broken{R"({"/app-health//livez": {"tcpSocket": {"port": 1}}})", "the path must be"},
        Broken{R"({"/app-health/a/alive": {"tcpSocket": {"port": 1}}})", "the path must be"},
        Broken{R"({"/app-health/a/livez": {}})", "one of httpGet, tcpSocket and grpc"},
        Broken{R"({"/app-health/a/livez": {"tcpSocket": {"port": 1}, "grpc": {"port": 1}}})",
               "one of httpGet, tcpSocket and grpc"},
        Broken{R"({"/app-health/a/livez": {"httpGet": {"port": "http"}}})",
               "the port must be a number, not a name: \"http\""},
        Broken{R"({"/app-health/a/livez": {"tcpSocket": {"port": 65536}}})", "0 to 65535"},
        Broken{R"({"/app-health/a/livez": {"tcpSocket": {}}})", "port: required"},
        Broken{R"({"/app-health/a/livez": {"httpGet": {"port": 1, "scheme": "FTP"}}})", "scheme"},
        Broken{R"({"/app-health/a/livez": {"httpGet": {"port": 1, "path": "/a b\r\n"}}})", "path"},
        Broken{R"({"/app-health/a/livez": {"httpGet": 1}})", "an object was expected"},
        Broken{R"({"/app-health/a/livez": {"tcpSocket": {"port": 1}, "timeoutSeconds": -1}})",
               "timeoutSeconds"}));

TEST(ProbeDestination, IsThePodUnlessToldOtherwise) {
  EXPECT_EQ(probe_destination({"10.0.0.1", "2001:db8::1"}, false).text(), "10.0.0.1");
  EXPECT_EQ(probe_destination({"2001:db8::1"}, false).text(), "2001:db8::1");
  EXPECT_EQ(probe_destination({"10.0.0.1"}, true).text(), "127.0.0.1");
  EXPECT_EQ(probe_destination({"2001:db8::1"}, true).text(), "::1");
  EXPECT_EQ(probe_destination({}, false).text(), "127.0.0.1");
}

struct Hop {
  const char* location;
  ProbeUrl to;
};
class Redirected : public testing::TestWithParam<Hop> {};

TEST_P(Redirected, GoesThere) {
  const ProbeUrl from{.host = "10.0.0.1", .port = 8080, .target = "/a/b?c"};
  const auto to = redirected(from, GetParam().location);
  ASSERT_TRUE(to);
  EXPECT_EQ(*to, GetParam().to) << to->host << " " << to->port << " " << to->target;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, Redirected,
    testing::Values(
        Hop{"/x?y#z", {.host = "10.0.0.1", .port = 8080, .target = "/x?y"}},
        Hop{"x", {.host = "10.0.0.1", .port = 8080, .target = "/a/x"}},
        Hop{"?x", {.host = "10.0.0.1", .port = 8080, .target = "/a/b?x"}},
        Hop{"/to?u=http://y/", {.host = "10.0.0.1", .port = 8080, .target = "/to?u=http://y/"}},
        Hop{"http://10.0.0.1:81/x",
            {.host = "10.0.0.1", .port = 81, .target = "/x", .authority = "10.0.0.1:81"}},
        Hop{"https://10.0.0.1",
            {.https = true, .host = "10.0.0.1", .port = 443, .authority = "10.0.0.1"}},
        Hop{"//b.test?q", {.host = "b.test", .port = 80, .target = "/?q", .authority = "b.test"}},
        Hop{"http://[2001:db8::1]:81/",
            {.host = "2001:db8::1", .port = 81, .authority = "[2001:db8::1]:81"}}));

TEST(Redirected, WhatIsNoUrlGoesNowhere) {
  for (const char* location : {"ftp://10.0.0.1/", "http://", "http://a:b/", "http://[::1/", "/a b",
                               "/a\r\nb", "http://a:99999/"}) {
    EXPECT_FALSE(redirected({.host = "10.0.0.1"}, location)) << location;
  }
}

}  // namespace
}  // namespace sallyport::admin
