package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// What a client may do that it should not, on its half of the connection.
func TestMisbehavingClients(t *testing.T) {
	onlyLinux(t)
	const most = 16 << 20 // is more than any buffer takes
	send := func(c net.Conn, n int) {
		c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(make([]byte, n)); err != nil {
			t.Errorf("what a client sends is not read: %v", err)
		}
	}
	for _, tt := range []struct {
		name string
		do   func(*net.TCPConn)
		ends bool
	}{
		{"closes", func(c *net.TCPConn) { c.Close() }, true},
		{"half-closes", func(c *net.TCPConn) { c.CloseWrite() }, true},
		{"resets", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, true},
		{"sends a byte and half-closes", func(c *net.TCPConn) { c.Write([]byte("x")); c.CloseWrite() }, true},
		{"sends garbage and resets", func(c *net.TCPConn) { send(c, most); c.SetLinger(0); c.Close() }, true},
		{"sends garbage and closes", func(c *net.TCPConn) { send(c, most); c.Close() }, true},
		{"sends a byte", func(c *net.TCPConn) { c.Write([]byte("x")) }, false},
		{"sends 1 MiB of garbage", func(c *net.TCPConn) { send(c, 1<<20) }, false},
		{"sends more garbage", func(c *net.TCPConn) { send(c, most) }, false},
		{"sends a second request", func(c *net.TCPConn) { c.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\n\r\n")) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler, sources := connected(nil)
			site := detachedTransport.listen(t, handler)
			conn, response := rawStream(t, dialAddr(t, site))
			source := <-sources
			group := new(sse.Set)
			group.Add(source)
			tt.do(conn.(*net.TCPConn))
			if tt.ends {
				if err := source.Wait(); !errors.Is(err, sse.ErrGone) || group.Len() != 0 {
					t.Errorf("ended with %v, %d members", err, group.Len())
				}
				return
			}
			group.Dispatch("", "still there")
			source.Close()
			got, err := io.ReadAll(response.Body)
			if _, body, _ := strings.Cut(string(got), "data: "); body != "still there\n\n" || err != nil {
				t.Errorf("got %q, error %v", got, err)
			}
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after the stream: %v, want the end of the connection", err)
			}
		})
	}
}

// Garbage without end costs its sender no more than that: others are served.
func TestEndlessGarbage(t *testing.T) {
	onlyLinux(t)
	group := new(sse.Set)
	site := detachedTransport.listen(t, group)
	var senders sync.WaitGroup
	for range 4 {
		conn, _ := rawStream(t, dialAddr(t, site))
		senders.Go(func() {
			for {
				if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		})
	}
	st := site.open()
	eventually(t, 5*time.Second, "all are members", func() bool { return group.Len() == 5 })
	for i := range 100 {
		group.Dispatch("", strconv.Itoa(i))
		st.want("message|" + strconv.Itoa(i))
	}
	other := site.open()
	eventually(t, 5*time.Second, "one more is a member", func() bool { return group.Len() == 6 })
	other.close()
	eventually(t, 5*time.Second, "it has left", func() bool { return group.Len() == 5 })
	group.CloseAll()
	senders.Wait()
}

// Clients come and go as fast as they can, so that descriptors are used again at
// once, while each is sent events of its own: nobody sees another's.
func TestDescriptorsAreReused(t *testing.T) {
	onlyLinux(t)
	var users sse.Map[string]
	site := detachedTransport.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, &sse.AcceptOptions{KeepAlive: time.Millisecond}, func(source *sse.EventSource) {
			users.Store(source, r.URL.Query().Get("user"))
		})
	}))
	stop := make(chan bool)
	var dispatching, visiting sync.WaitGroup
	for range 2 {
		dispatching.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				users.DispatchFunc(func(_ *sse.EventSource, user string) (sse.Event, bool) {
					return sse.Event{Data: user}, true
				})
				for source := range users.All() {
					if rand.IntN(50) == 0 {
						source.Close()
					}
				}
			}
		})
	}
	address := dialAddr(t, site)
	for g := range 8 {
		visiting.Go(func() {
			for i := range 1000 / slowdown {
				user := fmt.Sprintf("user-%d-%d", g, i)
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(conn, "GET /?user=%s HTTP/1.1\r\nHost: test\r\n\r\n", user)
				if i%3 == 0 {
					conn.(*net.TCPConn).SetLinger(0) // it leaves by a reset
				}
				if i%5 > 0 { // else it leaves at once
					conn.SetReadDeadline(time.Now().Add(10 * time.Second))
					buf := make([]byte, 1+rand.IntN(4096))
					n, _ := io.ReadAtLeast(conn, buf, min(len(buf), 300))
					for line := range bytes.Lines(buf[:n]) {
						if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && !strings.HasPrefix(user+"\n", string(data)) && bytes.HasSuffix(data, []byte("\n")) {
							t.Errorf("%s got %q", user, data)
						}
					}
				}
				conn.Close()
			}
		})
	}
	visiting.Wait()
	close(stop)
	dispatching.Wait()
	eventually(t, 10*time.Second, "all have left", func() bool { return users.Len() == 0 && sse.ReadStats().Detached == 0 })
}

// Add, Delete, Close and Dispatch at once, by many: what remains is as it should
// be.
func TestAllAtOnce(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		var one, two sse.Set
		pool := make(chan *sse.EventSource, 1000)
		site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o := &sse.AcceptOptions{KeepAlive: time.Millisecond}
			sse.Serve(w, r, o, func(source *sse.EventSource) { pool <- source })
		}))
		stop := make(chan bool)
		var working, visiting sync.WaitGroup
		for g := range 6 {
			working.Go(func() {
				for {
					select {
					case <-stop:
						return
					case s := <-pool:
						switch rand.IntN(8) {
						case 0:
							s.Close()
						case 1:
							one.Delete(s)
						case 2:
							two.Delete(s)
						case 3:
							s.Dispatch("direct", "x")
						default:
							one.Add(s)
							two.Add(s)
						}
						if s.ReadyState() == sse.Open {
							pool <- s
						}
					default:
						[]*sse.Set{&one, &two}[g%2].Dispatch("", strconv.Itoa(g))
						time.Sleep(50 * time.Microsecond) // leaves the processor to the others
					}
				}
			})
		}
		for range 4 {
			visiting.Go(func() {
				for range 100 {
					st := site.open()
					for range rand.IntN(20) {
						if _, err := st.next(); err != nil {
							break
						}
					}
					st.close()
				}
			})
		}
		visiting.Wait()
		close(stop)
		working.Wait()
		eventually(t, 10*time.Second, "all have left", func() bool { return one.Len() == 0 && two.Len() == 0 })
	})
}

// A hook that panics costs its own request, or its own dispatch, and nothing
// else.
func TestHooksPanic(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		panics := false
		group := &sse.Set{
			Slow: sse.LatestPerKey,
			Snapshot: func(s *sse.EventSource) ([]sse.Event, error) {
				if strings.Contains(s.URL(), "panic") {
					panic(http.ErrAbortHandler)
				}
				return state("", "snapshot")
			},
			Key: func(sse.Event) string {
				if panics {
					panic("key")
				}
				return ""
			},
		}
		site := tr.listen(t, group)
		st := site.open()
		st.want("message|snapshot")
		bad := site.openURL("http://memory/panic")
		if _, err := bad.next(); err == nil {
			t.Error("a stream whose Snapshot has panicked goes on")
		}
		eventually(t, 5*time.Second, "it has left", func() bool { return group.Len() == 1 })
		func() {
			panics = true
			defer func() {
				panics = false
				if recover() == nil {
					t.Error("the program does not see its own panic")
				}
			}()
			group.Dispatch("", "lost")
		}()
		group.Dispatch("", "x")
		st.want("message|x")
		var users sse.Map[int]
		for s := range group.All() {
			users.Store(s, 1)
		}
		func() {
			defer func() { recover() }()
			users.DispatchFunc(func(*sse.EventSource, int) (sse.Event, bool) { panic("view") })
		}()
		users.Dispatch("", "y")
		st.want("message|y")
		group.CloseAll()
		st.wantEnd()
	})
}
