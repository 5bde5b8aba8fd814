package main

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// serve starts sse send and returns its origin.
func serve(t *testing.T, in io.Reader, args ...string) (p *process, origin string) {
	t.Helper()
	p = start(t, in, append([]string{"send", "127.0.0.1:0"}, args...)...)
	eventually(t, "the server is ready", func() bool {
		m := regexp.MustCompile(`serving (http://127.0.0.1:\d+)/events`).FindStringSubmatch(p.err.String())
		if m != nil {
			origin = m[1]
		}
		return m != nil
	})
	return p, origin
}

// TestSend checks that clients receive the lines, and that a later client
// receives the last of them.
func TestSend(t *testing.T) {
	for _, row := range []struct {
		args, in string
		count    string // of events that are read
		out      string
	}{
		{"", "a\n\nb\r\nc", "4", "data: a\n|data: \n|data: b\n|data: c\n"},
		{"--type log", "a\nb\n", "2", "event: log\ndata: a\n|event: log\ndata: b\n"},
		{"--history 1", "a\nb\nc\n", "1", "data: c\n"},
		{"--json", `{"data":"a\nb"}` + "\n\n" + `{"type":"t","id":"i","data":{"n": [1]},"retry":1500}`, "2", "data: a\ndata: b\n|id: i\nevent: t\nretry: 1500\ndata: {\"n\": [1]}\n"},
		{"--json --type u", "{}\n" + `{"type":"t"}`, "2", "event: u\ndata: \n|event: t\ndata: \n"},
	} {
		t.Run(row.args, func(t *testing.T) {
			p, origin := serve(t, strings.NewReader(row.in), strings.Fields(row.args)...)
			eventually(t, "the end of the input", func() bool { return strings.Contains(p.err.String(), "end of input") })
			got := command(t, "", "tail", "--raw", "-n", row.count, "--timeout", "2m", origin+"/events")
			raw := regexp.MustCompile(`(?m)^(id: \w+-\w+\n|:\n)`).ReplaceAllString(got.out.String(), "")
			if got := strings.TrimSuffix(strings.ReplaceAll(raw, "\n\n", "\n|"), "|"); got != row.out {
				t.Errorf("got %q, want %q", got, row.out)
			}
			got.check(t, 0, "", "=")
			p.interrupt()
			p.wait(t)
			p.check(t, 0, "=", "end of input")
		})
	}
}

// TestSendLive checks that a client that reconnects misses no line.
func TestSendLive(t *testing.T) {
	in, lines := io.Pipe()
	p, origin := serve(t, in, "--wait", "2", "--exit")
	one := start(t, nil, "tail", "--raw", "--no-reconnect", origin+"/events")
	two := start(t, nil, "tail", "--raw", "-n", "1", origin+"/events")
	io.WriteString(lines, "first\nsecond\n")
	two.wait(t)
	two.check(t, 0, "data: first\n\n", "=")
	id := regexp.MustCompile(`id: (\S+)`).FindStringSubmatch(two.out.String())
	if id == nil {
		t.Fatalf("no id: %q", two.out.String())
	}
	again := command(t, "", "tail", "--raw", "-n", "1", "--timeout", "2m", "--last-event-id", id[1], origin+"/events")
	again.check(t, 0, "data: second\n\n", "=")
	unknown := command(t, "", "tail", "--raw", "-n", "1", "--timeout", "2m", "--last-event-id", "another-1", origin+"/events")
	unknown.check(t, 0, "data: first\n\n", "=")
	io.WriteString(lines, "last\n")
	lines.Close()
	p.wait(t)
	p.check(t, 0, "=", "serving")
	one.wait(t)
	one.check(t, 0, "data: last\n\n", "=")
}

func TestSendOverHTTP(t *testing.T) {
	_, origin := serve(t, strings.NewReader("a\n"), "--cors", "*")
	for _, row := range []struct{ method, path, status, header, value, body string }{
		{"GET", "/", "200 OK", "Content-Type", "text/html; charset=utf-8", `new EventSource("shown")`},
		{"HEAD", "/events", "200 OK", "Access-Control-Allow-Origin", "*", ""},
		{"OPTIONS", "/events", "204 No Content", "Access-Control-Allow-Headers", "Cache-Control, Last-Event-ID", ""},
		{"GET", "/nowhere", "404 Not Found", "Content-Type", "text/plain; charset=utf-8", "404"},
	} {
		r, _ := http.NewRequest(row.method, origin+row.path, nil)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.Status != row.status || response.Header.Get(row.header) != row.value || !strings.Contains(string(body), row.body) {
			t.Errorf("%v: %s, %v, %s", row, response.Status, response.Header, body)
		}
	}
	shown := command(t, "", "tail", "--json", "-n", "1", "--timeout", "2m", origin+"/shown")
	shown.check(t, 0, `{\"data\":\"a\",\"id\":`, "=")
}

func TestSendFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, row := range []struct {
		name, args, in string
		code           int
		err            string
	}{
		{"end", "--exit 127.0.0.1:0", "a\n", 0, "serving"},
		{"not JSON", "--json 127.0.0.1:0", "{}\nhello\n", 1, "line 2: not a JSON object"},
		{"bad type", "--json 127.0.0.1:0", `{"type":"a\nb"}`, 1, "line 1: invalid event: Type"},
		{"bad flag", "--type \x01 127.0.0.1:0", "", 2, "--type: invalid event: Type"},
		{"long", "127.0.0.1:0", strings.Repeat("x", maxLine+1), 1, "line 1 is longer than 16 MiB"},
		{"taken", l.Addr().String(), "", 1, "choose another port"},
	} {
		t.Run(row.name, func(t *testing.T) {
			command(t, row.in, append([]string{"send"}, strings.Split(row.args, " ")...)...).check(t, row.code, "=", row.err)
		})
	}
}
