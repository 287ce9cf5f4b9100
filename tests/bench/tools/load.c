// load: small load tools for what wrk and h2load do not do.
//   load hs   IP PORT SNI CONC SECONDS PATH|-   full TLS handshakes, no resumption; with PATH one
//                                               "Connection: close" request on each
//   load idle IP PORT N tls|tcp SNI             N connections, one keep-alive request each, held
//                                               until stdin closes; prints READY
//   load dl   IP PORT PATH CONNS                CONNS parallel downloads, data dropped in the kernel
//   load rate IP PORT HOST CONNS RPS SECONDS    open loop at an even rate over keep-alive HTTP/1.1; latency
//                                               counts from the scheduled time
//   load cold IP PORT PATH TIMEOUT_S -- ARGV    exec ARGV, poll until the first 200, print ms
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static struct sockaddr_in addr(const char *ip, const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}
static int cmp(const void *a, const void *b) { float x = *(float *)a, y = *(float *)b; return x < y ? -1 : x > y; }
static int idle(char **v) {
  struct sockaddr_in a = addr(v[2], v[3]);
  int n = atoi(v[4]), tls = !strcmp(v[5], "tls"), bad = 0;
  SSL_CTX *x = tls ? mkctx() : NULL;
  char req[256], buf[8192];
  int reql = snprintf(req, sizeof req, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", v[6]);
  for (int i = 0; i < n; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval tv = {5, 0};
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   // otherwise 40 ms a connection (Nagle + delayed ACK)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);      // bounds connect too
    if (bad > 20) { bad += n - i; break; }
    if (connect(fd, (void *)&a, sizeof a)) { bad++; close(fd); continue; }
    SSL *s = NULL;
    if (tls) {
      s = SSL_new(x); SSL_set_fd(s, fd); SSL_set_tlsext_host_name(s, v[6]);
      if (SSL_connect(s) != 1) { bad++; continue; }
      SSL_write(s, req, reql);
    } else if (send(fd, req, reql, MSG_NOSIGNAL) != reql) { bad++; continue; }
    int got = 0, r, want = -1;
    while (want < 0 || got < want) {
      r = tls ? SSL_read(s, buf + got, sizeof buf - 1 - got) : recv(fd, buf + got, sizeof buf - 1 - got, 0);
      if (r <= 0) break;
      got += r; buf[got] = 0;
      char *h = strstr(buf, "\r\n\r\n");
      if (h && want < 0) want = (h - buf) + 4 + 1024;
    }
    if (want < 0 || got < want || memcmp(buf, "HTTP/1.1 200", 12)) bad++;
  }
  printf("READY %d bad %d\n", n, bad); fflush(stdout);
  while (read(0, buf, sizeof buf) > 0);
  return 0;
}
static int dl(char **v) {
  struct sockaddr_in a = addr(v[2], v[3]);
  int n = atoi(v[5]), live = n, bad = 0;
  int *fds = calloc(n, sizeof(int));
  char req[512];
  int reql = snprintf(req, sizeof req, "GET %s HTTP/1.1\r\nHost: ext.bench.test\r\nConnection: close\r\n\r\n", v[4]);
  int ep = epoll_create1(0);
  unsigned long long tot = 0;
  double t0 = now();
  for (int i = 0; i < n; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fds[i], (void *)&a, sizeof a) || send(fds[i], req, reql, 0) != reql) { bad++; live--; continue; }
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fds[i]};
    epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
  }
  struct epoll_event evs[64];
  while (live) {
    int k = epoll_wait(ep, evs, 64, 10000);
    if (k <= 0) { bad += live; break; }
    for (int i = 0; i < k; i++) {
      ssize_t r = recv(evs[i].data.fd, NULL, 4 << 20, MSG_TRUNC | MSG_DONTWAIT);
      if (r > 0) tot += r;
      else if (r == 0 || errno != EAGAIN) { if (r < 0) bad++; epoll_ctl(ep, EPOLL_CTL_DEL, evs[i].data.fd, NULL); close(evs[i].data.fd); live--; }
    }
  }
  printf("{\"bytes\":%llu,\"errors\":%d,\"secs\":%.4f}\n", tot, bad, now() - t0);
  return 0;
}
static int rate(char **v) {
  struct sockaddr_in a = addr(v[2], v[3]);
  int n = atoi(v[5]), nidle = 0, err = 0;
  double rps = atof(v[6]), secs = atof(v[7]);
  char req[256], buf[65536];
  int reql = snprintf(req, sizeof req, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", v[4]);
  typedef struct { int fd, want, got; double due; char h[2048]; } rc;
  rc *cs = calloc(n, sizeof *cs), **idle_ = calloc(n, sizeof *idle_);
  int ep = epoll_create1(0);
  for (int i = 0; i < n; i++) {
    int one = 1;
    cs[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(cs[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(cs[i].fd, (void *)&a, sizeof a)) { perror("connect"); return 1; }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &cs[i]};
    epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &e);
    idle_[nidle++] = &cs[i];
  }
  size_t tot = rps * secs, sent = 0, done = 0;
  float *lat = malloc((tot + 1) * sizeof *lat);
  double t0 = now() + 0.01, t;
  struct epoll_event evs[64];
  while (done + err < tot && (t = now()) < t0 + secs + 5) {
    while (sent < tot && nidle && t >= t0 + sent / rps) {
      rc *c = idle_[--nidle];
      c->due = t0 + sent++ / rps; c->want = -1; c->got = 0;
      if (send(c->fd, req, reql, MSG_NOSIGNAL) != reql) err++;
    }
    double w = sent < tot && nidle ? t0 + sent / rps - now() : 0.1;
    if (w < 0) w = 0;
    struct timespec ts = {(time_t)w, (long)((w - (time_t)w) * 1e9)};
    int k = epoll_pwait2(ep, evs, 64, &ts, NULL);
    for (int i = 0; i < k; i++) {
      rc *c = evs[i].data.ptr;
      int r = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
      if (r <= 0) { if (r == 0 || errno != EAGAIN) { err++; epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL); } continue; }
      if (c->want < 0) {
        int m = c->got + r < 2047 ? r : 2047 - c->got;
        if (m > 0) { memcpy(c->h + c->got, buf, m); c->h[c->got + m] = 0; }
        char *e = strstr(c->h, "\r\n\r\n");
        if (e) { c->want = (e - c->h) + 4 + 1024; if (memcmp(c->h, "HTTP/1.1 200", 12)) err++; }
      }
      c->got += r;
      if (c->want > 0 && c->got >= c->want) { lat[done++] = (now() - c->due) * 1e6; idle_[nidle++] = c; }
    }
  }
  double el = now() - t0;
  qsort(lat, done, sizeof *lat, cmp);
  printf("{\"requests\":%zu,\"errors\":%d,\"secs\":%.4f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n", done, err, el, done ? lat[done / 2] : 0, done ? lat[done * 99 / 100] : 0);
  return 0;
}
static int cold(int c, char **v) {
  struct sockaddr_in a = addr(v[2], v[3]);
  char req[256], buf[4096];
  int reql = snprintf(req, sizeof req, "GET %s HTTP/1.1\r\nHost: ext.bench.test\r\nConnection: close\r\n\r\n", v[4]);
  double lim = atof(v[5]), t0 = now(), t = 0;
  pid_t p = fork();
  if (!p) { execvp(v[7], v + 7); _exit(127); }
  while (now() - t0 < lim) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval tv = {0, 300000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if (!connect(fd, (void *)&a, sizeof a) && send(fd, req, reql, MSG_NOSIGNAL) == reql) {
      ssize_t r = recv(fd, buf, sizeof buf, 0);
      if (r >= 12 && !memcmp(buf, "HTTP/1.1 200", 12)) { t = now() - t0; close(fd); break; }
    }
    close(fd);
    usleep(200);
  }
  kill(p, SIGTERM);
  int st;
  for (int i = 0; i < 500 && waitpid(p, &st, WNOHANG) == 0; i++) { usleep(10000); if (i == 499) { kill(p, SIGKILL); waitpid(p, &st, 0); } }
  printf("{\"ms\":%.2f,\"ok\":%d}\n", t * 1e3, t > 0);
  return 0;
}
int main(int c, char **v) {
  signal(SIGPIPE, SIG_IGN);
  if (c >= 8 && !strcmp(v[1], "hs")) return hs(v);
  if (c >= 7 && !strcmp(v[1], "idle")) return idle(v);
  if (c >= 6 && !strcmp(v[1], "dl")) return dl(v);
  if (c >= 8 && !strcmp(v[1], "rate")) return rate(v);
  if (c >= 8 && !strcmp(v[1], "cold")) return cold(c, v);
  fprintf(stderr, "usage: see the top of load.c\n");
  return 2;
}
