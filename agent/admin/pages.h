// What the admin port answers, without sockets: requests in, responses out.
//
// Threading: the configuration thread.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "agent/admin/message.h"
#include "agent/admin/server.h"

namespace sallyport::admin {

class Pages {
public:
  explicit Pages(Sources sources);
  Pages(const Pages&) = delete;

  // `done` is called at once, or later on the same thread; then the Pages may be gone already.
  void answer(const Request& request, const Done& done);
  Response answer_health(const Request& request);   // /healthz/ready, of 15021 and the status port
  Response metrics();                               // in Prometheus' text format
  Response answer_metrics(const Request& request);  // 15090

private:
  struct Query {
    std::string_view text;                              // behind the '?'
    std::string_view get(std::string_view name) const;  // "" when it is not there; not decoded
    bool has(std::string_view name) const;              // with or without a value
  };
  struct Page {
    std::string_view path, help;
    bool mutates;  // POST only
    void (Pages::*handler)(Query, const Done&);
  };
  static const Page pages[];

  void help(Query, const Done& done);
  void ready(Query, const Done& done);
  void config_dump(Query, const Done& done);
  void clusters(Query query, const Done& done);
  void certs(Query, const Done& done);
  void egress(Query, const Done& done);
  void stats(Query query, const Done& done);
  void stats_prometheus(Query, const Done& done);
  void server_info(Query, const Done& done);
  void logging(Query query, const Done& done);
  void quit(Query, const Done& done);
  void drain(Query query, const Done& done);
  void fail(Query, const Done& done);
  void recover(Query, const Done& done);
  std::string prometheus() const;
  std::string_view state();     // LIVE, INITIALIZING, DRAINING
  std::string missing() const;  // lines "condition: why it is not met"
  void tell(std::string_view state, const std::string& missing);
  static std::string list();

  Sources sources_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool failing_ = false;  // /healthcheck/fail
  std::string told_;      // tell()'s last
};

}  // namespace sallyport::admin
