package main

import (
	"cmp"
	"fmt"

	"github.com/alecthomas/kong"
)

// The examples that end each command's --help.
var examples = map[string]string{
	"tail": `sse tail --until done https://example.org/events
  sse tail --json localhost:8080/events | jq "select(.type).data"
  sse tail -H "Authorization: Bearer $KEY" --data @prompt.json https://llm.example/v1/chat`,
	"send": `tail -f access.log | sse send :8080
  jq -c '{type: .level, data: .message}' log.json | sse send --json --exit :8080`,
	"bench":  `sse bench -c 1000 -d 30s --time-field sent localhost:8080/events`,
	"doctor": `sse doctor https://example.org/events`,
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
	_, err := fmt.Fprintf(ctx.Stdout, "\nExample:\n  %s\n", cmp.Or(examples[name], examples["doctor"]))
	return err
}
