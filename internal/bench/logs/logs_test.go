//go:build linux

package logs_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.org/sse/internal/bench/logs"
	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/postgres"
)

// The nodes and brokers are this program again.
func TestMain(m *testing.M) {
	process.Play(map[string]any{"node": new(logs.Node), "nats": new(logs.NATS)})
	os.Exit(m.Run())
}

// Each engine is measured, which fails unless every member has every event, and each
// cell of the tables has a figure.
func TestEngines(t *testing.T) {
	_, noRedis := exec.LookPath("redis-server")
	noPostgres := new(postgres.Server).Tool(t.Context(), "postgres", "--version")
	for _, e := range logs.Engines {
		t.Run(e.Name, func(t *testing.T) {
			if strings.HasPrefix(e.Name, "redis") && noRedis != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal("there is no redis-server")
				}
				t.Skip("there is no redis-server; with apt: apt-get install redis-server")
			}
			if strings.HasPrefix(e.Name, "postgres") && noPostgres != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(noPostgres)
				}
				t.Skip(noPostgres)
			}
			p := logs.Plan{
				Engines: []logs.Engine{e}, Hubs: []int{2, 1}, Callers: []int{3}, Rounds: 1, For: 50 * time.Millisecond,
			}
			if e.Name == "nats, file" {
				p.Clients = []int{50}
			}
			results := &report.Results{Kind: "logs", Rows: p.Rows()}
			if err := p.Run(t.Context(), func(r report.Result) { results.Results = append(results.Results, r) }); err != nil {
				t.Fatal(err)
			}
			text, err := results.Text("", "")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "|") && strings.Contains(line, "–") {
					t.Errorf("got an empty cell: %s", line)
				}
			}
			if rows := strings.Count(text, "| "+e.Name+" |"); rows != 4 {
				t.Errorf("got %d rows, want 4:\n%s", rows, text)
			}
			if p.Clients != nil && !strings.Contains(text, "| 50 clients |") {
				t.Errorf("got no row of the clients:\n%s", text)
			}
		})
	}
}
