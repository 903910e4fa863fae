#!/usr/bin/env bash
# Sets up what is missing, builds with warnings as errors, and runs all tests. The last line is 'N passed, N failed, N skipped'.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
export LC_ALL=C NO_COLOR=1 TERM=dumb DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_CLI_UI_LANGUAGE=en MSBUILDTERMINALLOGGER=off
# Hundreds of processes that live for seconds: a fifth of their time is what the runtime does for those that live long.
export DOTNET_TieredPGO=0 DOTNET_EnableWriteXorExecute=0
readonly RESULTS=$PWD/artifacts/test-results
passed=0 failed=0 skipped=0 step="start"
declare -A beside=()

finish() {
    local code=$?
    local id
    for id in "${beside[@]}"; do
        kill "$id" 2>/dev/null || true
    done
    if ((code != 0 && failed == 0)); then
        echo "failed: $step"
        failed=1
    fi
    echo
    echo "$passed passed, $failed failed, $skipped skipped"
    exit $((failed > 0))
}
trap finish EXIT
trap 'exit 130' INT TERM

begin() {
    step=$1
    echo
    echo "== $step (after ${SECONDS} s)"
}

# --- What is needed -------------------------------------------------------------------------------------------------------------------

find_mosquitto() {
    command -v mosquitto >/dev/null || [[ -x /usr/sbin/mosquitto || -x artifacts/mosquitto/usr/sbin/mosquitto ]]
}

find_chromium() {
    [[ -n ${TRIBUTARY_CHROMIUM:-} ]] && return 0
    local name
    for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

# The broker that the agent subscribes to in tests. It is only unpacked: installing it would start a service.
unpack_mosquitto() {
    find_mosquitto && return 0
    mkdir -p artifacts/mosquitto
    (
        cd artifacts/mosquitto
        apt-get download -qq mosquitto 2>/dev/null || { ((EUID == 0)) && apt-get update -qq && apt-get download -qq mosquitto; }
        dpkg-deb -x mosquitto_*.deb .
    )
}

# Clients to test with and what installs the rest of them, a linker and zlib for the native agent, strace to see when a flush returns.
# None of them starts a service.
install_packages() {
    local missing=() root=()
    command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
    command -v kcat >/dev/null || missing+=(kcat)
    command -v curl >/dev/null || missing+=(curl)
    command -v clang >/dev/null || missing+=(clang)
    command -v strace >/dev/null || missing+=(strace)
    command -v npm >/dev/null || missing+=(npm)
    # Without a font a browser shows nothing.
    find_chromium || missing+=(chromium-headless-shell fonts-dejavu-core)
    /usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing+=(python3-paho-mqtt)
    [[ -e /usr/include/zlib.h ]] || missing+=(zlib1g-dev)
    if ! find_mosquitto; then
        compgen -G '/usr/lib/*/libdlt.so.2' >/dev/null || missing+=(libdlt2)
        compgen -G '/usr/lib/*/libwrap.so.0' >/dev/null || missing+=(libwrap0)
    fi
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        echo "not found: ${missing[*]} (names as in Debian), and there is no apt-get to install them"
        return 1
    fi
    if ((EUID != 0)); then
        if ! sudo -n true 2>/dev/null; then
            echo "not found: ${missing[*]}; as this is not root: sudo apt-get install ${missing[*]}"
            return 1
        fi
        root=(sudo -n)
    fi
    echo "installing ${missing[*]}"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

begin "packages"
install_packages
unpack_mosquitto
if ! command -v dotnet >/dev/null; then
    echo "the .NET 10 SDK is missing: there is no 'dotnet' on the PATH"
    exit 1
fi

begin "Kafka clients of Node.js, as their lock file says"
install_node_clients() {
    local clients=tests/Tributary.Conformance/Clients/Node
    # Node.js itself is among them: one of the clients wants a newer one than systems have.
    cmp -s "$clients/package-lock.json" "$clients/node_modules/.lock" && return 0
    npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$clients/package-lock.json" "$clients/node_modules/.lock"
}
install_node_clients

# --- Build ----------------------------------------------------------------------------------------------------------------------------

begin "restore, as the lock files say"
dotnet restore Iot.sln --locked-mode -v quiet -nodeReuse:false

begin "build, warnings as errors"
dotnet build Iot.sln -c Release --no-restore -v quiet -warnaserror -nodeReuse:false

# Here and not by the demo's test, which runs beside others: those start the programs that this writes.
DATA_DIR=artifacts/demo ./demo.sh build

case $(uname -m) in
    x86_64) rid=linux-x64 ;;
    aarch64) rid=linux-arm64 ;;
    *) echo "the native agent is built for x86_64 and aarch64, not for $(uname -m)"; exit 1 ;;
esac
mkdir -p "$RESULTS"

# start NAME COMMAND...: runs it beside what follows; what it says goes to a file.
start() {
    local name=$1
    "${@:2}" >"$RESULTS/$name.log" 2>&1 </dev/null &
    beside[$name]=$!
}

# ended NAME: waits for its end and shows what it said. Fails if it did.
ended() {
    local code=0
    wait "${beside[$1]}" || code=$?
    unset "beside[$1]"
    cat "$RESULTS/$1.log"
    return "$code"
}

# The build has checked most of .editorconfig: white space and the order of usings are left. (The generator that the sources need is the one
# of this build, hence its configuration.)
start format env Configuration=Release dotnet format whitespace Iot.sln --no-restore --verify-no-changes
start usings env Configuration=Release dotnet format style Iot.sln --no-restore --verify-no-changes --diagnostics IMPORTS
start publish dotnet publish edge/Tributary.Edge -c Release -r "$rid" --no-restore -v quiet -warnaserror -nodeReuse:false -o artifacts/native

# --- Tests ----------------------------------------------------------------------------------------------------------------------------

# run PROJECT: runs its tests and counts. A run that does not get to its summary counts as one failure.
run() {
    local project=$1 code=0 total errors bad skip idle
    local log=$RESULTS/$project.log
    begin "$project"
    dotnet exec "tests/$project/bin/Release/net10.0/$project.dll" -noColor -trx "$RESULTS/$project.trx" </dev/null 2>&1 | tee "$log" || code=$?
    local summary="s/^ *$project  *Total: \([0-9]*\), Errors: \([0-9]*\), Failed: \([0-9]*\), Skipped: \([0-9]*\), Not Run: \([0-9]*\).*/\1 \2 \3 \4 \5/p"
    read -r total errors bad skip idle <<<"$(sed -n "$summary" "$log" | tail -n 1)" || true
    if [[ -z ${total:-} || $total == 0 ]]; then
        echo "$project did not run to its end (exit code $code)"
        failed=$((failed + 1))
        return 0
    fi
    if ((code != 0 && bad + errors == 0)); then
        errors=1
    fi
    passed=$((passed + total - bad - skip - idle))
    failed=$((failed + bad + errors))
    skipped=$((skipped + skip + idle))
}

run Tributary.Tests

begin "the format, and the native agent for $rid, which these tests did not need"
for check in format usings; do
    if ! ended "$check"; then
        echo "the format is not what .editorconfig says: 'dotnet format Iot.sln' mends it"
        failed=$((failed + 1)) # counts as a failed test; the tests say more
    fi
done
ended publish
export TRIBUTARY_EDGE_NATIVE=$PWD/artifacts/native/tributary-edge
run Tributary.Conformance
