// What is in force after each load: last good versions, first definitions, and what has to be
// closed.
#include "agent/config/store.h"

namespace sallyport::config {
namespace {

std::string entry(const std::string& name, const std::string& host, const std::string& extra = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " + name +
         "}\nspec:\n  hosts: [" + host + "]\n  resolution: DNS\n" + extra;
}
const std::string bad_port = "  ports: [{number: 0, name: p}]\n";

using Files = std::vector<std::pair<std::string, std::string>>;  // path, text; text "!x":
                                                                 // unreadable because of x

SourceTree tree(const Files& files) {
  SourceTree out;
  for (const auto& [path, text] : files) {
    const bool readable = !text.starts_with('!');
    out.files.push_back({path, readable ? text : "", readable ? "" : text.substr(1)});
  }
  return out;
}

std::vector<std::string> in_force(const InForce& result) {
  std::vector<std::string> out;
  for (const ResourcePtr& resource : result.resources) {
    out.push_back(istio::metadata_of(*resource).name() + '=' +
                  std::get<istio::ServiceEntry>(*resource).hosts.at(0));
  }
  return out;
}
std::vector<std::string> closed(const InForce& result) {
  std::vector<std::string> out;
  for (const istio::Refused& refused : result.refused) {
    for (const std::string& host : refused.hosts) out.push_back(refused.kind + ' ' + host);
  }
  return out;
}

using Names = std::vector<std::string>;

struct Case {
  const char* name;
  Files before, after;
  Names in_force, closed;
};
const Case cases[] = {
    {"order is by path, then by line",
     {},
     {{"a", entry("z", "z.a") + entry("b", "b.a")}, {"b", entry("a", "a.a")}},
     {"z=z.a", "b=b.a", "a=a.a"},
     {}},
    {"one that was never good is closed",
     {},
     {{"a", entry("x", "x.a", bad_port)}},
     {},
     {"ServiceEntry x.a"}},
    {"one that became bad stays as it was",
     {{"a", entry("x", "old.a")}},
     {{"a", entry("x", "new.a", bad_port)}},
     {"x=old.a"},
     {}},
    {"it keeps its place in the order",
     {{"a", entry("x", "x.a") + entry("w", "y.a")}},
     {{"a", entry("x", "x.a", bad_port) + entry("w", "y.a")}},
     {"x=x.a", "w=y.a"},
     {}},
    {"one that is gone is gone",
     {{"a", entry("x", "x.a") + entry("w", "y.a")}},
     {{"a", entry("w", "y.a")}},
     {"w=y.a"},
     {}},
    {"a file that is gone takes its resources with it", {{"a", entry("x", "x.a")}}, {}, {}, {}},
    {"a document that no parser reads keeps what it was by its name",
     {{"a", entry("x", "x.a") + entry("w", "y.a")}},
     {{"a", entry("x", "x.a", "  ports: [\n") + entry("w", "new.a")}},
     {"x=x.a", "w=new.a"},
     {}},
    {"a document of which nothing is known keeps all that the file gave and is missing now",
     {{"a", entry("x", "x.a") + entry("w", "y.a")}},
     {{"a", "---\n\x01\x02\n" + entry("w", "new.a")}},
     {"x=x.a", "w=new.a"},
     {}},
    {"a mistyped kind too",
     {{"a", entry("x", "x.a")}},
     {{"a", "kynd: ServiceEntry\nmetadata: {name: x}\nspec: {hosts: [x.a]}\n"}},
     {"x=x.a"},
     {}},
    {"a mistyped kind that was never good closes its hosts",
     {},
     {{"a", "kynd: ServiceEntry\nmetadata: {name: x}\nspec: {hosts: [x.a]}\n"}},
     {},
     {"ServiceEntry x.a"}},
    {"a file that can't be read keeps what it gave",
     {{"a", entry("x", "x.a")}, {"b", entry("w", "y.a")}},
     {{"a", "!Permission denied"}, {"b", entry("w", "y.a")}},
     {"x=x.a", "w=y.a"},
     {}},
    {"of two with one name the first counts",
     {},
     {{"a", entry("x", "first.a")}, {"b", entry("x", "second.a")}},
     {"x=first.a"},
     {}},
    {"a good one elsewhere replaces the last good version",
     {{"a", entry("x", "old.a")}},
     {{"a", entry("x", "old.a", bad_port)}, {"b", entry("x", "new.a")}},
     {"x=new.a"},
     {}},
    {"one that moved to another file is simply there",
     {{"a", entry("x", "x.a")}},
     {{"b", entry("x", "x.a")}},
     {"x=x.a"},
     {}},
    {"a bad Secret closes nothing",
     {},
     {{"a", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: 1\n"}},
     {},
     {}},
};
class StoreLoads : public testing::TestWithParam<Case> {};
TEST_P(StoreLoads, KeepWhatIsGood) {
  const Case& c = GetParam();
  Store store;
  store.update(tree(c.before));
  const InForce result = store.update(tree(c.after));
  EXPECT_EQ(in_force(result), c.in_force) << c.name;
  EXPECT_EQ(closed(result), c.closed) << c.name;
  const InForce again = store.update(tree(c.after));
  EXPECT_EQ(in_force(again), c.in_force) << c.name << ": a load without changes changes nothing";
  EXPECT_EQ(again.resources, result.resources) << c.name << ": nor makes objects anew";
}
INSTANTIATE_TEST_SUITE_P(Spec, StoreLoads, testing::ValuesIn(cases));

TEST(StoreLoads, KeepWhatADirectoryGaveThatCannotBeReadNow) {
  Store store;
  store.update(tree({{"d/sub/a", entry("x", "x.a")}, {"d/b", entry("w", "y.a")}}));
  SourceTree now = tree({{"d/b", entry("w", "y.a")}});
  now.unreadable.push_back({"d/sub", "", "Permission denied"});
  EXPECT_EQ(in_force(store.update(now)), (Names{"w=y.a", "x=x.a"}));
}

TEST(StoreLoads, SayThatTheLastGoodVersionStays) {
  Store store;
  store.update(tree({{"a.yaml", entry("x", "x.a")}}));
  const InForce result = store.update(tree({{"a.yaml", entry("x", "x.a", bad_port)}}));
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].text(),
            "a.yaml:8: ServiceEntry default/x: spec.ports[0].number: port number 0 must be in the "
            "range 1..65535; its last good version stays in force");
  EXPECT_EQ(result.refusals.size(), 1u);
}

// PeerAuthentication and AuthorizationPolicy protect, too: by workloads instead of hosts.
struct PolicyCase {
  const char* kind;
  const char* good;  // spec
  const char* bad;
};
const PolicyCase policy_cases[] = {
    {"PeerAuthentication", "{mtls: {mode: STRICT}}",
     "{selector: {matchLabels: {app: web}}, mtls: {mode: strict}}"},
    {"AuthorizationPolicy", "{rules: [{}]}",
     "{selector: {matchLabels: {app: web}}, rules: [{too: 1}]}"},
};
class StorePolicies : public testing::TestWithParam<PolicyCase> {
protected:
  SourceTree with(const char* spec) const {
    return tree({{"a", "apiVersion: security.istio.io/v1\nkind: " + std::string(GetParam().kind) +
                           "\nmetadata: {name: x, namespace: foo}\nspec: " + spec + "\n"}});
  }
};
TEST_P(StorePolicies, StayAsTheyWereWhenTheyBecomeBad) {
  Store store;
  const auto before = store.update(with(GetParam().good)).resources;
  const InForce now = store.update(with(GetParam().bad));
  EXPECT_EQ(now.resources, before);
  EXPECT_TRUE(now.refused.empty());
  EXPECT_EQ(now.refusals.size(), 1u);
}
TEST_P(StorePolicies, AreHandedOnWithTheirSelectorWhenTheyWereNeverGood) {
  Store store;
  const InForce now = store.update(with(GetParam().bad));
  ASSERT_EQ(now.refused.size(), 1u);
  EXPECT_EQ(now.refused[0].selector, (istio::Labels{{"app", "web"}}));
  EXPECT_EQ(now.refused[0].namespace_name, "foo");
}
INSTANTIATE_TEST_SUITE_P(Spec, StorePolicies, testing::ValuesIn(policy_cases));

TEST(StoreLoads, NameBothPlacesOfADuplicate) {
  Store store;
  const InForce result = store.update(tree({{"a", entry("x", "x.a")}, {"b", entry("x", "x.a")}}));
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].text(),
            "b:2: ServiceEntry default/x: metadata.name: defined twice: a:2 counts, this one is "
            "left out");
}

TEST(StoreLoads, DecodeOnlyFilesThatChanged) {
  Store store;
  const InForce first = store.update(tree({{"a", entry("x", "x.a")}, {"b", entry("w", "y.a")}}));
  const InForce second = store.update(tree({{"a", entry("x", "x.a")}, {"b", entry("w", "new.a")}}));
  EXPECT_EQ(first.resources.at(0), second.resources.at(0));
  EXPECT_NE(first.resources.at(1), second.resources.at(1));
}

TEST(StoreLoads, DecodeOnlyDocumentsThatChanged) {
  Store store;
  const auto three = [](const std::string& middle) {
    return tree({{"a", entry("x", "x.a") + entry("w", middle) + entry("z", "z.a", bad_port)}});
  };
  const InForce first = store.update(three("y.a"));
  const InForce second = store.update(three("new.a"));
  EXPECT_EQ(first.resources.at(0), second.resources.at(0));
  EXPECT_NE(first.resources.at(1), second.resources.at(1));
  EXPECT_EQ(in_force(second), (Names{"x=x.a", "w=new.a"}));
  EXPECT_EQ(closed(second), (Names{"ServiceEntry z.a"})) << "what did not change is still bad";
  EXPECT_EQ(second.findings.size(), first.findings.size());
}

TEST(StoreLoads, DecodeAgainWhatMovedToAnotherLine) {
  Store store;
  store.update(tree({{"a", entry("x", "x.a") + entry("w", "w.a")}}));
  const InForce moved = store.update(tree({{"a", "# new\n" + entry("x", "x.a")}}));
  EXPECT_EQ(istio::metadata_of(*moved.resources.at(0)).ref->line, 3);
}

TEST(StoreLoads, TakeAFileThatDidNotChangeWithoutItsText) {
  Store store;
  auto now = tree({{"a", entry("x", "x.a")}});
  FileStamp stamp{.inode = 7, .size = 100, .settled = true};
  now.files[0].stamp = stamp;
  const InForce first = store.update(now);
  EXPECT_TRUE(store.held("a", stamp));
  EXPECT_FALSE(store.held("b", stamp));
  EXPECT_FALSE(store.held("a", FileStamp{.inode = 8, .size = 100, .settled = true}));
  now.files[0] = {"a", "", "", stamp, store.held("a", stamp)};
  EXPECT_EQ(store.update(now).resources, first.resources);
}

// What edit() gives is what a new store would, of the files as they are then.
TEST(StoreLoads, AnEditInPlaceGivesWhatAWholeUpdateWould) {
  const std::string x = entry("x", "x.a"), w = entry("w", "w.a"), v = entry("v", "v.a");
  Store store;
  const InForce first = store.update(tree({{"a", x + w}, {"b", v}}));
  const std::string warned = entry("w", "w.b", "  ports: [{number: 80, name: p, what: x}]\n");
  const auto files = tree({{"a", x + warned}, {"b", v}});
  const auto edited = store.edit({files.files[0]});
  ASSERT_TRUE(edited);
  Store other;
  const InForce whole = other.update(files);
  EXPECT_EQ(in_force(*edited), in_force(whole));
  ASSERT_EQ(edited->findings.size(), whole.findings.size());
  EXPECT_EQ(edited->findings.at(0).text(), whole.findings.at(0).text());
  EXPECT_EQ(edited->resources[0], first.resources[0]);
  EXPECT_NE(edited->resources[1], first.resources[1]);
  EXPECT_EQ(istio::metadata_of(*edited->resources[1]).ref,
            istio::metadata_of(*first.resources[1]).ref);
}

TEST(StoreLoads, AnEditIsNoEditWhereSomethingIsRefusedOrTheFileIsNew) {
  Store store;
  const auto good = tree({{"a", entry("x", "x.a")}, {"b", entry("v", "v.a")}});
  store.update(good);
  EXPECT_FALSE(store.edit({tree({{"c", entry("w", "w.a")}}).files[0]}));
  EXPECT_FALSE(store.edit({tree({{"a", entry("x", "x.a", bad_port)}}).files[0]}));
  EXPECT_FALSE(store.edit({tree({{"a", "!gone"}}).files[0]}));
  store.update(tree({{"a", entry("x", "x.a", bad_port)}, {"b", entry("v", "v.a")}}));
  EXPECT_FALSE(store.edit({})) << "what is refused is known to update() alone";
  store.update(good);
  EXPECT_TRUE(store.edit({}));
}

TEST(StoreLoads, AfterAnEditInPlaceABrokenEditKeepsWhatThatGave) {
  Store store;
  store.update(tree({{"a", entry("x", "x.a")}, {"b", entry("v", "v.a")}}));
  store.update(tree({{"a", entry("x", "x.b")}, {"b", entry("v", "v.a")}}));
  const InForce broken =
      store.update(tree({{"a", entry("x", "x.c", bad_port)}, {"b", entry("v", "v.a")}}));
  ASSERT_EQ(broken.refusals.size(), 1u);
  ASSERT_EQ(broken.resources.size(), 2u);
  EXPECT_EQ(std::get<istio::ServiceEntry>(*broken.resources[0]).hosts[0], "x.b");
  const InForce mended = store.update(tree({{"a", entry("x", "x.d")}, {"b", entry("v", "v.a")}}));
  EXPECT_TRUE(mended.refusals.empty());
  EXPECT_EQ(std::get<istio::ServiceEntry>(*mended.resources[0]).hosts[0], "x.d");
}

TEST(StoreLoads, AnEditThatRenamesOrAddsIsNoEditInPlace) {
  Store store;
  store.update(tree({{"a", entry("x", "x.a")}, {"b", entry("v", "v.a")}}));
  const InForce renamed = store.update(tree({{"a", entry("z", "x.a")}, {"b", entry("v", "v.a")}}));
  ASSERT_EQ(renamed.resources.size(), 2u);
  EXPECT_EQ(istio::metadata_of(*renamed.resources[0]).name(), "z");
  const InForce twice = store.update(tree({{"a", entry("z", "x.a")}, {"b", entry("z", "y.a")}}));
  EXPECT_EQ(twice.resources.size(), 1u);
  const InForce once = store.update(tree({{"a", entry("z", "x.a")}, {"b", entry("v", "v.a")}}));
  EXPECT_EQ(once.resources.size(), 2u) << "the one that was left out counts again";
}

TEST(Store, HandsResourcesOnOldestFirst) {
  const auto dated = [](const std::string& name, const std::string& time) {
    return "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " + name +
           ", creationTimestamp: " + time + "}\nspec:\n  hosts: [" + name +
           "]\n  resolution: DNS\n";
  };
  Store store;
  const auto loaded = store.update(
      tree({{"a.yaml", entry("plain-a", "plain-a") + dated("new", "'2026-03-01T00:00:00Z'")},
            {"b.yaml", dated("same-b", "'2020-01-01T00:00:00Z'") +
                           dated("same-a", "'2020-01-01T00:00:00Z'") + dated("undated", "null") +
                           entry("plain-b", "plain-b")}}));
  EXPECT_EQ(in_force(loaded),
            (std::vector<std::string>{"same-a=same-a", "same-b=same-b", "new=new",
                                      "plain-a=plain-a", "undated=undated", "plain-b=plain-b"}));
}

}  // namespace
}  // namespace sallyport::config
