#!/bin/sh
# Prepares a host of the lab: Go, make, Python for servers and clients of your own, and
# tcptrace in /usr/local/bin. It may run again.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends golang-go make python3 ca-certificates

# The Go command fetches by itself the version that go.mod asks for.
cd /vagrant
GOTOOLCHAIN=auto make build
install -m 0755 tcptrace /usr/local/bin/tcptrace
tcptrace version
