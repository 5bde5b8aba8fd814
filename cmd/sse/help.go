package main

import (
	"cmp"
	"fmt"

	"github.com/alecthomas/kong"
)

// helpOfRequests ends the Help of each command that requests a stream.
const helpOfRequests = `

Proxies are those of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. A time without a unit is in seconds.`

// The examples that end each command's --help.
var examples = map[string]string{
	"tail": `sse tail --until done https://example.org/events
  sse tail --json localhost:8080/events | jq "select(.type).data"
  sse tail -H "Authorization: Bearer $KEY" --data @prompt.json \
    https://llm.example/v1/chat`,
	"send": `tail -f access.log | sse send :8080
  jq -c '{type: .level, data: .message}' log.json | sse send --json --exit :8080`,
	"bench": `sse bench -c 1000 -d 30s --time-field sent localhost:8080/events
  sse bench -c 4 -d 1m --data @prompt.json https://llm.example/v1/chat`,
	"doctor": `sse doctor https://example.org/events
  sse doctor -v -k --unix-socket /run/app.sock https://localhost/events`,
	"completion": `eval "$(sse completion bash)"
  sse completion zsh > "${fpath[1]}/_sse"
  sse completion fish > ~/.config/fish/completions/sse.fish`,
}

func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	var name string
	if selected := ctx.Selected(); selected != nil {
		name = selected.Name
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\nExample:\n  %s\n", cmp.Or(examples[name], "sse tail https://example.org/events"))
	return err
}
