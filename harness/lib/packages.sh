# shellcheck shell=bash disable=SC2034  # sourced by harness/run, which uses the lists
# Debian packages, and how a missing one gets here.

DEMO_PACKAGES=(bazel-bootstrap g++)
TOOL_PACKAGES=("${DEMO_PACKAGES[@]}" libcli11-dev libfmt-dev nlohmann-json3-dev)
TEST_PACKAGES=(
  "${TOOL_PACKAGES[@]}" gcc clang libclang-rt-14-dev llvm-14 libgtest-dev libgmock-dev
  librapidcheck-dev relacy-dev libboost-dev libibverbs-dev librdmacm-dev pkg-config python3 strace
  spin shellcheck abigail-tools clang-format clang-tidy iproute2
)
MESH_PACKAGES=(libpmix-dev pkg-config)
PLOT_PACKAGES=(gnuplot-nox)
# What a built program needs for RDMA, and what shows the devices.
RDMA_PACKAGES=(iproute2 ibverbs-providers ibverbs-utils librdmacm1)
GUEST_PACKAGES=(qemu-system-x86 busybox-static kmod xz-utils python3 rdma-core rdmacm-utils "${RDMA_PACKAGES[@]}")
SIW_PACKAGES=(make gcc-12)  # with which Debian builds its kernel's modules
# What the demo and the bench over RDMA are measured beside.
BESIDE_RDMA_PACKAGES=(perftest rdmacm-utils)
DOCKER_PACKAGES=(docker.io)
PEER_PACKAGES=(libdpdk-dev ucx-utils libzmq3-dev)

# need PACKAGE...: installs those that are missing, in one call of apt-get.
need() {
  local missing=() sudo=() package
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    command -v bazel >/dev/null && [ "${RC_INSTALL-}" = no ] && return
    echo "harness/run installs packages on Debian and Ubuntu only. Install what these Debian packages hold:" >&2
    echo "  $*" >&2
    echo "then run again with RC_INSTALL=no." >&2
    exit 1
  fi
  for package; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "${RC_INSTALL-}" = no ]; then
    echo "not installed (RC_INSTALL=no): ${missing[*]}" >&2
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
    command -v sudo >/dev/null || { echo "neither root nor sudo; as root: apt-get install ${missing[*]}" >&2; exit 1; }
  fi
  echo "installing: ${missing[*]}"
  # The package lists may be absent or old: fetch them if the first try fails.
  set -- "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get
  "$@" install -y --no-install-recommends "${missing[@]}" </dev/null || {
    "$@" update </dev/null
    "$@" install -y --no-install-recommends "${missing[@]}" </dev/null
  }
}
