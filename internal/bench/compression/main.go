//go:build linux

// Command compression measures what it costs to send compressed pages to many clients:
// with this package, which compresses a page once for all, and with datastar-go, which
// has a compressor for each stream.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"example.org/sse/internal/bench/process"
)

func main() {
	process.Play(map[string]any{"server": new(Server)})
	p := Plan{Sizes: []int{20000, 59000}, Rounds: 3, Pages: 10}
	flag.IntVar(&p.Streams, "streams", 100, "how many streams get the pages")
	flag.BoolVar(&p.Rivals, "rivals", true, "measure datastar-go, whose streams need megabytes")
	flag.BoolFunc("full", "measure for longer", func(string) error {
		p.Rounds, p.Pages = 9, 20
		return nil
	})
	flag.Func("sizes", "bytes of a page (default 20000,59000)", func(list string) error {
		p.Sizes = nil
		for text := range strings.SplitSeq(list, ",") {
			size, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			p.Sizes = append(p.Sizes, size)
		}
		return nil
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := p.Run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
