# shellcheck shell=bash disable=SC2034  # sourced: the variables are used elsewhere
#
# The versions of tools, and the programs that apt installs, are listed only here.

golangci_lint=v2.15.0 # includes staticcheck
govulncheck=v1.9.0

# Programs that are not written in Go. A line lists
#   commands, any of which suffices : their Debian packages : who needs them
# The last is a module's directory or one of
#   race     the race detector
#   lint     ci/lint.sh
#   browser  the tests in a browser, which only make test-all runs
#   faults   the tests that kill processes and cut networks, likewise
tools='
gcc,clang:gcc libc6-dev:race
chromium,chromium-browser,google-chrome:chromium:browser
firefox-esr,firefox:firefox-esr:browser
nginx:nginx-light:./internal/e2e
ip:iproute2:faults
nginx:nginx-light:./cmd/sse
haproxy:haproxy:./internal/e2e
caddy:caddy:./internal/e2e
systemd-analyze:systemd:./internal/e2e
haproxy:haproxy:./cmd/sse
lighttpd:lighttpd:./cmd/sse
apache2:apache2-bin:./cmd/sse
zsh:zsh:./cmd/sse
fish:fish:./cmd/sse
redis-server:redis-server:./internal/e2e
redis-server:redis-server:./redislog
postgres,/usr/lib/postgresql/15/bin/postgres,/usr/lib/postgresql/16/bin/postgres,/usr/lib/postgresql/17/bin/postgres:postgresql:./pglog
pgbouncer:pgbouncer:./pglog
postgres,/usr/lib/postgresql/15/bin/postgres,/usr/lib/postgresql/16/bin/postgres,/usr/lib/postgresql/17/bin/postgres:postgresql:./demo
postgres,/usr/lib/postgresql/15/bin/postgres,/usr/lib/postgresql/16/bin/postgres,/usr/lib/postgresql/17/bin/postgres:postgresql:./internal/e2e
redis-server:redis-server:./internal/bench
postgres,/usr/lib/postgresql/15/bin/postgres,/usr/lib/postgresql/16/bin/postgres,/usr/lib/postgresql/17/bin/postgres:postgresql:./internal/bench
shellcheck:shellcheck:lint
'

# The systems that the library must build for, besides this machine's. 386 stands
# for all 32-bit systems.
targets='linux/arm64 linux/386 darwin/arm64 windows/amd64 freebsd/amd64'
