//go:build linux

package logs

import (
	"context"
	"io"

	"example.org/sse/internal/bench/client"
)

// playClients are all clients of a server, which come back to it.
func playClients(ctx context.Context, _ string, in io.Reader, out io.Writer) error {
	return serve(in, out, map[string]func(order) (reply, error){
		"back": func(o order) (reply, error) {
			took, err := client.Return(ctx, o.Addrs, o.Count, o.ID, o.Until)
			return reply{All: took}, err
		},
	})
}
