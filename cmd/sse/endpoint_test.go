package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// mirror is a stream of one event, whose data shows the request.
func mirror(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	sendHead(w)
	fmt.Fprintf(w, "data: %s %s host=%s id=%s user=%s:%s x=%s\n\n", r.Method, r.URL.Path, r.Host, r.Header.Get("Last-Event-ID"), user, password, r.Header.Get("X-Try"))
}

// TestRequestFlags checks that each flag changes the request that tail sends.
func TestRequestFlags(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(mirror))
	defer server.Close()
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"-H", "Host: example.org"}, "host=example.org "},
		{[]string{"-H", "Last-Event-ID: 42"}, "id=42 "},
		{[]string{"-H", "Last-Event-ID: 42", "--last-event-id", "43"}, "id=43 "},
		{[]string{"-H", "X-Try: a:b"}, "x=a:b"},
	} {
		p := command(t, "", append(append([]string{"tail", "-n", "1"}, row.args...), server.URL+"/path")...)
		if p.check(t, 0, row.want, "="); t.Failed() {
			t.Fatalf("%q", row.args)
		}
	}
}

// TestRequestsOfAllCommands checks the headers that net/http keeps outside of an
// http.Header: the requests of every command have them.
func TestRequestsOfAllCommands(t *testing.T) {
	for _, args := range []string{"tail -n 1", "bench -c 1 -d 1s", "doctor --wait 1s"} {
		synctest.Test(t, func(t *testing.T) {
			requests := make(chan *http.Request, 100)
			server := serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests <- r
				mirror(w, r)
			}))
			defer server.Close()
			command(t, "", append(strings.Fields(args), "-H", "Host: example.org", "-H", "Last-Event-ID: 42", server.URL)...)
			if r := <-requests; r.Host != "example.org" || r.Header.Get("Last-Event-ID") != "42" {
				t.Errorf("%s: host %q, Last-Event-ID %q", args, r.Host, r.Header.Get("Last-Event-ID"))
			}
		})
	}
}

func TestURLs(t *testing.T) {
	for _, row := range []struct{ text, want, err string }{
		{"localhost:9602/x?topic=https://example.com/1", "http://localhost:9602/x?topic=https://example.com/1", ""},
		{":8080/x", "http://localhost:8080/x", ""},
		{"http://:8080/x", "http://localhost:8080/x", ""},
		{"example.org", "http://example.org", ""},
		{"HTTPS://example.org/x", "https://example.org/x", ""},
		{"[::1]:8080/x", "http://[::1]:8080/x", ""},
		{"ftp://x/http://y", "", "is not an http or https URL"},
		{"http:///x", "", "has no host"},
		{"/x", "", "has no host"},
		{"http://[::1", "", "is not a valid URL"},
		{"http://me:secret@[::1", "", `"http://xxxxx@[::1" is not a valid URL`},
		{"http://me:sec/ret@host", "", `"http://xxxxx@host" is not a valid URL`},
		{"me:secret@ho st", "", `"http://xxxxx@ho st" is not a valid URL`},
		{"ftp://me:secret@host", "", `"ftp://me:xxxxx@host" is not an http or https URL`},
	} {
		e := endpoint{URL: row.text}
		u, err := e.url()
		switch {
		case row.err == "" && (err != nil || fmt.Sprint(u) != row.want):
			t.Errorf("%s: got %v, %v; want %s", row.text, u, err, row.want)
		case row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err) || strings.Contains(err.Error(), "sec")):
			t.Errorf("%s: got %v, %v; want %s", row.text, u, err, row.err)
		}
	}
}

// TestPasswordIsNotPrinted checks that no output contains the password of the URL,
// which the server gets.
func TestPasswordIsNotPrinted(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			t.Errorf("the server got the password %q", password)
		}
		mirror(w, r)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://me:secret@"+r.Host+"/ok", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://me:secret@"+r.Host+"/loop", http.StatusFound)
	})
	for _, row := range []struct {
		args string
		want string // printed
	}{
		{"tail /404", "sse doctor http://me:xxxxx@"},
		{"tail --timeout 1s refused", "sse doctor http://me:xxxxx@"},
		{"tail -n 1 --json /moved", "message"},
		{"tail /loop", "redirects"},
		{"bench -c 1 -d 1s /404", "404"},
		{"bench -c 1 -d 1s --json /loop", "redirects"},
		{"bench -c 1 -d 1s refused", "refused"},
		{"doctor --wait 1s --json /404", `"url": "http://me:xxxxx@`},
		{"doctor --wait 1s --json /moved", `"to http://me:xxxxx@`},
		{"doctor --wait 1s /loop", "redirects"},
		{"doctor --wait 1s refused", "refused"},
		{"tail http://me:secret@host extra", "unexpected"},
		{"tail extra http://me:secret@host", "unexpected"},
		{"tail ftp://me:secret@host", "ftp://me:xxxxx@host"},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := serveInMemory(t, mux)
			defer server.Close()
			args := row.args
			args = strings.ReplaceAll(args, " /", " "+strings.Replace(server.URL, "://", "://me:secret@", 1)+"/")
			args = strings.ReplaceAll(args, " refused", " "+strings.Replace(refused(t), "://", "://me:secret@", 1))
			p := command(t, "", strings.Fields(args)...)
			got := p.err.String() + strings.ReplaceAll(p.out.String(), "user=me:secret", "")
			if strings.Contains(got, "secret") || !strings.Contains(got, row.want) {
				t.Errorf("%s: got %s\nwant %s and no password", row.args, got, row.want)
			}
		})
	}
}
