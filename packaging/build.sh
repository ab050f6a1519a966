#!/usr/bin/env bash
# Makes what a release consists of, into dist/: the static binaries of both
# architectures, a deb and an rpm package of each, the licences of all that is in them,
# and the checksums. The same commit gives the same bytes, with the same Go.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export CGO_ENABLED=0
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
STAGE=$(mktemp -d)
export STAGE
trap 'rm -rf "$STAGE"' EXIT
rm -rf dist
mkdir dist

# A binary has to come with the licence of each module in it, of libbpf, and of Go.
licences() {
    cat LICENSE
    GOOS=linux go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' ./cmd/tcptrace | sort -u |
        while read -r module dir; do
            printf '\n%s is part of the binary, under this licence:\n\n' "$module"
            cat "$dir"/L[Ii][Cc][Ee][Nn][Ss][Ee]*
        done
    printf '\nHeaders of libbpf are compiled into the BPF programs, under this licence:\n\n'
    cat headers/bpf/LICENSE.BSD-2-Clause
    printf '\nThe Go library is part of the binary, under the licence of golang.org/x/sys.\n'
}
licences >dist/LICENSES.txt

for page in tcptrace.1 tcptrace-capture.5; do
    gzip -9nc packaging/$page >"$STAGE/$page.gz"
done
go build -trimpath -o "$STAGE/tcptrace" ./cmd/tcptrace
for shell in bash zsh fish; do
    "$STAGE/tcptrace" completion $shell >"$STAGE/$shell"
done

for ARCH in amd64 arm64; do
    BINARY=dist/tcptrace-linux-$ARCH
    GOOS=linux GOARCH=$ARCH go build -trimpath -buildvcs=true -o $BINARY ./cmd/tcptrace
    VERSION=$(go version -m $BINARY | awk '$1 == "mod" {print $3}')
    [[ $VERSION == v* ]] || VERSION=v0.0.0-devel # Go found no git repository to take it from
    export ARCH BINARY VERSION
    for format in deb rpm; do
        go tool -modfile=packaging/go.mod nfpm package -f packaging/nfpm.yaml -p $format -t dist/ >/dev/null
    done
done

cd dist
sha256sum -- * >"$STAGE/SHA256SUMS"
mv "$STAGE/SHA256SUMS" .
du -h --apparent-size -- *
