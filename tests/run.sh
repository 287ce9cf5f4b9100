#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. The last line ends "N passed, N failed".
#
#   tests/run.sh                 everything
#   tests/run.sh --only asan     one stage: asan (unit and behaviour tests), tsan, fuzz, release
#
# Stages share nothing but the compiler cache. Logs of what fails are shown; the rest lies in build/test-logs.
set -uo pipefail
cd "$(dirname "$0")/.."
only=all
[ "${1:-}" = --only ] && only=${2:?a stage}
jobs=$(nproc)
logs=$PWD/build/test-logs
mkdir -p "$logs"
passed=0 failed=0
failures=()
started=$SECONDS

say() { printf '[%4ds] %s\n' $((SECONDS - started)) "$*"; }
wants() { [ "$only" = all ] || [ "$only" = "$1" ]; }

# check NAME COMMAND...: one test of its own (a build, a fuzzer).
check() {
  local name=$1
  shift
  if "$@" > "$logs/$name.log" 2>&1; then
    passed=$((passed + 1))
    say "ok    $name"
  else
    failed=$((failed + 1))
    failures+=("$name")
    say "FAIL  $name"
    tail -n 60 "$logs/$name.log"
    return 1
  fi
}

# suite PRESET PROGRAM...: a GoogleTest program; its cases are counted one by one.
suite() {
  local preset=$1 program=$2 name=$1-$2
  shift 2
  local log=$logs/$name.log
  SALLYPORT_BIN_DIR=$PWD/build/$preset "build/$preset/tests/$program" --gtest_brief=1 "$@" > "$log" 2>&1
  local code=$?
  local ok bad
  ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
  bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
  ok=${ok:-0} bad=${bad:-0}
  # A program that died in the middle has no count, or a bad exit code: that is a failure too.
  if [ $code -ne 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  passed=$((passed + ok)) failed=$((failed + bad))
  if [ "$bad" = 0 ]; then
    say "ok    $name: $ok passed"
  else
    failures+=("$name")
    say "FAIL  $name: $ok passed, $bad failed (exit $code)"
    grep -vE '^\[ +(OK|RUN) ' "$log" | tail -n 80
  fi
}

build() {  # build PRESET TARGET...
  local preset=$1
  shift
  check "configure-$preset" cmake --preset "$preset" && check "build-$preset" cmake --build --preset "$preset" -j "$jobs" -- "$@"
}

# Runs the given suites of a preset, as many at a time as there are processors, and prints them in order.
parallel_suites() {
  local preset=$1
  shift
  local out=$logs/parallel-$preset
  rm -rf "$out" && mkdir -p "$out"
  printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c \
    'SALLYPORT_BIN_DIR=$PWD/build/$0 build/$0/tests/{} --gtest_brief=1 > "$1/{}.log" 2>&1; echo $? > "$1/{}.code"' "$preset" "$out"
  local program
  for program in "$@"; do
    local log=$out/$program.log code ok bad
    code=$(cat "$out/$program.code" 2>/dev/null || echo 1)
    ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
    ok=${ok:-0} bad=${bad:-0}
    if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + ok)) failed=$((failed + bad))
    if [ "$bad" = 0 ]; then
      say "ok    $preset $program: $ok passed"
    else
      failures+=("$preset-$program")
      say "FAIL  $preset $program: $ok passed, $bad failed (exit $code)"
      tail -n 80 "$log"
    fi
  done
}

programs() { (cd "build/$1/tests" && find . -maxdepth 1 -type f -perm -u+x -name "$2" -printf '%f\n' | sort); }
