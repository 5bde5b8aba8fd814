package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	os.WriteFile(file, []byte(`{"from":"a file"}`), 0o600)
	for _, row := range []struct {
		args, in string
		code     int
		out, err string
	}{
		{"--no-reconnect /three", "", 0, "message 1 retry 100ms  a\n", "="},
		{"--no-reconnect /three", "", 0, "done 2\n  b\n  c\n", "="},
		{"--no-reconnect /three", "", 0, `message 2  \x1b[31mx`, "="},
		{"--no-reconnect --color always /three", "", 0, "\x1b[36;1mdone\x1b[", "="},
		{"--no-reconnect --json /three", "", 0, `"type":"done","id":"2","data":"b\nc"}`, "="},
		{"--no-reconnect --raw /three", "", 0, "=id: 1\nretry: 100\ndata: a\n\n: hi\nid: 2\nevent: done\ndata: b\ndata: c\n\ndata: \x1b[31mx\n\n", "="},
		{"--raw -n 1 /three", "", 0, "=id: 1\nretry: 100\ndata: a\n\n", "="},
		{"--raw --until done /three", "", 0, "data: c\n\n", "="},
		{"-n 4 /three", "", 0, "message 1", "the stream ended; reconnecting in 1"},
		{"-n 4 /three", "", 0, "message 1", "reconnected"},
		{"--raw -n 3 /next", "", 0, "id: 1\nretry: 100\ndata: next\n\nid: 2\nretry: 100\ndata: next\n\nid: 3\n", "reconnecting"},
		{"--raw -n 1 --last-event-id 7 /next", "", 0, "=id: 8\nretry: 100\ndata: next\n\n", "="},
		{"--timeout 300ms /ticks", "", 0, "tick", "="},
		{"--timeout 300ms --until never /ticks", "", 3, "tick", `timed out after 300ms, before an event of type "never"`},
		{"--timeout 300ms -n 1000 /ticks", "", 3, "tick", "timed out after 300ms, before event 1000"},
		{"--timeout 300ms /dead", "", 1, "=", "no response within 300ms"},
		{"--response-timeout 300ms /dead", "", 1, "=", "no response within the --response-timeout"},
		{"--no-reconnect --until never /three", "", 1, "done", "ended before an event of type"},
		{"--idle 200ms --timeout 1s /silent", "", 0, "=", "the server sent nothing for the time of --idle; reconnecting"},
		{"-n 2 /compressed", "", 0, "tick", "="},
		{"-n 2 -v /compressed", "", 0, "tick", "> Accept-Encoding: zstd, gzip\n"},
		{"-n 9 -v /compressed", "", 0, "tick", "sse: compression: gzip, which saves"},
		{"-n 9 -v /both", "", 0, "tick", "sse: compression: zstd, which saves"},
		{"-n 9 -v -H Accept-Encoding:gzip /both", "", 0, "tick", "sse: compression: gzip, which saves"},
		{"-n 1 -v -H Accept-Encoding:identity /both", "", 0, "tick", "sse: compression: none"},
		{"-n 1 /br", "", 1, "=", `Content-Encoding "br"`},
		{"--idle 900ms --timeout 10s /compressed?quiet=1", "", 0, "", "="},
		{"--idle 900ms --timeout 10s /zstd?quiet=1", "", 0, "", "="},
		{"--idle 300ms --timeout 10s /zstd?quiet=1", "", 0, "", "the server sent nothing for the time of --idle; reconnecting"},
		{"-n 1 /echo", "", 0, "GET,,,,\n", "="},
		{"-n 1 -H X-Try:1 /echo", "", 0, "GET,,1,,\n", "="},
		{"--data hello /echo", "", 0, "POST,text/plain; charset=utf-8,,,hello\n", "="},
		{"--data - /echo", `[1]`, 0, "POST,application/json,,,[1]\n", "="},
		{"--data @" + file + " /echo", "", 0, `POST,application/json,,,{"from":"a file"}`, "="},
		{"--data x -H Content-Type:text/x -X PUT /echo", "", 0, "PUT,text/x,,,x\n", "="},
		{"--data x --reconnect --timeout 200ms /echo", "", 0, "POST", "reconnecting"},
		{"--json -n 4 /three", "", 0, `"comment":" hi"}`, "reconnecting"},
		{"--json -n 4 /three", "", 0, `"state":"reconnecting","reason":"the stream ended","wait":1`, "reconnecting"},
		{"--json -n 4 /three", "", 0, `"state":"open"}`, "reconnecting"},
		{"/204", "", 0, "=", "=sse: the server answered with 204 No Content: no more events\n"},
		{"--no-reconnect /204", "", 0, "=", "no more events"},
		{"--data x /204", "", 0, "=", "no more events"},
		{"--until x /204", "", 1, "=", "ended before"},
		{"/404", "", 1, "=", "404 Not Found"},
		{"/html", "", 1, "=", "text/html"},
		{"/html", "", 1, "=", "sse doctor"},
		{"--no-reconnect /cut", "", 1, "a\n", "the stream failed: the connection was cut"},
		{"/huge", "", 1, "=", "--max-event raises the limit of 16 MiB"},
		{refused(t), "", 1, "=", "connection refused"},
	} {
		inFakeTime(t, row.args, func(t *testing.T, server *httptest.Server) {
			args := strings.Fields(row.args)
			if url := &args[len(args)-1]; strings.HasPrefix(*url, "/") {
				*url = strings.TrimPrefix(server.URL, "http://") + *url
			}
			command(t, row.in, append([]string{"tail"}, args...)...).check(t, row.code, row.out, row.err)
		})
	}
}

func TestTailOfAHugeEvent(t *testing.T) {
	p := command(t, "", "tail", "-n", "1", "--json", "--max-event", "20", newServer(t).URL+"/huge?mib=18")
	p.check(t, 0, "", "=")
	var e eventJSON
	if err := json.Unmarshal([]byte(p.out.String()), &e); err != nil || len(e.Data) != 18<<20 {
		t.Errorf("%d bytes, %v", len(e.Data), err)
	}
}

// TestTailIntoAFullDisk checks that a failed write ends the command.
func TestTailIntoAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	var stderr lockedBuffer
	for _, format := range []string{"--json", "--raw", "--no-reconnect"} {
		code := run(t.Context(), []string{"tail", format, newServer(t).URL + "/ticks"}, &streams{out: full, err: &stderr})
		if code != 1 || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit code %d, %s", format, code, stderr.String())
		}
	}
}

func TestTailInterrupted(t *testing.T) {
	p := start(t, nil, "tail", newServer(t).URL+"/ticks")
	eventually(t, "an event", func() bool { return p.out.String() != "" })
	p.interrupt()
	p.wait(t)
	p.check(t, 130, "tick", "interrupted")
}
