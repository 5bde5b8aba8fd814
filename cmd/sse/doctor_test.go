package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"
)

// examine runs sse doctor and returns its findings.
func examine(t *testing.T, url, wait string) (findings map[string]finding, code int) {
	t.Helper()
	p := command(t, "", "doctor", "--json", "--wait", wait, url)
	var d diagnosis
	if err := json.Unmarshal([]byte(p.out.String()), &d); err != nil {
		t.Errorf("%v\nout: %s\nerr: %s", err, p.out.String(), p.err.String())
	}
	findings = make(map[string]finding)
	for _, f := range d.Findings {
		findings[f.Check] = f
	}
	if d.OK != (p.code == 0) || p.err.String() != "" {
		t.Errorf("ok %v, exit code %d, err %s", d.OK, p.code, p.err.String())
	}
	return findings, p.code
}

// has compares a finding. Its observation or its advice must contain text.
func has(t *testing.T, findings map[string]finding, check string, l level, text string) {
	t.Helper()
	f := findings[check]
	if f.Level != l || !strings.Contains(f.Seen, text) && !strings.Contains(f.Fix, text) {
		t.Errorf("%s: got %s %q, %q; want %s %q", check, f.Level, f.Seen, f.Fix, l, text)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	rows := []struct {
		path, check string
		level       level
		text        string
	}{
		{"/set", "answer", fine, "200 OK, text/event-stream"},
		{"/set", "protocol", minor, "six connections"},
		{"/set", "delivery", fine, "at once"},
		{"/set", "compression", fine, "none"},
		{"/set", "caching", fine, "no-cache, no-transform"},
		{"/set", "buffering", fine, "X-Accel-Buffering: no"},
		{"/set", "keep-alive", fine, "not needed"},
		{"/set", "retry", fine, "not set"},
		{"/set", "resume", fine, "continues after that event"},
		{"/set", "HEAD", fine, "200 OK"},
		{"/set", "OPTIONS", fine, "204 No Content"},
		{"/ticks", "answer", fine, "200 OK"},
		{"/ticks", "caching", minor, "no-cache, no-transform"},
		{"/ticks", "buffering", minor, "X-Accel-Buffering: no"},
		{"/ticks", "resume", minor, `"1" is sent again`},
		{"/ticks", "OPTIONS", minor, "Answer 204"},
		{"/ticks?for=300ms", "end", minor, "ended the stream"},
		{"/next", "resume", fine, "nothing is sent twice"},
		{"/next", "retry", minor, "retry: 100"},
		{"/retry0", "retry", broken, "hundreds of times a second"},
		{"/echo", "resume", minor, "no id"},
		{"/silent", "delivery", minor, "no byte"},
		{"/silent", "keep-alive", fine, "too short to judge"},
		{"/silent", "resume", fine, "no event arrived"},
		{"/quiet", "keep-alive", fine, "a comment after"},
		{"/quiet", "delivery", fine, "0 events"},
		{"/gzip", "compression", fine, "gzip, which saves"},
		{"/compressed", "compression", fine, "gzip, which saves"},
		{"/compressed", "compression", fine, "; no zstd"},
		{"/zstd", "compression", minor, "zstd, which saves"},
		{"/zstd", "compression", minor, "offer both"},
		{"/both", "compression", fine, "zstd, which saves"},
		{"/both", "compression", fine, "; clients without zstd get gzip"},
		{"/both", "delivery", fine, "at once"},
		{"/both", "resume", fine, "continues after that event"},
		{"/both?quiet=1", "keep-alive", fine, "a comment after"},
		{"/gzip-first", "compression", minor, "put zstd first"},
		{"/br", "answer", broken, `"br", which was not asked for`},
		{"/twice", "answer", broken, `"gzip, gzip", which was not asked for`},
		{"/compressed", "delivery", fine, "at once"},
		{"/stored", "compression", minor, "saves nothing"},
		{"/gzip", "delivery", fine, "at once"},
		{"/gzip?unflushed=1", "delivery", broken, "does not flush"},
		{"/moved", "redirect", minor, "/ticks"},
		{"/private", "caching", minor, "private"},
		{"/cut", "end", broken, "WriteTimeout"},
		{"/204", "answer", broken, "stop reconnecting"},
		{"/404", "answer", broken, "404 Not Found"},
		{"/html", "answer", broken, "text/html"},
		{"/dead", "answer", broken, "not even the head"},
		{"/dead", "answer", broken, "proxy_buffering off"},
	}
	type examined struct {
		findings map[string]finding
		code     int
	}
	all := make(map[string]examined) // by path
	for _, row := range rows {
		if all[row.path].findings != nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			findings, code := examine(t, newServerOn(t, serveInMemory).URL+row.path, "1s")
			all[row.path] = examined{findings, code}
		})
	}
	for _, row := range rows {
		t.Run(row.path+" "+row.check, func(t *testing.T) {
			got := all[row.path]
			has(t, got.findings, row.check, row.level, row.text)
			if (got.code == 0) == (row.level == broken) {
				t.Errorf("exit code %d", got.code)
			}
		})
	}
	findings, _ := examine(t, refused(t), "1s")
	has(t, findings, "answer", broken, "connection refused")
	synctest.Test(t, func(t *testing.T) {
		findings, _ := examine(t, newServerOn(t, serveInMemory).URL+"/huge", "1s")
		has(t, findings, "end", broken, "event too large")
	})
}

func TestDoctorInWords(t *testing.T) { synctest.Test(t, testDoctorInWords) }

func testDoctorInWords(t *testing.T) {
	server := newServerOn(t, serveInMemory)
	p := command(t, "", "doctor", "--wait", "1s", server.URL+"/html")
	p.check(t, 1, "✗ answer       200 OK with Content-Type", "=")
	p.check(t, 1, "\n               With any Content-Type except text/event-stream", "=")
	p.check(t, 1, "\n0 ✓  0 !  1 ✗\n", "=")
	p = command(t, "", "doctor", "--wait", "1s", server.URL+"/escape")
	p.check(t, 1, `404 \x1b[31mred`, "=")
	p = start(t, nil, "doctor", "--wait", "1h", server.URL+"/silent")
	p.interrupt()
	p.wait(t)
	p.check(t, 130, "=", "interrupted")
}

// Over TLS, with HTTP/2.
func TestDoctorHTTP2(t *testing.T) { synctest.Test(t, testDoctorHTTP2) }

func testDoctorHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(ticks))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(t.Output(), "", 0)
	addr := listenInMemory(t, server)
	server.StartTLS()
	server.URL = "https://" + addr
	defer server.Close()
	defer server.CloseClientConnections()
	p := command(t, "", "doctor", "--wait", "1s", server.URL)
	p.check(t, 1, "certificate", "")
	p = command(t, "", "doctor", "-k", "--wait", "1s", server.URL)
	p.check(t, 0, "✓ protocol     HTTP/2.0", "=")
}

// What comes in one piece after a while has waited somewhere.
func TestDoctorOfABuffer(t *testing.T) { synctest.Test(t, testDoctorOfABuffer) }

func testDoctorOfABuffer(t *testing.T) {
	server := newServerOn(t, serveInMemory)
	buffering := serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		response, err := http.Get(server.URL + "/ticks?for=2500ms")
		if err != nil {
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Write(body)
	}))
	defer buffering.Close()
	findings, _ := examine(t, buffering.URL, "5s")
	has(t, findings, "delivery", broken, "events at once")
	has(t, findings, "delivery", broken, "X-Accel-Buffering: no")
}

// TestDoctorWidth checks that no line is wider than the terminal, unless a word is.
func TestDoctorWidth(t *testing.T) {
	var d diagnosis
	d.add("answer", broken, "404 Not Found; the body begins with \"404 page not found, and much more that is said\"", strings.Repeat("Ünïcode wörds … ", 20))
	d.add("proxies", fine, "Server: nginx, Via: 1.1 "+strings.Repeat("x", 30)+", X-Cache: MISS", "")
	for _, width := range []int{10, 50, 80, 120} {
		var b strings.Builder
		if err := d.write(&b, (&streams{}).palette(&b), width); err != nil {
			t.Fatal(err)
		}
		longest := 0
		for line := range strings.Lines(b.String()) {
			longest = max(longest, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
		}
		if width = max(width, 50); longest > width || longest < width-15 {
			t.Errorf("width %d: the longest line has %d:\n%s", width, longest, b.String())
		}
	}
}

// TestWidth checks what the width is without a terminal.
func TestWidth(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, row := range []struct {
		w       io.Writer
		columns string
		want    int
	}{
		{io.Discard, "", 80},
		{file, "", 80},
		{file, "100", 100},
		{file, "x", 80},
		{file, "-5", 80},
	} {
		t.Setenv("COLUMNS", row.columns)
		if got := widthOf(row.w); got != row.want {
			t.Errorf("COLUMNS=%s: got %d, want %d", row.columns, got, row.want)
		}
	}
}
