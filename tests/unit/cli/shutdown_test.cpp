// How a proxy ends, and what of its environment says so.
#include "agent/cli/shutdown.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "agent/cli/agent_settings.h"

namespace sallyport::cli {
namespace {

using namespace std::chrono_literals;

class ShutdownTest : public testing::Test {
protected:
  ShutdownTest()
      : shutdown_(io_, {.drain =
                            [this](const proxy::Worker::Drain& what) {
                              said_ += what.inbound_only ? "drain inbound" : "drain all";
                              said_ += what.stop_accepting ? ", close; " : "; ";
                            },
                        .connections = [this] { return open_.empty() ? 0 : next_count(); },
                        .end = [this] { said_ += "end; "; },
                        .log = [](const std::string&) {}}) {}

  uint64_t next_count() {
    const uint64_t now = open_.front();
    open_.erase(open_.begin());
    said_ += "count " + std::to_string(now) + "; ";
    return now;
  }
  // Runs until nothing is waited for any more.
  std::string rest() {
    io_.restart();
    io_.run();
    return std::exchange(said_, "");
  }

  const ShutdownTimes soon_{.drain = 1h, .termination = 1ms, .minimum = 1ms, .count_period = 1ms};
  std::vector<uint64_t> open_;
  std::string said_;
  boost::asio::io_context io_;
  Shutdown shutdown_;
};

TEST_F(ShutdownTest, SigtermDrainsInboundThenEnds) {
  EXPECT_FALSE(shutdown_.draining());
  shutdown_.terminate({.drain = 0ms, .termination = 1ms});
  EXPECT_TRUE(shutdown_.draining());
  EXPECT_EQ(said_, "drain inbound; ") << "still listening";
  EXPECT_EQ(rest(), "drain inbound; drain inbound, close; end; ");
}

TEST_F(ShutdownTest, ASecondSigtermEndsAtOnce) {
  shutdown_.terminate({.drain = 1h, .termination = 1h});
  shutdown_.terminate({});
  EXPECT_EQ(said_, "drain inbound; end; ");
}

TEST_F(ShutdownTest, UntilUnusedItCountsConnections) {
  open_ = {2, 1, 0};
  ShutdownTimes times = soon_;
  times.drain = 0ms;
  times.until_unused = true;
  times.termination = 0ms;
  shutdown_.terminate(times);
  const std::string all = rest();
  EXPECT_NE(all.find("count 2; count 1; count 0; end; "), std::string::npos) << all;
}

TEST_F(ShutdownTest, DrainStaysAndTheSigtermAfterItEndsAtOnce) {
  shutdown_.drain_now({.drain = 0ms});
  EXPECT_TRUE(shutdown_.draining());
  EXPECT_EQ(rest(), "drain inbound; ") << "goes on listening";
  shutdown_.terminate({.termination = 1h});
  EXPECT_EQ(said_, "end; ");
}

TEST_F(ShutdownTest, QuitEndsAtOnceAndOnce) {
  shutdown_.quit();
  shutdown_.quit();
  EXPECT_EQ(said_, "end; ");
}

TEST_F(ShutdownTest, DrainListenersDoesWhatItSays) {
  shutdown_.drain({}, {.drain = 0ms});
  EXPECT_EQ(rest(), "drain all, close; ");
  shutdown_.drain({.inbound_only = true, .graceful = true}, {.drain = 0ms});
  EXPECT_EQ(rest(), "drain inbound; drain inbound, close; ");
  shutdown_.drain({.graceful = true, .keep_listening = true}, {.drain = 0ms});
  EXPECT_EQ(rest(), "drain all; ");
}

using Environment = std::map<std::string, std::string>;

Result<AgentSettings> settings_of(const Environment& environment,
                                  const istio::MeshConfig& mesh = {}) {
  return agent_settings(mesh, [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  });
}

TEST(AgentSettings, AreIstiosWithoutAnyEnvironment) {
  const auto settings = settings_of({});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->proxy.status_port, 15020);
  EXPECT_EQ(settings->shutdown.drain, 45s);
  EXPECT_EQ(settings->shutdown.termination, 5s);
  EXPECT_EQ(settings->shutdown.minimum, 5s);
  EXPECT_FALSE(settings->shutdown.until_unused || settings->probe_localhost);
}

TEST(AgentSettings, ProxyConfigStandsOverTheMeshs) {
  istio::MeshConfig mesh;
  mesh.default_config.termination_drain_duration = 7s;
  mesh.default_config.status_port = 15030;
  mesh.default_config.proxy_metadata["MINIMUM_DRAIN_DURATION"] = "1m30s";
  const auto settings =
      settings_of({{"PROXY_CONFIG", "terminationDrainDuration: 9s"},
                   {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true"},
                   {"REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "1"},
                   {"ISTIO_KUBE_APP_PROBERS", R"({"/app-health/a/livez":{"grpc":{"port":1}}})"}},
                  mesh);
  ASSERT_TRUE(settings) << settings.error().context;
  EXPECT_EQ(settings->shutdown.termination, 9s);
  EXPECT_EQ(settings->proxy.status_port, 15030);
  EXPECT_EQ(settings->shutdown.minimum, 90s);
  EXPECT_TRUE(settings->shutdown.until_unused && settings->probe_localhost);
  EXPECT_EQ(settings->probes.size(), 1U);
}

TEST(AgentSettings, NameWhatCantBeRead) {
  const std::pair<const char*, const char*> cases[] = {
      {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "perhaps"},
      {"MINIMUM_DRAIN_DURATION", "5"},
      {"MINIMUM_DRAIN_DURATION", "-5s"},
      {"MINIMUM_DRAIN_DURATION", "soon"},
      {"MINIMUM_DRAIN_DURATION", "1e9h"},
      {"REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "no"},
      {"ISTIO_KUBE_APP_PROBERS", "{"},
      {"PROXY_CONFIG", "terminationDrainDuration: long"}};
  for (const auto& [name, value] : cases) {
    const auto settings = settings_of({{name, value}});
    ASSERT_FALSE(settings) << name << "=" << value;
    EXPECT_NE(settings.error().context.find(name), std::string::npos) << settings.error().context;
  }
}

}  // namespace
}  // namespace sallyport::cli
