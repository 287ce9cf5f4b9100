// The load that wrk does not make. Figures go to stdout as JSON.
//   load idle IP PORT N HOST                   N connections with one request each, held until
//   stdin
//                                              closes; prints READY N bad M
//   load dl   IP PORT PATH CONNS               CONNS downloads side by side, data dropped in the
//   kernel load rate IP PORT HOST CONNS RPS SECONDS   an even rate over keep-alive connections
//   (open loop);
//                                              latency counts from the time a request was due
//   load cold IP PORT PATH SECONDS -- ARGV     runs ARGV, polls until the first 200, ends it
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { body_bytes = 1024 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static struct sockaddr_in address(const char* ip, const char* port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

// A connected socket; -1 when it cannot be. The time limit (0: none) bounds connect, too.
static int dial(const struct sockaddr_in* a, struct timeval limit) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, (const void*)a, sizeof *a)) {
    close(fd);
    return -1;
  }
  return fd;
}

static int ok(const char* head, int n) { return n >= 12 && !memcmp(head, "HTTP/1.1 200", 12); }

// One request and its whole answer.
static int ask(int fd, const char* request, int length) {
  char buf[8192];
  int got = 0, want = -1, r;
  if (send(fd, request, length, MSG_NOSIGNAL) != length) return 0;
  while ((want < 0 || got < want) && got < (int)sizeof buf - 1) {
    if ((r = recv(fd, buf + got, sizeof buf - 1 - got, 0)) <= 0) return 0;
    buf[got += r] = 0;
    char* end = strstr(buf, "\r\n\r\n");
    if (end && want < 0) want = (end - buf) + 4 + body_bytes;
  }
  return ok(buf, got);
}

static int idle(char** v) {
  struct sockaddr_in a = address(v[2], v[3]);
  int n = atoi(v[4]), bad = 0;
  char request[256], c;
  int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", v[5]);
  for (int i = 0; i < n; i++) {
    if (bad > 20) {
      bad += n - i;
      break;
    }
    int fd = dial(&a, (struct timeval){5, 0});
    if (fd < 0 || !ask(fd, request, length)) bad++;
  }
  printf("READY %d bad %d\n", n, bad);
  fflush(stdout);
  while (read(0, &c, 1) > 0) {
  }
  return 0;
}

static int downloads(char** v) {
  struct sockaddr_in a = address(v[2], v[3]);
  int n = atoi(v[5]), live = 0, bad = 0, ep = epoll_create1(0);
  char request[512];
  int length =
      snprintf(request, sizeof request,
               "GET %s HTTP/1.1\r\nHost: ext.bench.test\r\nConnection: close\r\n\r\n", v[4]);
  unsigned long long total = 0;
  double start = now();
  for (int i = 0; i < n; i++) {
    int fd = dial(&a, (struct timeval){0, 0});
    if (fd < 0 || send(fd, request, length, 0) != length) {
      bad++;
      continue;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    live++;
  }
  struct epoll_event events[64];
  while (live) {
    int k = epoll_wait(ep, events, 64, 10000);
    if (k <= 0) {
      bad += live;
      break;
    }
    for (int i = 0; i < k; i++) {
      ssize_t r = recv(events[i].data.fd, NULL, 4 << 20, MSG_TRUNC | MSG_DONTWAIT);
      if (r > 0) {
        total += r;
      } else if (r == 0 || errno != EAGAIN) {
        bad += r < 0;
        close(events[i].data.fd);
        live--;
      }
    }
  }
  printf("{\"bytes\":%llu,\"errors\":%d,\"secs\":%.4f}\n", total, bad, now() - start);
  return 0;
}

typedef struct {
  int fd, want, got;
  double due;
  char head[2048];
} client;

// Reads what there is; 1 when the answer is whole, -1 when the connection is lost.
static int take(client* c, int* errors) {
  char buf[65536];
  int r = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
  if (r <= 0) return r < 0 && errno == EAGAIN ? 0 : -1;
  if (c->want < 0) {
    int room = (int)sizeof c->head - 1 - c->got, m = r < room ? r : room;
    if (m > 0) memcpy(c->head + c->got, buf, m), c->head[c->got + m] = 0;
    char* end = strstr(c->head, "\r\n\r\n");
    if (end) {
      c->want = (end - c->head) + 4 + body_bytes;
      *errors += !ok(c->head, c->want);
    }
  }
  c->got += r;
  return c->want > 0 && c->got >= c->want;
}

static int by_size(const void* a, const void* b) {
  float x = *(const float*)a, y = *(const float*)b;
  return x < y ? -1 : x > y;
}

static void report(float* latency, size_t done, int errors, double seconds) {
  qsort(latency, done, sizeof *latency, by_size);
  printf("{\"requests\":%zu,\"errors\":%d,\"secs\":%.4f,\"p50_us\":%.0f,\"p99_us\":%.0f,"
         "\"max_us\":%.0f}\n",
         done, errors, seconds, done ? latency[done / 2] : 0, done ? latency[done * 99 / 100] : 0,
         done ? latency[done - 1] : 0);
}

static int rate(char** v) {
  struct sockaddr_in a = address(v[2], v[3]);
  int n = atoi(v[5]), free_count = 0, errors = 0, ep = epoll_create1(0);
  double rps = atof(v[6]), seconds = atof(v[7]);
  char request[256];
  int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", v[4]);
  client *clients = calloc(n, sizeof *clients), **free_ = calloc(n, sizeof *free_);
  for (int i = 0; i < n; i++) {
    if ((clients[i].fd = dial(&a, (struct timeval){0, 0})) < 0) return perror("connect"), 1;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &clients[i]};
    epoll_ctl(ep, EPOLL_CTL_ADD, clients[i].fd, &e);
    free_[free_count++] = &clients[i];
  }
  size_t total = rps * seconds, sent = 0, done = 0;
  float* latency = malloc((total + 1) * sizeof *latency);
  double start = now() + 0.01, t;
  struct epoll_event events[64];
  while (done + errors < total && (t = now()) < start + seconds + 5) {
    while (sent < total && free_count && t >= start + sent / rps) {
      client* c = free_[--free_count];
      c->due = start + sent++ / rps;
      c->want = -1;
      c->got = 0;
      if (send(c->fd, request, length, MSG_NOSIGNAL) != length) errors++;
    }
    double w = sent < total && free_count ? start + sent / rps - now() : 0.1;
    if (w < 0) w = 0;
    struct timespec wait = {(time_t)w, (long)((w - (time_t)w) * 1e9)};
    int k = epoll_pwait2(ep, events, 64, &wait, NULL);
    for (int i = 0; i < k; i++) {
      client* c = events[i].data.ptr;
      int r = take(c, &errors);
      if (r < 0) {
        errors++;
        epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
      } else if (r > 0 && done < total) {
        latency[done++] = (now() - c->due) * 1e6;
        free_[free_count++] = c;
      }
    }
  }
  report(latency, done, errors, now() - start);
  return 0;
}

static void end(pid_t p) {
  int status;
  kill(p, SIGTERM);
  for (int i = 0; i < 500; i++) {
    if (waitpid(p, &status, WNOHANG)) return;
    usleep(10000);
  }
  kill(p, SIGKILL);
  waitpid(p, &status, 0);
}

static int cold(char** v) {
  struct sockaddr_in a = address(v[2], v[3]);
  char request[256], buf[4096];
  int length =
      snprintf(request, sizeof request,
               "GET %s HTTP/1.1\r\nHost: ext.bench.test\r\nConnection: close\r\n\r\n", v[4]);
  double limit = atof(v[5]), start = now(), took = 0;
  pid_t p = fork();
  if (!p) {
    execvp(v[7], v + 7);
    _exit(127);
  }
  while (!took && now() - start < limit) {
    int fd = dial(&a, (struct timeval){0, 300000});
    if (fd >= 0 && send(fd, request, length, MSG_NOSIGNAL) == length &&
        ok(buf, (int)recv(fd, buf, sizeof buf, 0)))
      took = now() - start;
    if (fd >= 0) close(fd);
    usleep(200);
  }
  end(p);
  printf("{\"ms\":%.2f,\"ok\":%d}\n", took * 1e3, took > 0);
  return 0;
}

int main(int argc, char** v) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 6 && !strcmp(v[1], "idle")) return idle(v);
  if (argc == 6 && !strcmp(v[1], "dl")) return downloads(v);
  if (argc == 8 && !strcmp(v[1], "rate")) return rate(v);
  if (argc >= 8 && !strcmp(v[1], "cold")) return cold(v);
  fprintf(stderr, "usage: see the top of load.c\n");
  return 2;
}
