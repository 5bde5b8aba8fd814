package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// What a command's --help ends with.
var examples = map[string]string{
	"tail": `sse tail --until done https://example.org/events
  sse tail --json localhost:8080/events | jq .data
  sse tail -H "Authorization: Bearer $KEY" --data @prompt.json https://llm.example/v1/chat`,
	"send": `tail -f access.log | sse send :8080
  jq -c '{type: .level, data: .message}' log.json | sse send --json --exit :8080`,
	"bench":  `sse bench -c 1000 -d 30s --time-field sent localhost:8080/events`,
	"doctor": `sse doctor https://example.org/events`,
	"completion": `source <(sse completion -c bash)
  sse completion -c fish | source`,
}

func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	var name string
	if selected := ctx.Selected(); selected != nil {
		name = selected.Name
	}
	example := examples[name]
	if example == "" {
		example = "sse doctor https://example.org/events"
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\nExample:\n  %s\n", example)
	return err
}
