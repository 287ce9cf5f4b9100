// Which tokens a CA takes, and whose they are.
#include "certs/ca/token.h"

#include "tests/support/test_tokens.h"

namespace sallyport::ca {
namespace {

const test::TokenIssuer& ec() {
  static const auto issuer = test::TokenIssuer::es256("ec");
  return issuer;
}
const test::TokenIssuer& rsa() {
  static const auto issuer = test::TokenIssuer::rs256("rsa");
  return issuer;
}
const test::TokenIssuer& stranger() {
  static const auto issuer = test::TokenIssuer::es256("ec");
  return issuer;
}

std::string sleep_claims(const std::string& audience = "istio-ca", long until_s = 3600) {
  return test::TokenIssuer::claims("default", "sleep", audience, until_s);
}
std::string with(const std::string& more) {
  return R"({"aud":"istio-ca","exp":)" + std::to_string(std::time(nullptr) + 60) + more + "}";
}
std::string bent(std::string token) {
  token[token.size() - 5] = token[token.size() - 5] == 'A' ? 'B' : 'A';
  return token;
}

struct Case {
  const char* name;
  std::string token;
  const char* expect;  // the account, or a part of the reason
};

std::vector<Case> cases() {
  const std::string subject = R"(,"sub":"system:serviceaccount:default:sleep")";
  return {
      {"ES256", ec().token(sleep_claims()), "default/sleep"},
      {"RS256", rsa().token(sleep_claims()), "default/sleep"},
      {"one audience as a text", ec().token(with(subject)), "default/sleep"},
      {"a subject of another form, Kubernetes' own claims",
       ec().token(with(R"(,"kubernetes.io":{"namespace":"a","serviceaccount":{"name":"b"}})")),
       "a/b"},
      {"another audience", ec().token(sleep_claims("vault")), "another audience"},
      {"no audience", ec().token(R"({"exp":99999999999)" + subject + "}"), "another audience"},
      {"expired", ec().token(sleep_claims("istio-ca", -1)), "expired at"},
      {"without an end", ec().token(R"({"aud":"istio-ca")" + subject + "}"), "never expires"},
      {"an end that is no time", ec().token(R"({"aud":"istio-ca","exp":"x")" + subject + "}"),
       "never expires"},
      {"not valid yet", ec().token(with(R"(,"nbf":99999999999)" + subject)), "not valid before"},
      {"another's signature under the same key id", stranger().token(sleep_claims()),
       "none of the keys verifies"},
      {"a bent signature", bent(ec().token(sleep_claims())), "none of the keys verifies"},
      {"no algorithm", ec().token(sleep_claims(), "none"), "signed by \"none\""},
      {"a shared secret, which a public key must never become", ec().token(sleep_claims(), "HS256"),
       "signed by \"HS256\""},
      {"an RSA key's name on a P-256 signature", ec().token(sleep_claims(), "RS256"),
       "none of the keys verifies"},
      {"a user's", ec().token(with(R"(,"sub":"admin")")), "no service account"},
      {"a name that would change the SPIFFE id",
       ec().token(with(R"(,"sub":"system:serviceaccount:a/sa/x:b")")), "no service account"},
      {"a name with a colon more", ec().token(with(R"(,"sub":"system:serviceaccount:a:b:c")")),
       "no service account"},
      {"no JWT", "abc", "no JWT"},
      {"dots", "..", "no JWT"},
      {"no JSON", test::base64url("x") + "." + test::base64url("y") + ".", "no JWT"},
  };
}

std::string outcome(const std::string& token, const TokenRules& rules) {
  const auto account = verify_token(token, rules, std::time(nullptr));
  return account ? account->namespace_name + "/" + account->name : account.error().context;
}

TEST(Token, IsAServiceAccountsJwt) {
  const std::string jwks = R"({"keys":[)" + ec().jwk() + "," + rsa().jwk() +
                           R"(,{"kty":"OKP","crv":"Ed25519"},{"kty":"EC","use":"enc"}]})";
  const auto keys = parse_token_keys(jwks);
  ASSERT_TRUE(keys) << keys.error().context;
  ASSERT_EQ(keys->size(), 2u);
  const TokenRules rules{*keys};
  for (const auto& c : cases())
    EXPECT_NE(outcome(c.token, rules).find(c.expect), std::string::npos)
        << c.name << ": " << outcome(c.token, rules);
}

TEST(Token, KeysMayBePemAndTheIssuerAsked) {
  const auto keys = parse_token_keys(rsa().public_pem() + ec().public_pem());
  ASSERT_TRUE(keys) << keys.error().context;
  TokenRules rules{*keys, {"mesh"}, "https://kubernetes.default.svc"};
  EXPECT_EQ(outcome(ec().token(sleep_claims("mesh")), rules), "default/sleep");
  rules.issuer = "https://elsewhere";
  EXPECT_NE(outcome(ec().token(sleep_claims("mesh")), rules).find("issuer"), std::string::npos);
}

TEST(Token, KeysThatCannotBeReadAreNamed) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "no RSA or P-256 key"},
      {"{", "no JSON"},
      {"{}", "no list `keys`"},
      {R"({"keys":[]})", "no RSA or P-256 key"},
      {R"({"keys":[{"kty":"RSA","kid":"a","n":"!","e":"AQAB"}]})", "the key \"a\" cannot be read"},
      {R"({"keys":[{"kty":"EC","crv":"P-256","kid":"b","x":"AA","y":"AA"}]})",
       "the key \"b\" cannot be read"},
      {R"({"keys":[{"kty":"RSA","kid":"c","n":"wQ","e":"AQAB"}]})", "less than 2048 bits"},
  };
  for (const auto& [text, reason] : bad) {
    const auto keys = parse_token_keys(text);
    ASSERT_FALSE(keys) << text;
    EXPECT_NE(keys.error().context.find(reason), std::string::npos) << keys.error().context;
  }
}

TEST(Token, AFileOfTokensNamesTheirAccounts) {
  const auto tokens = parse_static_tokens(
      "# machines\n\n0123456789abcdef vms/db\nfedcba9876543210   vms/web.front \r\n");
  ASSERT_TRUE(tokens) << tokens.error().context;
  EXPECT_EQ(tokens->size(), 2u);
  for (const char* line : {"short vms/db", "0123456789abcdef", "0123456789abcdef vms",
                           "0123456789abcdef vms/UPPER", "0123456789abcdef /db"}) {
    const auto bad = parse_static_tokens(std::string("#\n") + line);
    ASSERT_FALSE(bad) << line;
    EXPECT_TRUE(bad.error().context.starts_with("line 2: ")) << bad.error().context;
    EXPECT_EQ(bad.error().context.find("0123456789"), std::string::npos);
  }
}

}  // namespace
}  // namespace sallyport::ca
