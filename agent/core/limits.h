// Every limit and timeout that the data plane knows, with the source of its number. Reaching one is
// answered, never met with unbounded memory.
#pragma once
#include <chrono>
#include <cstddef>

namespace sallyport::limits {
using namespace std::chrono_literals;

// HTTP/1 (Envoy: 60 KiB of head, 100 headers; ours: 64 KiB)
inline constexpr std::size_t http_head_bytes = 64 * 1024;
inline constexpr std::size_t http_headers = 100;
// Of a head that this proxy has made of one that came: what it adds fits beside what may come.
inline constexpr std::size_t http_composed_head_bytes = 2 * http_head_bytes;
inline constexpr std::size_t http_composed_headers = 128;
// A message, all chunks (Node's number)
inline constexpr std::size_t http_chunk_extension_bytes = 16 * 1024;
inline constexpr std::size_t http_trailer_bytes = 16 * 1024;  // a message
inline constexpr int interim_responses = 16;                  // 1xx before a final answer
inline constexpr auto http_head_time = 10s;          // from the first byte of a head to its end
inline constexpr auto http_idle = 1h;                // Istio: downstream and upstream HTTP idle 1 h
inline constexpr auto http_passthrough_idle = 5min;  // PassthroughCluster
inline constexpr auto linger_time = 2s;  // after our last answer, for what the client still sends
inline constexpr std::size_t linger_bytes = 1024 * 1024;
// A body of which no byte moves (Envoy's stream idle default)
inline constexpr auto body_stall = 5min;
// A request's body of known length, on average, once its sender was waited for that long
inline constexpr auto body_grace = 30s;
inline constexpr std::size_t body_bytes_a_second = 16;
inline constexpr auto mirror_time = 60s;  // of a mirrored request whose route has no timeout
inline constexpr auto tcp_idle = 1h;      // Envoy's tcp_proxy

// Sniffing
// A ClientHello may be that long (RFC 8446 allows more)
inline constexpr std::size_t sniff_bytes = 64 * 1024;
inline constexpr auto silent_client_grace = 5ms;  // before a silent client's upstream is opened
// The same where a late ClientHello of a peer in the mesh is likelier than an app that speaks
// first: a hello that came later would meet the app's plaintext
inline constexpr auto silent_peer_grace = 500ms;
inline constexpr auto mesh_handshake_time = 15s;  // Istio's gateways give as long
inline constexpr auto gateway_hello_time = 15s;   // until it begins: Envoy's listener filters
inline constexpr auto client_hello_time = 10s;    // from its first byte to its last
// A ClientHello offers a few; more is no ClientHello
inline constexpr std::size_t alpn_protocols = 32;
// A PROXY protocol header of version 2 with all that follows its addresses; one of version 1 has
// 107 bytes at most
inline constexpr std::size_t proxy_header_bytes = 4 * 1024;

// Upstream
inline constexpr auto connect_timeout = 10s;          // Istio's default; covers TCP and TLS
inline constexpr int request_retries = 1'000;         // that a request may ask for
inline constexpr std::size_t header_formats = 1'000;  // kept parsed, a worker
inline constexpr int retries = 2;                     // Istio's default policy: two more tries
inline constexpr auto retry_backoff_base = 25ms;      // Envoy; jittered, at most ten times the base
// Endpoints that consistent hashing tells apart (an index of 16 bits)
inline constexpr std::size_t hash_endpoints = 65'535;
// Tables of consistent hashing are built by a worker, while its connections wait: of a larger
// minimumRingSize or tableSize (Istio takes 8 million and 5 million) only so much is used, which
// takes some milliseconds; the defaults, 1024 points and 65,537 entries, take a tenth of one and
// one.
inline constexpr std::size_t hash_ring_points = 65'536;
inline constexpr std::size_t hash_maglev_entries = 131'071;  // a prime
// Endpoints that come and go meanwhile do not have the tables built anew
inline constexpr auto hash_rebuild = 1s;
inline constexpr std::size_t pool_idle_per_key = 512;
inline constexpr std::size_t tls_sessions_per_key = 4;
inline constexpr std::size_t connections_per_worker = 65536;
inline constexpr std::size_t mirrored_bytes = 1024 * 1024;  // of one request; Envoy's buffer limit
inline constexpr std::size_t pending_requests = 16384;      // of one cluster and worker
// Hosts of a wildcard cluster with SNI from Host
inline constexpr std::size_t tls_identities_per_cluster = 1024;
// Addresses dialled through one cluster
inline constexpr std::size_t original_dst_endpoints = 10'000;
// Different unix sockets that a process may get to know: their paths are kept until it ends, 3 MiB
// at most
inline constexpr std::size_t unix_sockets = 16'384;
// A cluster's runtime, a host's TLS sessions are dropped after
inline constexpr auto upstream_unused = 5min;
// RFC 8305 section 5: before the next address of a name is dialled beside the one before
inline constexpr auto connect_attempt_delay = 250ms;
inline constexpr std::size_t connect_addresses = 8;  // of one name, dialled for one connection
// The family of a name that answered later than the other, or not at all, is last choice for
inline constexpr auto slow_family = 60s;
// Host names of one DYNAMIC_DNS cluster (Envoy's DNS cache holds as many)
inline constexpr std::size_t dynamic_hosts = 1024;
inline constexpr auto dns_overdue = 5s;  // an idle cluster's addresses are resolved anew before use

// DNS (meshConfig.dnsRefreshRate)
inline constexpr auto dns_refresh_on_error = 60s;
// Of a server's first try, then twice as long: the next server's turn comes while a client waits
inline constexpr auto dns_query_timeout = 2s;
inline constexpr auto dns_wait = 15s;     // of a client, for a name of which nothing is known yet
inline constexpr auto dns_ttl_min = 1s;   // a TTL of 0 must not become a query a request
inline constexpr auto dns_ttl_max = 24h;  // RFC 8767 section 4 lets a cache bound it
inline constexpr auto dns_negative_ttl = 5s;  // no answer, or "no such name", is asked again after
// RFC 2308: "no such name" by its SOA, but no longer (CoreDNS keeps denials as long)
inline constexpr auto dns_negative_ttl_max = 30s;
// RFC 8767 section 4: a last good answer is kept through failures for one to three days
inline constexpr auto dns_keep_stale = 24h;
inline constexpr int dns_log_lines = 10;               // a worker and minute
inline constexpr auto resolv_conf_recheck = 1s;        // whether it has changed
inline constexpr std::size_t dns_search_domains = 32;  // glibc's
// RFC 8767 section 5: then an expired answer is better than none
inline constexpr auto dns_client_wait = 1800ms;
inline constexpr auto dns_family_wait = 300ms;  // for the other family once one has answered
// Names unused for so long are no longer refreshed ahead of use
inline constexpr auto dns_keep_fresh = 5min;
inline constexpr auto dns_hosts_file_ttl = 5s;  // /etc/hosts is read again after
inline constexpr std::size_t dns_cached_names = 10'000;
inline constexpr std::size_t dns_queries_at_once = 64;  // names; CoreDNS serves 1,000 clients so
// Of them, for each kind of name: clients' names, unknown ones and refreshes don't starve each
// other
inline constexpr std::size_t dns_reserved_queries = 8;
inline constexpr std::size_t dns_queries = 10'000;  // names of a kind that wait for their turn
// A server that was silent is asked again, beside the one that took its place
inline constexpr auto dns_server_retry = 30s;
inline constexpr std::size_t dns_addresses = 256;  // of one name and family; the first ones
inline constexpr std::size_t dns_records = 4096;   // read of one answer (a TCP one holds 64 KiB)

// The DNS proxy on 15053; numbers are a worker's
inline constexpr auto dns_proxy_time = 5s;     // of a question, by the servers (istio-agent's)
inline constexpr auto dns_proxy_try = 1500ms;  // then the next server is asked, too
inline constexpr std::size_t dns_proxy_queries = 512;   // by the servers at once; more: SERVFAIL
inline constexpr int dns_proxy_forged = 64;             // datagrams of one attempt that fit nothing
inline constexpr std::size_t dns_proxy_message = 2048;  // of a client by UDP
inline constexpr std::size_t dns_proxy_datagram = 4096;  // to a client by UDP, whatever it takes
inline constexpr std::size_t dns_proxy_batch = 16;       // messages read by one system call
inline constexpr std::size_t dns_proxy_sessions = 128;   // TCP connections
inline constexpr std::size_t dns_proxy_tcp_answer = 65'535;        // what a length can tell
inline constexpr std::size_t dns_proxy_answers = 1'000;            // of servers that are kept
inline constexpr std::size_t dns_proxy_answer_bytes = 256 * 1024;  // of them all
inline constexpr std::size_t dns_proxy_kept_answer = 4096;         // of one
inline constexpr auto dns_proxy_ttl_max = 1h;
inline constexpr auto dns_proxy_idle = 10s;  // of one of them between questions, and within one

// UDP flows that are judged by their first datagrams (--udp-policy)
inline constexpr std::size_t quic_hello_bytes = 16 * 1024;  // a ClientHello: one record of TLS
inline constexpr std::size_t udp_held_datagrams = 16;       // of one flow whose name is not known
inline constexpr std::size_t udp_held_flows = 64;
inline constexpr auto udp_hold_time = 1s;
inline constexpr uint32_t udp_queue_datagrams = 2048;    // in the kernel, those that are held too
inline constexpr int udp_queue_bytes = 4 * 1024 * 1024;  // what the kernel keeps for us to read
// In conntrack, since its last datagram; then it is judged anew
inline constexpr auto udp_refused_time = 30s;

// Logs
// Per worker; beyond it lines are dropped, counted
inline constexpr std::size_t log_queue_bytes = 4 * 1024 * 1024;
// Of a Telemetry's filter: bytes, parts, and how deep they are nested
inline constexpr std::size_t log_filter_bytes = 4096, log_filter_nodes = 256;
inline constexpr int log_filter_depth = 32;
// For a full pipe that the configuration no longer names: then the new file has waited enough
inline constexpr auto log_left_pipe_time = 1s;

// Metrics: series of Istio's a worker (1 to 2 KiB each with their labels), what is remembered of
// which request belongs to which, and identities of peers
inline constexpr std::size_t metric_series = 10'000;
inline constexpr std::size_t metric_paths = 20'000;
inline constexpr std::size_t metric_principals = 10'000;
inline constexpr std::size_t metric_label_bytes = 1024;  // of one value; the rest is cut off

// Draining (istio-agent: terminationDrainDuration)
inline constexpr auto drain_time = 5s;
// The same where EXIT_ON_ZERO_ACTIVE_CONNECTIONS asks for it: before connections are counted, and
// between counts
inline constexpr auto minimum_drain = 5s;
inline constexpr auto connection_count_period = 1s;

// Admin port
inline constexpr std::size_t admin_connections = 64;  // at a time; the idlest goes for a new one
inline constexpr std::size_t admin_head_bytes = 8 * 1024;
inline constexpr std::size_t admin_body_bytes = 64 * 1024;  // nothing is read from it
inline constexpr auto admin_idle = 30s;  // for a request to come in, and for an answer to be taken
// Its client, proxy-config: 10,000 services give a dump of some 40 MiB
inline constexpr std::size_t admin_answer_bytes = 1024 * 1024 * 1024;
inline constexpr auto admin_answer_time = 30s;

// Probes of the application through the status port (istio-agent's numbers but for the first two)
inline constexpr std::size_t app_probes = 1000;  // that ISTIO_KUBE_APP_PROBERS may name
inline constexpr std::size_t app_probes_at_once = 32;
inline constexpr int app_probe_redirects = 10;
inline constexpr std::size_t app_probe_body_bytes = 10 * 1024;  // of an answer; the rest is cut off
inline constexpr std::size_t app_probe_head_bytes = 64 * 1024;
inline constexpr auto app_probe_time = 1s;  // Kubernetes' default of timeoutSeconds
// A lifecycle hook has no timeout of its own: kubelet ends it with the pod's grace period
inline constexpr auto app_hook_time = 10min;

// The application's metrics through the status port: Prometheus waits 10 s unless it says otherwise
inline constexpr std::size_t app_metrics_targets = 16;
inline constexpr std::size_t app_metrics_bytes = 16 * 1024 * 1024;  // of one answer
inline constexpr std::size_t app_metrics_at_once = 4;               // requests of Prometheus
inline constexpr auto app_metrics_time = 10s, app_metrics_time_max = 60s;

// Configuration
inline constexpr std::size_t document_bytes = 4 * 1024 * 1024;
inline constexpr std::size_t yaml_nodes = 1'000'000;  // after aliases are expanded
inline constexpr int yaml_depth = 100;
// The rest of a resource's errors are not listed
inline constexpr std::size_t findings_per_resource = 20;
inline constexpr std::size_t config_file_bytes = 64 * 1024 * 1024;
inline constexpr std::size_t config_files = 20'000;
inline constexpr int config_directory_depth = 16;
inline constexpr std::size_t pem_file_bytes = 1024 * 1024;  // Kubernetes: a Secret holds 1 MiB
inline constexpr std::size_t secret_bytes = 1024 * 1024;  // its values together; a ConfigMap's too
inline constexpr int pem_reads = 3;                    // of files that change while they are read
inline constexpr auto expiry_check = 1h;               // how often certificates' ends are looked at
inline constexpr std::size_t validated_proxies = 100;  // points of view that `validate` takes
inline constexpr std::size_t config_files_edited = 64;  // read alone; of more at once all are
inline constexpr auto config_debounce = 100ms;          // istio-agent's, for changed files

// Certificates (a Kubernetes Secret holds 1 MiB; a system's CA bundle 220 KiB, 140 certificates)
inline constexpr std::size_t pem_bytes = 4 * 1024 * 1024;
// Beyond the leaf and 100 CAs no verifier follows a chain (OpenSSL's and BoringSSL's depth)
inline constexpr std::size_t certificates_per_chain = 101;
inline constexpr std::size_t certificates_per_bundle = 4096;

// Of the certificates that a client shows: as they are sent (OpenSSL's default), and how many CAs
// are between it and a root. A mesh has two or three; each costs a signature to check.
inline constexpr std::size_t client_chain_bytes = 100 * 1024;
inline constexpr int client_chain_depth = 16;

// TLS: tickets and key updates in a row without application data (BoringSSL: 32 key updates)
inline constexpr int tls_messages_without_data = 32;

// Workload identity: what a CA, a Workload API or a client of our CA may cost
inline constexpr auto identity_retry_max = 30s;  // between tries to get a certificate
inline constexpr auto ca_call_time = 10s;        // of one call: connecting, TLS, the answer
inline constexpr auto grpc_handshake_time = 10s;
inline constexpr auto grpc_idle = 5min;      // a server's connection without a call
inline constexpr auto grpc_call_time = 30s;  // for a client's request to come in, and be answered
inline constexpr auto grpc_keepalive = 30s;  // a silent stream is pinged, and ended if that is not
                                             // answered
inline constexpr std::size_t grpc_message_bytes = 4 * 1024 * 1024;  // gRPC's own default
inline constexpr std::size_t grpc_header_bytes = 64 * 1024;         // of one call, names and values
inline constexpr std::size_t grpc_request_bytes = 64 * 1024;        // to the CA: a CSR is 1 KiB
inline constexpr std::size_t grpc_calls_per_connection = 16;
inline constexpr std::size_t ca_connections = 1024;
inline constexpr std::size_t token_bytes = 64 * 1024;
inline constexpr std::size_t token_keys = 256;              // that JWTs may be signed with
inline constexpr std::size_t static_tokens = 100'000;       // lines of the tokens' file
inline constexpr auto workload_certificate_max = 90 * 24h;  // istiod's MAX_WORKLOAD_CERT_TTL
inline constexpr auto workload_certificate = 24h;           // DEFAULT_WORKLOAD_CERT_TTL

// iptables programs (legacy waits up to 30 s for the lock, as istio-iptables asks it to)
inline constexpr auto iptables_time = 60s;
inline constexpr auto iptables_retry_delay = 100ms;
inline constexpr auto iptables_lock_delay = 10ms;    // between looks at who else runs
inline constexpr auto iptables_probe_interval = 1s;  // between tries, as istio-iptables
inline constexpr int iptables_tries = 3;             // when the kernel answers "busy"
inline constexpr std::size_t iptables_output_bytes = 16 * 1024 * 1024;

// init --verify
inline constexpr std::size_t verify_probes = 500;  // of one family
inline constexpr auto verify_event_time = 300ms;   // until the kernel has told of a flow
inline constexpr auto verify_answer_time = 2s;     // until a captured connection is accepted

// What --learn keeps of a worker's connections to destinations outside of the registry
inline constexpr std::size_t learned_destinations = 1'000;

}  // namespace sallyport::limits
