// Columns as Go's text/tabwriter sets them, which istioctl prints with.
#pragma once
#include <string>
#include <vector>

namespace sallyport::cli {

class Table {
public:
  // `padding`: blanks between the widest cell of a column and the next column.
  explicit Table(std::size_t padding) : padding_(padding) {}
  // Every row has the same number of cells; the last one is not padded.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::size_t rows() const { return rows_.size(); }
  std::string text() const;

private:
  std::size_t padding_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace sallyport::cli
