//go:build linux

package logs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.org/sse/internal/bench/logs"
)

// The parts of a run are this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "part" {
		args := append(os.Args[2:], "")
		if err := logs.Play(context.Background(), args[0], args[1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Each engine measures, which it does only if every member has every event, and
// the tables have a figure in each of their cells.
func TestEngines(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, noRedis := exec.LookPath("redis-server")
	for _, e := range logs.Engines {
		t.Run(e.Name, func(t *testing.T) {
			if strings.HasPrefix(e.Name, "redis") && noRedis != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal("there is no redis-server")
				}
				t.Skip("there is no redis-server; with apt: apt-get install redis-server")
			}
			p := logs.Plan{
				Engines: []logs.Engine{e}, Followers: []int{1}, Callers: []int{3}, Rounds: 1, For: 50 * time.Millisecond,
				Self: []string{self, "part"}, Say: func(line string) { t.Log(line) },
			}
			if e.Name == "nats, file" {
				p.Back = []int{50}
			}
			found, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := (&logs.Results{Results: found}).Print(&b); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if strings.HasPrefix(line, "|") && strings.Contains(line, "–") {
					t.Errorf("a cell is empty: %s", line)
				}
			}
			if rows := strings.Count(b.String(), "| "+e.Name+" |"); rows != 4 {
				t.Errorf("there are %d rows of it, of 4:\n%s", rows, b.String())
			}
		})
	}
}
