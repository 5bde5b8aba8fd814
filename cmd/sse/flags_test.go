package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestBodyOfAllCommands checks -X, --data and -u.
func TestBodyOfAllCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	os.WriteFile(file, []byte(`{"a": "file"}`), 0o600)
	for _, name := range []string{"tail", "bench -c 1 -d 1s", "doctor --wait 1s"} {
		for _, row := range []struct{ args, in, want string }{
			{"--data hello", "", "POST text/plain; charset=utf-8 hello"},
			{"--data @" + file, "", `POST application/json {"a": "file"}`},
			{"--data @-", "[1]", "POST application/json [1]"},
			{"--data -", "[2]", "POST application/json [2]"},
			{"-X put --data x -H Content-Type:text/x", "", "PUT text/x x"},
			{"-X DELETE", "", "DELETE  "},
			{"-u me:a:b -X POST", "", "POST  me a:b"},
		} {
			synctest.Test(t, func(t *testing.T) {
				requests := make(chan string, 100)
				server := serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					text := strings.Join([]string{r.Method, r.Header.Get("Content-Type"), string(body)}, " ")
					if user, password, ok := r.BasicAuth(); ok {
						text += user + " " + password
					}
					if r.Method != "OPTIONS" {
						select {
						case requests <- text:
						default:
						}
					}
					sendHead(w)
					<-time.After(100 * time.Millisecond) // or the bench would go on forever in no time
					io.WriteString(w, "data: a\n\n")
				}))
				defer server.Close()
				args := append(strings.Fields(name), strings.Fields(row.args)...)
				command(t, row.in, append(args, server.URL)...).check(t, 0, "", "=")
				if got := <-requests; got != row.want {
					t.Errorf("%s %s: got %q, want %q", name, row.args, got, row.want)
				}
			})
		}
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	defer server.Close()
	p := command(t, "", "tail", "-n", "1", "--unix-socket", path, "http://example.org/path")
	p.check(t, 0, "GET /path host=example.org", "=")
	p = command(t, "", "tail", "--unix-socket", path+"2", "http://example.org/path")
	p.check(t, 1, "=", "there is no socket "+path+"2")
}

// TestProxies checks the environment variables for proxies.
func TestProxies(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = r.URL.String() // of the proxied request
		mirror(w, r)
	}))
	defer proxy.Close()
	for _, row := range []struct {
		name, value string
		code        int
		out, err    string
	}{
		{"HTTP_PROXY", proxy.URL, 0, "GET http://sse.invalid/path", "="},
		{"ALL_PROXY", proxy.URL, 0, "GET http://sse.invalid/path", "="},
		{"all_proxy", strings.TrimPrefix(proxy.URL, "http://"), 0, "GET http://sse.invalid/path", "="},
		{"ALL_PROXY", socksProxy(t, proxy.Listener.Addr().String()), 0, "GET /path", "="},
		{"ALL_PROXY", refused(t), 1, "=", "refused"},
		{"ALL_PROXY", "socks4://me:secret@127.0.0.1:1", 2, "=", `ALL_PROXY: the proxy "socks4://me:xxxxx@127.0.0.1:1" is not an http, https, socks5 or socks5h URL`},
		{"ALL_PROXY", "http://me:secret@[::1", 2, "=", `ALL_PROXY: "http://xxxxx@[::1" is not a valid URL`},
	} {
		t.Run(row.value, func(t *testing.T) {
			for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"} {
				t.Setenv(name, "")
			}
			t.Setenv(row.name, row.value)
			p := command(t, "", "tail", "-n", "1", "http://sse.invalid/path")
			p.check(t, row.code, row.out, row.err)
		})
	}
}

// socksProxy starts a SOCKS proxy that connects every client with addr.
func socksProxy(t *testing.T, addr string) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				request := make([]byte, 300)
				io.ReadFull(c, request[:3]) // version 5, one method: none
				c.Write([]byte{5, 0})
				io.ReadFull(c, request[:5]) // version, CONNECT, 0, a name, its length
				io.ReadFull(c, request[:int(request[4])+2])
				c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				upstream, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				defer upstream.Close()
				go io.Copy(upstream, c)
				io.Copy(c, upstream)
			}()
		}
	}()
	return "socks5h://" + l.Addr().String()
}

func TestFlagErrors(t *testing.T) {
	for _, row := range []struct{ args, err string }{
		{"tail -u me x", "-u user:password"},
		{"tail -X G(T x", "write it like -X POST"},
		{"tail -H Content-Length:3 x", "follows from the request body"},
		{"tail -H a/b:c x", `"a/b" is not a valid name of a header`},
		{"tail -H X:a\x01b x", "the value of X contains a control character"},
		{"tail http://x:99999/", "has an invalid port; it must be from 1 to 65535"},
		{"tail --idle", "--idle: needs a value"},
		{"tail --until", "--until: needs a value"},
		{"tail -n -3 x", `--count: needs a value; perhaps try --count="-3"?`},
		{"tail --cert flags_test.go x", "--cert: failed to find any PEM data"},
		{"tail --cacert /nowhere x", "--cacert: open /nowhere: no such file or directory"},
		{"tail --cacert flags_test.go x", "contains no certificate in PEM format"},
		{"tail --cert /nowhere x", "--cert: open /nowhere"},
		{"tail --key /nowhere x", "--key needs --cert"},
		{"tail --idle abc x", `--idle: "abc" is not a duration; write it like 5s, 1m30s, or 5 for 5 seconds`},
		{"tail -n abc x", `--count: "abc" is not a whole number`},
		{"tail --max-event 99999999999999999999 x", `"99999999999999999999" is not a whole number`},
	} {
		p := command(t, "", strings.Fields(row.args)...)
		if p.check(t, 2, "=", row.err); t.Failed() {
			t.Fatal(row.args)
		}
	}
}

// TestDurations checks that a duration without a unit is in seconds.
func TestDurations(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"5", "within 5s"},
		{"0.5", "within 500ms"},
		{"0m20s", "within 20s"},
		{"200ms", "within 200ms"},
	} {
		inFakeTime(t, row.text, func(t *testing.T, server *httptest.Server) {
			command(t, "", "tail", "--timeout", row.text, server.URL+"/dead").check(t, 1, "=", row.want)
		})
	}
}

func TestVersion(t *testing.T) {
	command(t, "", "--version").check(t, 0, "sse ", "=")
}
