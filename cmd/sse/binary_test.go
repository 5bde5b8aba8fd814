package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// buildProgram builds the program and returns its path.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sse")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestSignals interrupts the program itself.
func TestSignals(t *testing.T) {
	program := buildProgram(t)
	for _, row := range []struct {
		args string
		code int
		err  string
	}{
		{"tail URL", 130, "sse: interrupted\n"},
		{"doctor --wait 1h URL", 130, "sse: interrupted\n"},
		{"bench -c 1 -d 1h URL", 0, ""},
		{"send 127.0.0.1:0", 0, "serving"},
	} {
		t.Run(row.args, func(t *testing.T) {
			requested := make(chan struct{}, 10)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sendHead(w)
				requested <- struct{}{}
				<-r.Context().Done()
			}))
			defer server.Close()
			defer server.CloseClientConnections()
			var out, stderr lockedBuffer
			cmd := exec.Command(program, strings.Fields(strings.Replace(row.args, "URL", server.URL, 1))...)
			cmd.Stdout, cmd.Stderr = &out, &stderr
			in, err := cmd.StdinPipe() // which stays open
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it has a request, or serves", func() bool {
				return len(requested) > 0 || strings.Contains(stderr.String(), "serving")
			})
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != row.code || !strings.Contains(stderr.String(), row.err) {
				t.Errorf("got exit code %d (%v), out %s, err %s; want exit code %d, err %q", code, cmd.ProcessState, out.String(), stderr.String(), row.code, row.err)
			}
		})
	}
}

// completers return a command that prints how a shell completes a command line.
var completers = map[string]func(line string) *exec.Cmd{
	"bash": func(line string) *exec.Cmd {
		return exec.Command("bash", "--norc", "-c", `
			eval "$(sse completion bash)"
			COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
			COMP_LINE=$1 COMP_POINT=${#1}
			read -ra COMP_WORDS <<<"${1//=/ = }"
			[[ $1 == *' ' ]] && COMP_WORDS+=('')
			COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			spec=$(complete -p sse) && [[ $spec == *"-F _sse sse" ]] && _sse && printf '%s\n' "${COMPREPLY[@]}"`, "-", line)
	},
	"zsh": func(line string) *exec.Cmd { // in a terminal, with a compadd that prints the matches to a file
		return exec.Command("zsh", "-f", "-c", `
			export MATCHES=$(mktemp)
			zmodload zsh/zpty
			zpty z zsh -f -i
			zpty -w z 'autoload -U compinit && compinit -u
				compadd() {
					[[ " ${@[1,(i)(-|--)]}" == *" -"[ADO]* ]] && { builtin compadd "$@"; return }
					local -a matches
					builtin compadd -A matches "$@"
					print -rl -- $matches >>$MATCHES
				}
				comppostfuncs=(exit)
				source <(sse completion zsh)
				print READ""Y'
			zpty -r z text '*READY*'
			zpty -w -n z "$1"$'\t'
			while zpty -r z text; do :; done
			cat $MATCHES
			rm $MATCHES`, "-", line)
	},
	"fish": func(line string) *exec.Cmd {
		return exec.Command("fish", "--no-config", "-c", `sse completion fish | source; complete -C $argv[1] | string replace -r "\t.*" "" | string replace -r "^--[^ ]*=" ""; true`, line)
	},
}

// TestCompletion lets each shell complete command lines with the program's script.
func TestCompletion(t *testing.T) {
	path := filepath.Dir(buildProgram(t)) + ":" + os.Getenv("PATH")
	for shell, command := range completers {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed", shell)
				}
				t.Skipf("%s is not installed", shell)
			}
			home := t.TempDir()
			for _, row := range []struct {
				line string
				want []string
			}{
				{"sse ta", []string{"tail"}},
				{"sse ", []string{"bench", "completion", "doctor", "send", "tail"}},
				{"sse --color always do", []string{"doctor"}},
				{"sse tail --last", []string{"--last-event-id"}},
				{"sse --color always tail --no-re", []string{"--no-reconnect"}},
				{"sse --color a", []string{"always", "auto"}},
				{"sse send --color=n", []string{"never"}},
				{"sse completion ", []string{"bash", "fish", "zsh"}},
				{"sse bench -H X:1 --time-", []string{"--time-field"}},
				{"sse send --type ", nil},
			} {
				cmd := command(row.line)
				cmd.Env = append(os.Environ(), "PATH="+path, "HOME="+home, "ZDOTDIR="+home, "TERM=dumb")
				out, err := cmd.Output()
				got := strings.Fields(string(out))
				slices.Sort(got)
				if err != nil || !slices.Equal(got, row.want) {
					t.Errorf("%q: got %q, %v; want %q", row.line, got, err, row.want)
				}
			}
		})
	}
}
