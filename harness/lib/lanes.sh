# shellcheck shell=bash  # sourced by harness/run
# Lanes: one "bazel test" per configuration, each recorded for summary.py.

LANES=(plain clang-asan clang-tsan rdma)
ALL_LANES=(plain clang-asan clang-tsan asan tsan rdma rdma-asan)
LANES_RUN=()
RECORDS=$(mktemp -d)
trap 'rm -rf "$RECORDS"' EXIT

# run_lane NAME [OPTIONS] TARGETS: "plain" is no configuration. Never fails: summary.py judges.
run_lane() {
  local lane=$1 options=() status=0
  shift
  [ "$lane" = plain ] || options+=("--config=$lane")
  # What gcc warns of when a sanitizer's code is in between is often not there: warnings are errors without one only.
  [ "${CI-}" != true ] || [ "$lane" != plain ] || options+=(--config=ci)
  echo "=== lane $lane"
  LANES_RUN+=("$lane")
  bazel test "${options[@]}" --jobs=2 --local_test_jobs=2 --keep_going --curses=no --color=no \
    --show_progress_rate_limit=10 --build_event_json_file="$RECORDS/$lane.json" "$@" </dev/null || status=$?
  echo "$status" >"$RECORDS/$lane.status"
}

# run_rdma_lane LANE [OPTIONS]: the tests that need an RDMA device, here if there is one, else in the guest; the lane
# rdma-docker in a container there. summary.py reads their results.
run_rdma_lane() {
  local lane=$1 results=$RECORDS/$1 programs=() targets=() target bin
  local on_device=(harness/guest/lane) in_guest=(--veth harness/guest/lane)
  shift
  echo "=== lane $lane"
  LANES_RUN+=("$lane")
  mkdir "$results"
  [ "${CI-}" != true ] || [ "$lane" = rdma-asan ] || set -- --config=ci "$@"  # what the plain lane has built
  mapfile -t targets < <(bazel query 'attr(tags, "\brdma\b", tests(//harness/...))' </dev/null 2>/dev/null)
  if ! bazel build --jobs=2 --curses=no --color=no "$@" "${targets[@]}" </dev/null; then
    echo "the rdma tests do not build" >"$results/failed"
    return
  fi
  if [ "$lane" = rdma-docker ]; then
    if ! docker version >/dev/null; then
      echo "no Docker daemon answers" >"$results/skipped"
      return
    elif ! docker/run image rdma || ! docker save -o "$results/image.tar" ringchan-rdma; then
      echo "the image is not built" >"$results/failed"
      return
    fi
    on_device=(docker/run rdma) in_guest=(docker/guest "$results/image.tar")
  fi
  bin=$(readlink -f bazel-bin)
  for target in "${targets[@]}"; do
    target=${target#//}
    programs+=("$bin/${target/://}")
    : >"$results/${target##*:}.log"  # one without a status counts as failed
  done
  if compgen -G '/sys/class/infiniband/*' >/dev/null; then
    "${on_device[@]}" "$results" "${programs[@]}" || true
    return
  fi
  if ! need "${GUEST_PACKAGES[@]}"; then
    echo "no RDMA device here, and what a guest needs could not be installed" >"$results/skipped"
  elif ! command -v qemu-system-x86_64 >/dev/null; then
    echo "no RDMA device here, and no qemu-system-x86 for a guest that has one" >"$results/skipped"
  elif ! harness/guest/kernel >/dev/null; then
    echo "no RDMA device here, and no kernel for a guest that has one" >"$results/skipped"
  else
    harness/guest/run --time-limit "${RC_GUEST_TIME_LIMIT_S:-2400}" --share "$results" --env GTEST_FILTER \
      --env RC_LONG --env RC_LANE_TIMEOUT_S "${in_guest[@]}" "$results" "${programs[@]}" || true
  fi
}

summarise() {
  python3 harness/lib/summary.py "$RECORDS" "${LANES_RUN[@]}"
}

test_lanes() {
  local lanes=("${LANES[@]}") lane brief=
  case ${1-} in
    '') brief=yes ;;
    --quick) lanes=(plain) ;;
    --all) lanes=("${ALL_LANES[@]}") ;;
    --config) : "${2:?--config wants a name}"; lanes=("${@:2}") ;;
    *) usage >&2; exit 2 ;;
  esac
  for lane in "${lanes[@]}"; do
    case $lane in
      rdma)
        if [ -n "$brief" ]; then
          GTEST_FILTER=$(grep -v '^#' harness/lib/rdma_brief.txt | paste -sd:)
          export GTEST_FILTER
        fi
        run_rdma_lane rdma
        unset GTEST_FILTER
        ;;
      rdma-docker) run_rdma_lane rdma-docker ;;
      rdma-asan)  # three times as long, in an emulated guest
        RC_LANE_TIMEOUT_S=${RC_LANE_TIMEOUT_S:-2400} RC_GUEST_TIME_LIMIT_S=${RC_GUEST_TIME_LIMIT_S:-7200} \
          run_rdma_lane rdma-asan --config=asan
        ;;
      plain) run_lane plain //... ;;
      *) run_lane "$lane" ${brief:+"--config=brief-$lane"} //... ;;
    esac
  done
  summarise
}
