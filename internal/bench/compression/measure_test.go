//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"example.org/sse/internal/bench/process"
)

func TestMain(m *testing.M) {
	process.Play(map[string]any{"server": new(Server)})
	os.Exit(m.Run())
}

func TestTable(t *testing.T) {
	p := Plan{Streams: 3, Sizes: []int{1000}, Rounds: 1, Pages: 2, Rivals: true}
	var table strings.Builder
	if err := p.Run(t.Context(), &table); err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		if !strings.Contains(table.String(), "| "+s.name+" | ") {
			t.Errorf("there is no row of %s in\n%s", s.name, table.String())
		}
	}
}
