// Load that speaks mutual TLS 1.3. Figures go to stdout as JSON.
//   tls_load handshakes IP PORT HOST CERT KEY CONNS SECONDS full|resumed PATH|-
//       CONNS at a time: handshake, with PATH also one request and its answer, close. `resumed`: each resumes the session of
//       one connection made before; one that does not is an error
//   tls_load idle IP PORT HOST CERT KEY N
//       N connections with one request each, held until stdin closes; prints READY N bad M
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static SSL_SESSION* kept;  // of the last connection that got a ticket

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int keep(SSL* ssl, SSL_SESSION* session) {
  (void)ssl;
  SSL_SESSION_free(kept);
  kept = session;
  return 1;
}

// The names that Istio's sidecars offer, and the one that every server knows.
static SSL_CTX* context(const char* certificate, const char* key) {
  static const unsigned char names[] = "\x0eistio-http/1.1\x05istio\x08http/1.1";
  SSL_CTX* x = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(x, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(x, "X25519");
  SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(x, keep);
  SSL_CTX_set_options(x, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_alpn_protos(x, names, sizeof names - 1);
  if (SSL_CTX_use_certificate_chain_file(x, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    exit(1);
  }
  return x;
}

static struct sockaddr_in address(const char* ip, const char* port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

// A blocking connection on which one request was answered with 200; NULL when it was not. The socket lives on.
static SSL* asked(SSL_CTX* x, const struct sockaddr_in* a, const char* host) {
  char text[8192];
  struct timeval limit = {5, 0};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  SSL* ssl = SSL_new(x);
  SSL_set_fd(ssl, fd);
  SSL_set_tlsext_host_name(ssl, host);
  int length = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host), got = 0, want = -1, r;
  if (connect(fd, (const void*)a, sizeof *a) || SSL_connect(ssl) != 1 || SSL_write(ssl, text, length) != length) return NULL;
  while (want < 0 || got < want) {
    if ((r = SSL_read(ssl, text + got, sizeof text - 1 - got)) <= 0) return NULL;
    text[got += r] = 0;
    char* end = strstr(text, "\r\n\r\n");
    if (end && want < 0) want = (end - text) + 4 + 1024;
  }
  return memcmp(text, "HTTP/1.1 200", 12) ? NULL : ssl;
}

static int idle(char** v) {
  struct sockaddr_in a = address(v[2], v[3]);
  SSL_CTX* x = context(v[5], v[6]);
  SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
  int n = atoi(v[7]), bad = 0;
  char c;
  for (int i = 0; i < n && bad <= 20; i++) bad += !asked(x, &a, v[4]);
  printf("READY %d bad %d\n", n, bad);
  fflush(stdout);
  while (read(0, &c, 1) > 0) {
  }
  return 0;
}

typedef struct {
  int fd, shaken, answered;
  SSL* ssl;
  double start;
} client;

typedef struct {
  SSL_CTX* context;
  SSL_SESSION* session;  // NULL: full handshakes
  struct sockaddr_in to;
  const char* host;
  char request[512];  // empty: none
  int epoll;
} work;

static void begin(client* c, const work* w) {
  int one = 1;
  *c = (client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .start = now(), .ssl = SSL_new(w->context)};
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  SSL_set_fd(c->ssl, c->fd);
  SSL_set_tlsext_host_name(c->ssl, w->host);
  if (w->session) SSL_set_session(c->ssl, w->session);
  SSL_set_connect_state(c->ssl);
  connect(c->fd, (const void*)&w->to, sizeof w->to);
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &e);
}

static int waits(const client* c, int r) {
  int e = SSL_get_error(c->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE || (e == SSL_ERROR_SYSCALL && errno == ENOTCONN);
}

// 0: not yet, 1: done, -1: failed.
static int shake(client* c, const work* w) {
  int r = SSL_do_handshake(c->ssl);
  if (r != 1) return waits(c, r) ? 0 : -1;
  if (w->session && !SSL_session_reused(c->ssl)) return -1;
  c->shaken = 1;
  if (*w->request) {
    SSL_write(c->ssl, w->request, strlen(w->request));
  } else {
    SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
  }
  return 1;
}

// The answer, or what comes after our close; to the end of the connection.
static int drain(client* c, const work* w) {
  char bytes[16384];
  for (;;) {
    int r = *w->request ? SSL_read(c->ssl, bytes, sizeof bytes) : (int)recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (r > 0) {
      c->answered |= r > 12 && !memcmp(bytes, "HTTP/1.1 200", 12);
      continue;
    }
    if (!*w->request) return r == 0 ? 1 : errno == EAGAIN ? 0 : -1;
    if (waits(c, r)) return 0;
    return SSL_get_error(c->ssl, r) == SSL_ERROR_ZERO_RETURN && c->answered ? 1 : -1;
  }
}

static int by_size(const void* a, const void* b) {
  float x = *(const float*)a, y = *(const float*)b;
  return x < y ? -1 : x > y;
}

static int handshakes(char** v) {
  enum { most = 1 << 20 };
  work w = {.context = context(v[5], v[6]), .to = address(v[2], v[3]), .host = v[4], .epoll = epoll_create1(0)};
  if (strcmp(v[10], "-"))
    snprintf(w.request, sizeof w.request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", v[10], v[4]);
  if (!strcmp(v[9], "resumed")) {
    asked(w.context, &w.to, v[4]);
    if (!(w.session = kept)) return fprintf(stderr, "no ticket came\n"), 1;
    kept = NULL;
  }
  SSL_CTX_set_session_cache_mode(w.context, SSL_SESS_CACHE_OFF);
  int count = atoi(v[7]), live = count;
  client* clients = calloc(count, sizeof *clients);
  float* took = malloc(most * sizeof *took);
  size_t done = 0, errors = 0;
  double start = now(), last = start + atof(v[8]);
  for (int i = 0; i < count; i++) begin(&clients[i], &w);
  struct epoll_event events[256];
  while (live && errors < 1000) {
    int n = epoll_wait(w.epoll, events, 256, 5000);
    if (n <= 0) {
      errors += live;
      break;
    }
    for (int i = 0; i < n; i++) {
      client* c = events[i].data.ptr;
      ERR_clear_error();
      int r = c->shaken ? 1 : shake(c, &w);
      if (r > 0) r = drain(c, &w);
      if (!r) continue;
      double t = now();
      if (r < 0) errors++;
      else if (done < most) took[done++] = (t - c->start) * 1e6;
      SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else the session may not be resumed again
      SSL_free(c->ssl);
      close(c->fd);
      if (t < last) begin(c, &w);
      else live--;
    }
  }
  qsort(took, done, sizeof *took, by_size);
  printf("{\"requests\":%zu,\"errors\":%zu,\"secs\":%.4f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n", done, errors, now() - start,
         done ? took[done / 2] : 0, done ? took[done * 99 / 100] : 0);
  return 0;
}

int main(int argc, char** v) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 8 && !strcmp(v[1], "idle")) return idle(v);
  if (argc == 11 && !strcmp(v[1], "handshakes")) return handshakes(v);
  fprintf(stderr, "usage: see the top of tls_load.c\n");
  return 2;
}
