package coding_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tests that decode what streams are sent find a rule that is wrong: without this
// they would prove little, since no client does.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles")
	}
	rule, err := os.ReadFile("state.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs("state.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, mutant string }{
		{"none", "", ""},
		{"a direct event does not end the run", "	s.fold()\n	s.run = nil\n", ""},
		{"a gap does not count", " || s.to != p.start", ""},
	} {
		for _, tests := range []struct{ dir, run string }{
			{".", "^TestProperty$"},
			{"../..", "^TestCompressed$"},
			{"../..", "^TestCompressedSockets$"},
			{"../../zstd", "^TestProperty$"},
			{"../../zstd", "^TestCompressed$"},
			{"../../zstd", "^TestCompressedSockets$"},
		} {
			t.Run(fmt.Sprintf("%s, %s in %s", tt.name, tests.run, tests.dir), func(t *testing.T) {
				if strings.Count(string(rule), tt.old) != 1 && tt.old != "" {
					t.Fatalf("state.go has %q not once", tt.old)
				}
				dir := t.TempDir()
				mutant, overlay := filepath.Join(dir, "state.go"), filepath.Join(dir, "overlay.json")
				replaced, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutant}})
				if err != nil {
					t.Fatal(err)
				}
				os.WriteFile(mutant, []byte(strings.Replace(string(rule), tt.old, tt.mutant, 1)), 0o600)
				os.WriteFile(overlay, replaced, 0o600)
				cmd := exec.CommandContext(t.Context(), "go", "test", "-short", "-timeout=5m", "-overlay="+overlay, "-run", tests.run, ".")
				cmd.Dir, cmd.Env = tests.dir, append(os.Environ(), "GOWORK=off")
				out, err := cmd.CombinedOutput()
				if found := err != nil; found != (tt.old != "") || !strings.Contains(string(out), "example.org/sse") {
					t.Errorf("error %v, want one if there is a mutant; the output is\n%s", err, out)
				}
			})
		}
	}
}
