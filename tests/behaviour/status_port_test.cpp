// Scenario G13 (kubelet's probes of an application behind STRICT mutual TLS), and how a sidecar
// starts, drains and ends (istio-api.md 2.20).
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

// Ready until /fail; /slow waits for /release; every request is a line of its log.
const char* const app = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data:
  app.py: |
    import http.server, threading
    released, failing = threading.Event(), threading.Event()
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            print("began", self.path, "from", self.client_address[0],
                  "host", self.headers.get("Host"), "agent", self.headers.get("User-Agent"),
                  flush=True)
            if self.path == "/fail": failing.set()
            if self.path == "/release": released.set()
            if self.path == "/slow": released.wait(60)
            code = 503 if self.path == "/ready" and failing.is_set() else 200
            body = ("answer to " + self.path + "\n").encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *words): pass
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 8080}]
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
  annotations:
    proxy.istio.io/config: |
      PROXY_CONFIG
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: python
    command: [python3, -u, /app/app.py]
    ports: [{name: http, containerPort: 8080}]
    readinessProbe:
      httpGet: {path: /ready, port: http, httpHeaders: [{name: X-Probe, value: "1"}]}
      periodSeconds: 1
    livenessProbe:
      tcpSocket: {port: 8080}
    volumeMounts: [{name: app, mountPath: /app}]
  volumes: [{name: app, configMap: {name: app}}]
---
apiVersion: v1
kind: Pod
metadata:
  name: outsider
  labels: {sidecar.istio.io/inject: "false"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: curl, image: curl}
)";

const char* const strict = R"(
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
)";

class StatusPort : public Scenario {
protected:
  void up_app(const std::string& proxy_config = "{}", const sandbox::Files& more = {}) {
    std::string text = app;
    text.replace(text.find("PROXY_CONFIG"), 12, proxy_config);
    sandbox::Files files{{"app.yaml", text}};
    files.insert(more.begin(), more.end());
    up("egress-mtls", files);
    const auto rows = sandbox_->status();
    ASSERT_TRUE(rows);
    for (const auto& row : *rows) {
      if (row.name == "web") web_ = row.ipv4;
    }
  }
  std::string from_outside(const std::string& url, std::vector<std::string> more = {}) {
    more.push_back(url);
    return curl("outsider", std::move(more)).out;
  }
  std::string code_of(const std::string& url) {
    return from_outside(url, {"-o", "/dev/null", "-w", "%{http_code}"});
  }
  std::string at(int port, const std::string& path) const {
    return "http://" + web_ + ":" + std::to_string(port) + path;
  }
  void sigterm() {
    const auto result = in_sidecar("web", "kill -TERM $proxy");
    EXPECT_EQ(result.code, 0) << result.err;
  }
  ::testing::AssertionResult says(std::string_view part) {
    return logged("web", "istio-proxy", part);
  }
  // What the application itself sends; to nginx, which says its name also where it refuses
  // plaintext.
  std::string outbound() {
    return curl("web", {"-D", "-", "http://my-nginx.mesh-external.svc.cluster.local"}).out;
  }
  std::string web_;
};

TEST_F(StatusPort, G13_KubeletsProbeReachesAnApplicationBehindStrictMutualTls) {
  up_app("{}", {{"strict.yaml", strict}});  // it became ready: by the probe, as the node sends it
  EXPECT_TRUE(logged("web", "app", "began /ready from 127.0.0.6"));
  EXPECT_TRUE(logged("web", "app", "host " + web_ + ":8080 agent kube-probe/"));
  EXPECT_EQ(from_outside(at(15020, "/app-health/app/readyz")), "answer to /ready\n");
  EXPECT_EQ(code_of(at(15020, "/app-health/app/livez")), "200") << "tcpSocket";
  EXPECT_EQ(code_of(at(15020, "/app-health/app/startupz")), "400") << "there is none";
  curl("web", {"http://127.0.0.1:8080/fail"});
  EXPECT_EQ(code_of(at(15020, "/app-health/app/readyz")), "503") << "the application's own status";
}

TEST_F(StatusPort, SigtermDrainsInboundAndLeavesOutboundAlone) {
  up_app();
  sigterm();
  EXPECT_TRUE(says("draining for 5000 ms"));
  const auto answer = outbound();
  EXPECT_TRUE(has(answer, "nginx/")) << answer;
  EXPECT_FALSE(has(answer, "connection: close")) << answer;
  EXPECT_EQ(code_of(at(8080, "/")), "200") << "in-flight and new requests are served meanwhile";
  EXPECT_EQ(code_of(at(15021, "/healthz/ready")), "503");
  EXPECT_TRUE(says("stopping"));
}

TEST_F(StatusPort, ARequestUnderWayIsWaitedForWhereAskedTo) {
  up_app("{proxyMetadata: {EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'true', MINIMUM_DRAIN_DURATION: 1s}}");
  // The request's client stays in the pod, for a sandbox is asked by one thread at a time.
  EXPECT_EQ(exec("outsider", {"sh", "-c",
                              "curl -sS -m 60 " + at(8080, "/slow") +
                                  " > /tmp/answer 2>&1 < /dev/null & echo begun"})
                .out,
            "begun\n");
  EXPECT_TRUE(logged("web", "app", "began /slow"));
  sigterm();
  EXPECT_TRUE(says("there are still 1 connections"));
  EXPECT_FALSE(has(logs("web", "istio-proxy"), "stopping"));
  EXPECT_EQ(code_of(at(8080, "/release")), "200");
  EXPECT_TRUE(says("there are no more active connections"));
  EXPECT_TRUE(says("stopping"));
  EXPECT_EQ(exec("outsider", {"cat", "/tmp/answer"}).out, "answer to /slow\n");
}

TEST_F(StatusPort, DrainIsForThisPodAndASigtermAfterItEndsAtOnce) {
  up_app();
  EXPECT_EQ(
      from_outside(at(15020, "/drain"), {"-X", "POST", "-o", "/dev/null", "-w", "%{http_code}"}),
      "403");
  const auto drained = exec("web", {"sallyport", "request", "--debug-port=15020", "POST", "drain"});
  EXPECT_EQ(drained.code, 0) << drained.err;
  EXPECT_TRUE(says("draining inbound connections"));
  EXPECT_EQ(code_of(at(8080, "/")), "200") << "new connections are still taken";
  EXPECT_TRUE(has(outbound(), "nginx/"));
  sigterm();
  EXPECT_TRUE(says("already drained"));
  EXPECT_TRUE(says("stopping"));
}

TEST_F(StatusPort, DrainListenersClosesInboundOnly) {
  up_app();
  EXPECT_EQ(curl("web", {"-X", "POST", "http://127.0.0.1:15000/drain_listeners?inboundonly"}).out,
            "OK\n");
  EXPECT_TRUE(soon([&] { return code_of(at(8080, "/")) == "000"; }));
  EXPECT_TRUE(has(outbound(), "nginx/"));
}

TEST_F(StatusPort, QuitquitquitEndsIt) {
  up_app();
  EXPECT_EQ(curl("web", {"-X", "POST", "http://127.0.0.1:15020/quitquitquit"}).out, "OK");
  EXPECT_TRUE(says("stopping"));
}

TEST_F(StatusPort, WaitEndsWhenTheProxyIsReady) {
  up_app();
  const auto ready = exec("web", {"sallyport", "wait"});
  EXPECT_EQ(ready.code, 0) << ready.err;
  const auto never = exec("web", {"sallyport", "wait", "--timeoutSeconds", "1", "--url",
                                  "http://127.0.0.1:15020/nothing"});
  EXPECT_EQ(never.code, 1);
  EXPECT_TRUE(has(never.err, "not ready within 1 seconds: the proxy's port 127.0.0.1:15020: 404"))
      << never.err;
}

}  // namespace
}  // namespace sallyport::behaviour
