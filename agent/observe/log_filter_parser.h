// Reads a filter expression: CEL's grammar, as far as a filter has it, and the types of both sides
// of each operator. Inside this module only.
#pragma once
#include "agent/observe/log_filter_plan.h"

namespace sallyport::observe {

std::string_view word_for(FilterType type);  // "a string", for messages

// Errors end it: the first one is kept, and what is made after it counts for nothing.
class FilterParser {
public:
  explicit FilterParser(std::string_view expression) : lexer_(expression) {}
  Result<FilterPlan> run();        // of a condition
  Result<FilterPlan> run_value();  // of a value

private:
  void check_end();
  uint32_t disjunction();
  uint32_t conjunction();
  uint32_t relation();
  uint32_t unary();
  uint32_t negated();
  uint32_t member();
  uint32_t primary();
  uint32_t path(const FilterToken& first);
  uint32_t presence();
  uint32_t duration_literal();
  uint32_t list();
  uint32_t method(uint32_t receiver);
  uint32_t header_of(uint32_t map);
  uint32_t header_key(uint32_t map, const FilterToken& key, std::string name);
  uint32_t number(bool negative);
  uint32_t compare(FilterNode::Op op, uint32_t left, uint32_t right, std::size_t column);
  uint32_t contained(uint32_t left, uint32_t right, std::size_t column);
  uint32_t literal_text(const FilterToken& token);

  uint32_t add(FilterNode node);
  uint32_t add_condition(FilterNode::Op op, uint32_t left, uint32_t right);
  FilterType type_of(uint32_t node) const { return plan_.nodes[node].type; }
  void want_boolean(uint32_t node, std::size_t column);
  void want(HeaderMap map, const std::string& name);

  bool failed() const { return error_.has_value(); }
  uint32_t fail(std::size_t column, std::string_view why);
  void advance();
  FilterToken take();
  bool at_symbol(std::string_view symbol) const {
    return token_.kind == FilterToken::Kind::symbol && token_.text == symbol;
  }
  bool accept(std::string_view symbol);
  void expect_symbol(std::string_view symbol);

  FilterLexer lexer_;
  FilterToken token_;
  FilterPlan plan_;
  std::optional<Error> error_;
  int depth_ = 0;
};

}  // namespace sallyport::observe
