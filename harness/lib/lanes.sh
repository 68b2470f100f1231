# shellcheck shell=bash  # sourced by harness/run
# Lanes: one "bazel test" per configuration, each recorded for summary.py.

LANES=(plain asan clang-tsan)
ALL_LANES=(plain asan tsan clang-asan clang-tsan)
LANES_RUN=()
RECORDS=$(mktemp -d)
trap 'rm -rf "$RECORDS"' EXIT

# run_lane NAME [OPTIONS] TARGETS: "plain" is no configuration. Never fails: summary.py judges.
run_lane() {
  local lane=$1 options=() status=0
  shift
  [ "$lane" = plain ] || options+=("--config=$lane")
  [ "${CI-}" != true ] || options+=(--config=ci)
  echo "=== lane $lane"
  LANES_RUN+=("$lane")
  bazel test "${options[@]}" --jobs=2 --local_test_jobs=2 --keep_going --curses=no --color=no \
    --show_progress_rate_limit=10 --build_event_json_file="$RECORDS/$lane.json" "$@" </dev/null || status=$?
  echo "$status" >"$RECORDS/$lane.status"
}

summarise() {
  python3 harness/lib/summary.py "$RECORDS" "${LANES_RUN[@]}"
}

test_lanes() {
  local lanes=("${LANES[@]}") lane
  case ${1-} in
    '') ;;
    --quick) lanes=(plain) ;;
    --all) lanes=("${ALL_LANES[@]}") ;;
    --config) lanes=("${2:?--config wants a name}") ;;
    *) usage >&2; exit 2 ;;
  esac
  for lane in "${lanes[@]}"; do
    run_lane "$lane" //...
  done
  summarise
}
