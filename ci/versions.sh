# shellcheck shell=bash disable=SC2034  # sourced: the variables are used elsewhere
#
# What is pinned, and what is installed: here and nowhere else.

golangci_lint=v2.15.0 # staticcheck is part of it

# Programs that are not Go's. A line is
#   the commands, any of which will do : its Debian packages : who needs it
# where who is a module's directory, "race" (the race detector) or "lint".
tools='
gcc,clang:gcc libc6-dev:race
chromium,chromium-browser,google-chrome:chromium:./internal/e2e
nginx:nginx-light:./internal/e2e
ip:iproute2:./internal/e2e
nginx:nginx-light:./cmd/sse
haproxy:haproxy:./internal/e2e
haproxy:haproxy:./cmd/sse
zsh:zsh:./cmd/sse
fish:fish:./cmd/sse
redis-server:redis-server:./internal/e2e
redis-server:redis-server:./redislog
redis-server:redis-server:./internal/bench
shellcheck:shellcheck:lint
'

# Where the library must build, besides the machine at hand. 386 stands for all
# 32-bit ones.
targets='linux/arm64 linux/386 darwin/arm64 windows/amd64 freebsd/amd64'
