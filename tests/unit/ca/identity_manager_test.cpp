// The identity in force over time: first, renewed, kept through failures, at its end.
#include "certs/ca/identity_manager.h"

#include <boost/asio/io_context.hpp>
#include <deque>

#include "certs/ca/file_source.h"
#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"

namespace sallyport::ca {
namespace {

const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";

struct Published {
  certs::VaultEntry pair, roots;
};

// Runs an io_context until something holds; a test that hangs here has found a lost event.
class Managed : public testing::Test {
protected:
  void start(std::unique_ptr<IdentitySource> source, RotationPolicy policy = {}) {
    manager_ = std::make_unique<IdentityManager>(
        io_, std::move(source), policy,
        IdentitySinks{[this](certs::VaultEntry pair, certs::VaultEntry roots) {
                        now_ = {std::move(pair), std::move(roots)};
                      },
                      [this](const std::string& line) { info_.push_back(line); },
                      [this](const std::string& line) { warnings_.push_back(line); }});
    manager_->start();
  }
  template <class Predicate>
  void await(Predicate holds) {
    while (!holds()) io_.run_one();
  }
  std::string serial() const { return now_.pair.pair ? now_.pair.pair->info().serial : ""; }

  boost::asio::io_context io_;
  Published now_;
  std::vector<std::string> info_, warnings_;
  std::unique_ptr<IdentityManager> manager_;
};

const test::Authority& root() {
  static const auto authority = test::Authority::root("Mesh Root");
  return authority;
}

test::Issued issue(long life_s = 3600, const std::string& uri = sleep) {
  return root().issue({.uris = {uri}, .valid_from_s = -60, .valid_to_s = life_s});
}

IdentityMaterial material(const test::Issued& issued) {
  return {issued.chain_pem, SecretText(issued.key_pem), root().pem(), sleep};
}

// Gives what a test has put into it, one at a fetch; then it fails.
class Scripted : public IdentitySource {
public:
  explicit Scripted(std::deque<Result<IdentityMaterial>>& answers) : answers_(answers) {}
  void fetch(Deliver deliver) override {
    if (answers_.empty()) return deliver(Error{.context = "connection refused"});
    auto next = std::move(answers_.front());
    answers_.pop_front();
    deliver(std::move(next));
  }
  bool follows() const override { return false; }
  std::string name() const override { return "CA test"; }

private:
  std::deque<Result<IdentityMaterial>>& answers_;
};

class FromCa : public Managed {
protected:
  void answer(Result<IdentityMaterial> one) { answers_.push_back(std::move(one)); }
  void start_scripted() { start(std::make_unique<Scripted>(answers_)); }
  std::deque<Result<IdentityMaterial>> answers_;
};

TEST_F(FromCa, IsReadyWithTheFirstCertificate) {
  answer(material(issue()));
  start_scripted();
  EXPECT_TRUE(manager_->ready());
  ASSERT_TRUE(now_.pair.pair && now_.roots.roots);
  EXPECT_EQ(now_.pair.problem, "");
  ASSERT_EQ(info_.size(), 1u);
  EXPECT_NE(info_[0].find("workload certificate " + sleep + " from CA test: serial " + serial()),
            std::string::npos)
      << info_[0];
}

TEST_F(FromCa, RenewsPastHalfOfTheLifeAndKeepsTheRootsObject) {
  answer(material(issue(4)));
  answer(material(issue()));
  start_scripted();
  const std::string first = serial();
  const auto roots = now_.roots.roots;
  const auto begun = std::chrono::steady_clock::now();
  await([&] { return serial() != first; });
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1500));
  EXPECT_EQ(now_.roots.roots, roots);
}

TEST_F(FromCa, IsNotReadyBeforeThereIsOneAndTriesAgain) {
  answer(Error{.context = "connect 10.0.0.1:15012: Connection refused"});
  start_scripted();
  EXPECT_FALSE(manager_->ready());
  EXPECT_EQ(now_.pair.problem, "connect 10.0.0.1:15012: Connection refused");
  EXPECT_EQ(now_.roots.problem, now_.pair.problem);
  answer(material(issue()));
  await([&] { return manager_->ready(); });
  EXPECT_EQ(now_.pair.problem, "");
}

TEST_F(FromCa, ServesOnWithTheOldOneUntilItEndsAndThenSaysSo) {
  answer(material(issue(3)));
  start_scripted();
  const std::string first = serial();
  await([&] { return !warnings_.empty(); });
  EXPECT_EQ(serial(), first);
  EXPECT_EQ(now_.pair.problem, "the renewal failed: connection refused");
  EXPECT_EQ(manager_->problem(), now_.pair.problem);
  EXPECT_NE(warnings_[0].find("the old one, serial " + first + ", stays in use until"),
            std::string::npos)
      << warnings_[0];
  await([&] { return now_.pair.problem.starts_with("it expired at"); });
  EXPECT_NE(now_.pair.problem.find("; the renewal failed: connection refused"), std::string::npos);
  EXPECT_TRUE(now_.pair.pair);
  answer(material(issue()));
  await([&] { return now_.pair.problem.empty(); });
  EXPECT_NE(serial(), first);
}

TEST_F(FromCa, ABadCertificateNeverReplacesAGoodOne) {
  answer(material(issue(2)));
  answer(material(issue(3600, "spiffe://cluster.local/ns/default/sa/admin")));
  answer(material(issue()));
  start_scripted();
  const std::string first = serial();
  await([&] { return !warnings_.empty(); });
  EXPECT_EQ(serial(), first);
  EXPECT_NE(now_.pair.problem.find("sa/admin"), std::string::npos) << now_.pair.problem;
  await([&] { return now_.pair.problem.empty(); });
  EXPECT_NE(serial(), first);
}

class FromFiles : public Managed {
protected:
  void write(const test::Issued& issued, const std::string& roots) {
    files_.write("cert.pem", issued.chain_pem);
    files_.write("key.pem", issued.key_pem);
    files_.write("root.pem", roots);
  }
  void start_files() {
    start(make_file_source(
        io_, {files_.path("cert.pem"), files_.path("key.pem"), files_.path("root.pem")},
        [this](const std::string& line) { warnings_.push_back(line); }, sleep));
  }
  test::TemporaryDirectory files_;
};

TEST_F(FromFiles, AreThereWhenStartReturns) {
  write(issue(), root().pem());
  start_files();
  EXPECT_TRUE(manager_->ready());
  EXPECT_EQ(warnings_, std::vector<std::string>{});
}

TEST_F(FromFiles, OfAnotherIdentityAreTakenWithAWarning) {
  write(issue(3600, "spiffe://cluster.local/ns/other/sa/sleep"), root().pem());
  start_files();
  EXPECT_TRUE(manager_->ready());
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_EQ(warnings_[0], "workload certificate from files " + files_.path("cert.pem") + ", " +
                              files_.path("key.pem") +
                              ": it is for spiffe://cluster.local/ns/other/sa/sleep, this pod is " +
                              sleep + ": its peers see the certificate's");
}

TEST_F(FromFiles, ReplacedOnesAreTakenLiveOnceTheyMatch) {
  write(issue(), root().pem());
  start_files();
  const std::string first = serial();
  const auto next = issue();
  files_.replace("cert.pem", next.chain_pem);
  await([&] { return !now_.pair.problem.empty(); });  // the key of the old one
  EXPECT_EQ(serial(), first);
  files_.replace("key.pem", next.key_pem);
  await([&] { return serial() != first; });
  EXPECT_EQ(now_.pair.problem, "");
}

TEST_F(FromFiles, ANewRootIsTakenWithTheSameCertificate) {
  write(issue(), root().pem());
  start_files();
  const auto pair = now_.pair.pair;
  files_.replace("root.pem", root().pem() + test::Authority::root("Next Root").pem());
  await([&] { return now_.roots.roots->certificates().size() == 2; });
  EXPECT_EQ(now_.pair.pair, pair);
}

TEST_F(FromFiles, MissingOnesAreNamedAndTakenWhenTheyAppear) {
  start_files();
  EXPECT_FALSE(manager_->ready());
  EXPECT_NE(now_.pair.problem.find(files_.path("cert.pem")), std::string::npos)
      << now_.pair.problem;
  write(issue(), root().pem());
  await([&] { return manager_->ready(); });
}

}  // namespace
}  // namespace sallyport::ca
