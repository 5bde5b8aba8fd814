package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// TestSendToASlowClient checks that send reports a client that it had to
// disconnect, and how many lines that client has missed when it reconnects.
func TestSendToASlowClient(t *testing.T) {
	in, lines := io.Pipe()
	defer lines.Close()
	p, origin := serve(t, in, "--wait", "1", "--history", "10")
	c, err := net.Dial("tcp", strings.TrimPrefix(origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	read := bufio.NewReader(c)
	id := ""
	written := 0
	write := func() {
		written++
		fmt.Fprintf(lines, "%0100d\n", written)
	}
	for write(); id == ""; { // its first event
		line, err := read.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ = strings.Cut(strings.TrimPrefix(line, "id: "), "\n")
		if !strings.HasPrefix(line, "id: ") {
			id = ""
		}
	}
	for !strings.Contains(p.err.String(), "is too slow and was disconnected") {
		for range 100 {
			write()
		}
		if written > 1_000_000 {
			t.Fatalf("it was not disconnected: %s", p.err.String())
		}
	}
	if want := "the client at " + c.LocalAddr().String() + " is too slow"; !strings.Contains(p.err.String(), want) {
		t.Errorf("got %s, want %s", p.err.String(), want)
	}
	eventually(t, "the last line has been read", func() bool {
		p := command(t, "", "tail", "--raw", "-n", "10", "--timeout", "2m", origin+"/events")
		return strings.Contains(p.out.String(), fmt.Sprintf("data: %0100d\n", written))
	})
	again := command(t, "", "tail", "--raw", "-n", "10", "--timeout", "2m", "--last-event-id", id, origin+"/events")
	again.check(t, 0, fmt.Sprintf("data: %0100d\n", written), "=")
	missed := fmt.Sprintf("missed %d lines; a --history of more than 10 keeps more", written-1-10)
	eventually(t, "the lines are reported", func() bool { return strings.Contains(p.err.String(), missed) })

	command(t, "", "tail", "-n", "1", "--timeout", "2m", "--last-event-id", "another-1", origin+"/events").check(t, 0, "", "=")
	eventually(t, "the id is reported", func() bool {
		return strings.Contains(p.err.String(), `wants to resume after id "another-1", which is unknown; it gets the last 10 lines`)
	})
}

// TestTailReportsJumps checks that tail reports ids that are missing between those that
// are otherwise consecutive.
func TestTailReportsJumps(t *testing.T) {
	for _, row := range []struct{ ids, err string }{
		{"1 2 3 4", "="},
		{"1 2 3 9 10", "=sse: the ids jump from 3 to 9: 5 events may have been missed\n"},
		{"a-y a-z a-12 a-13", "=sse: the ids jump from a-z to a-12: 2 events may have been missed\n"},
		{"10 20 30", "="},
		{"a-1 a-2 b-1 b-2", "="}, // another process
		{"1 2 4 6 8", "=sse: the ids jump from 2 to 4: 1 event may have been missed\n"},
		{"1782907199995-0 1782907199997-0 1782907199999-0", "="},
		{"x y z", "="},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			sendHead(w)
			for id := range strings.FieldsSeq(row.ids) {
				fmt.Fprintf(w, "id: %s\ndata: x\n\n", id)
			}
		}))
		p := command(t, "", "tail", "--no-reconnect", server.URL)
		server.Close()
		if p.check(t, 0, "", row.err); t.Failed() {
			t.Fatal(row.ids)
		}
	}
}

// TestSendPrintsItsAddress checks that the printed URLs are those of the address that
// send listens on.
func TestSendPrintsItsAddress(t *testing.T) {
	for _, row := range []struct{ addr, want string }{
		{"127.0.0.3:0", `http://127\.0\.0\.3:\d+/events; open http://127\.0\.0\.3:\d+/ to`},
		{"[::1]:0", `http://\[::1\]:\d+/events; open http://\[::1\]:\d+/ to`},
		{"localhost:0", `http://localhost:\d+/events; open http://localhost:\d+/ to`},
		{":0", `http://localhost:\d+/events`},
		{"0.0.0.0:0", `http://localhost:\d+/events`},
		{"[::]:0", `http://localhost:\d+/events`},
	} {
		p := command(t, "", "send", "--exit", row.addr)
		if got := p.err.String(); p.code != 0 || !regexp.MustCompile(row.want).MatchString(got) {
			t.Errorf("%s: exit code %d, got %s, want %s", row.addr, p.code, got, row.want)
		}
	}
}

func TestSendErrors(t *testing.T) {
	for _, row := range []struct{ args, in, err string }{
		{"192.0.2.1:80", "", "cannot listen on 192.0.2.1:80: it is not an address of this machine"},
		{"127.0.0.1:99999", "", "cannot listen on 127.0.0.1:99999: its port is not a number from 0 to 65535"},
		{"--json 127.0.0.1:0", "[1]\n", `line 1: not a JSON object such as {"type": "note", "data": "hello"}: it is an array`},
		{"--json 127.0.0.1:0", `{"type":7}`, `line 1: type is a number, not a string`},
		{"--json 127.0.0.1:0", `{"retry":"1"}`, `line 1: retry is a string, not a whole number`},
		{"--json 127.0.0.1:0", `{"a":`, "line 1: not a JSON object"},
		{"--json 127.0.0.1:0", `{"type":"a\nb"}`, "line 1: invalid event: "},
	} {
		p := command(t, row.in, append([]string{"send"}, strings.Fields(row.args)...)...)
		p.check(t, 1, "=", row.err)
		for _, goism := range []string{"Go ", "tcp", "sse: sse", "struct", "main.", "int64"} {
			if strings.Contains(p.err.String(), goism) {
				t.Errorf("%s %s: %q in %s", row.args, row.in, goism, p.err.String())
			}
		}
	}
}
