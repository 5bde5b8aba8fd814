package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.org/sse"
	"example.org/sse/internal/clauses"
)

// A recorded is a stream as it is read, and its events as type|data|id.
type recorded struct {
	reads []string
	want  string
}

// The module for browsers decodes streams as the standard says, and as the Decoder does, with
// each kind of line end, and however they are cut into reads.
func TestModuleDecodes(t *testing.T) {
	needPackages(t)
	retry := regexp.MustCompile(`\|[0-9.]+m?s( / |$)`) // which a page does not see
	var all []recorded
	for _, tt := range clauses.All {
		want := retry.ReplaceAllString(tt.Want, "$1")
		for _, end := range []string{"\n", "\r", "\r\n"} {
			in := strings.ReplaceAll(tt.In, "\n", end)
			all = append(all, recorded{[]string{in}, want}, recorded{strings.Split(in, ""), want})
			for i := range in {
				all = append(all, recorded{[]string{in[:i], "", in[i:]}, want})
			}
		}
	}
	words := []string{"data", "event", "id", "retry", ":", ": ", "\n", "\n\n", "\r", "\r\n", "\x00", "\uFEFF", "x", "7", "\xE2", "\x82\xAC", "é"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var reads []string
		for range random.IntN(8) {
			var read strings.Builder
			for range random.IntN(12) {
				read.WriteString(words[random.IntN(len(words))])
			}
			reads = append(reads, read.String())
		}
		all = append(all, recorded{reads, decoded(strings.Join(reads, ""))})
	}
	got := decodeInNode(t, all)
	for i, r := range all {
		if got[i] != r.want {
			t.Errorf("%q: got %q, want %q", r.reads, got[i], r.want)
		}
	}
}

// decoded returns the events of a stream, by the Decoder.
func decoded(stream string) string {
	var events []string
	for e, err := range sse.Events(strings.NewReader(stream)) {
		if err != nil {
			return err.Error()
		}
		events = append(events, e.Type+"|"+e.Data+"|"+e.ID)
	}
	return strings.Join(events, " / ")
}

// decodeInNode returns the events of each stream, by the module.
func decodeInNode(t *testing.T, all []recorded) []string {
	t.Helper()
	var in bytes.Buffer
	for _, r := range all {
		reads := make([][]byte, len(r.reads))
		for i, read := range r.reads {
			reads[i] = []byte(read)
		}
		if err := json.NewEncoder(&in).Encode(reads); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("clients", "decode.mjs"))
	cmd.Stdin, cmd.Stderr = &in, t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var events string
		if err := json.Unmarshal(lines.Bytes(), &events); err != nil {
			t.Fatal(err)
		}
		got = append(got, events)
	}
	if len(got) != len(all) {
		t.Fatalf("got %d streams, want %d", len(got), len(all))
	}
	return got
}
