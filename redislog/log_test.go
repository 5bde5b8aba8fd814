package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/redislog"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a, b := s.log("log", nil), s.log("log", nil)
	live := probe.Follow(t, b, backplane.Newest)
	texts := probe.Numbered("e", 200)
	probe.Append(t, a, texts[:100]...)
	middle := probe.Append(t, b, texts[100])
	probe.Append(t, a, texts[101:]...)
	live.Has(texts...)
	if got, err := probe.Read(t, b, backplane.Oldest, 200); err != nil || !slices.Equal(got, texts) {
		t.Errorf("from the oldest: %d entries, %v", len(got), err)
	}
	if got, err := probe.Read(t, b, middle, 99); err != nil || !slices.Equal(got, texts[101:]) {
		t.Errorf("from the middle: %d entries, %v", len(got), err)
	}
	if err := b.Follow(probe.Within(t, probe.Patience), backplane.Oldest, func(batch []backplane.Entry, live bool) error {
		if len(batch) != 200 || !live {
			t.Errorf("small entries: got a batch of %d, live %v", len(batch), live)
		}
		return errEnough
	}); err != errEnough {
		t.Error(err)
	}
	again, err := b.Append(t.Context(), texts[100], []byte("something else"))
	if err != nil || again != middle {
		t.Errorf("again: got %v, %v; want %v", again, err, middle)
	}
}

// A follower is woken by a message and does not wait for its next poll.
func TestFollowIsWoken(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := s.log("log", nil)
	f := probe.Follow(t, l, backplane.Newest)
	probe.Append(t, l, "e1")
	f.Has("e1")
	n := 1
	probe.Prompt(t, 500*time.Millisecond, "an entry", func() time.Duration { // polling takes a second
		var took time.Duration
		for range 3 {
			n++
			probe.Append(t, l, fmt.Sprint("e", n))
			took = max(took, f.Has(probe.Numbered("e", n)...))
		}
		return took
	})
}

func TestFollowManyBatches(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := s.log("log", nil)
	big := strings.Repeat("x", backplane.MaxData)
	var want int
	for i, id := range probe.Numbered("e", 500) {
		data := "small"
		if i%20 == 0 {
			data = big
		}
		if _, err := l.Append(t.Context(), id, []byte(data)); err != nil {
			t.Fatal(err)
		}
		want += len(data)
	}
	var got, batches int
	err := l.Follow(probe.Within(t, probe.Patience), backplane.Oldest, func(batch []backplane.Entry, live bool) error {
		batches++
		size := 0
		for _, e := range batch {
			size += len(e.Data)
		}
		got += size
		if size > 4<<20 || len(batch) == 0 || live != (got == want) {
			t.Errorf("got a batch of %d entries, %d bytes, live %v", len(batch), size, live)
		}
		if live {
			return errEnough
		}
		return nil
	})
	if err != errEnough || got != want || batches < 3 {
		t.Errorf("got %d bytes of %d in %d batches, %v", got, want, batches, err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	for _, tt := range []struct {
		name    string
		options redislog.Options
		want    int // of 100 entries with 4 bytes
	}{
		{"by default", redislog.Options{}, 100},
		{"entries", redislog.Options{History: 10}, 10},
		{"one entry", redislog.Options{History: 1}, 1},
		{"bytes", redislog.Options{HistoryBytes: 40}, 10},
		{"less bytes than one has", redislog.Options{HistoryBytes: 3}, 1},
		{"the first of both", redislog.Options{History: 20, HistoryBytes: 40}, 10},
		{"no bound", redislog.Options{History: -1, HistoryBytes: -1}, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := s.log(tt.name, &tt.options)
			var cursors []backplane.Cursor
			var texts []string
			for i := range 100 {
				texts = append(texts, string(rune('a'+i/10))+string(rune('a'+i%10))+"__")
				cursors = append(cursors, probe.Append(t, l, texts[i]))
			}
			got, err := probe.Read(t, l, backplane.Oldest, tt.want)
			if err != nil || !slices.Equal(got, texts[100-tt.want:]) {
				t.Errorf("got %q kept, %v", got, err)
			}
			oldest := cursors[100-tt.want]
			if got, err := probe.Read(t, l, oldest, tt.want-1); err != nil || len(got) != tt.want-1 {
				t.Errorf("after the oldest: %d entries, %v", len(got), err)
			}
			if tt.want < 100 {
				if got, err := probe.Read(t, l, cursors[99-tt.want], 1); !errors.Is(err, backplane.ErrGap) {
					t.Errorf("after an entry that is no longer kept: got %q, %v", got, err)
				}
			}
		})
	}
}

// A reduced option takes effect at once.
func TestHistoryShrinks(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	texts := probe.Numbered("e", 100)
	probe.Append(t, s.log("log", nil), texts...)
	l := s.log("log", &redislog.Options{History: 7})
	probe.Append(t, l, "new")
	if got, err := probe.Read(t, l, backplane.Oldest, 7); err != nil || !slices.Equal(got, append(texts[94:], "new")) {
		t.Errorf("got %q kept, %v", got, err)
	}
}

// A follower of an empty log from Newest has a position in it, and misses no entry that is
// kept.
func TestFollowFromNothing(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	for _, tt := range []struct {
		name    string
		options redislog.Options
		n       int
	}{
		{"entries", redislog.Options{History: 5}, 5},
		{"bytes", redislog.Options{HistoryBytes: 10}, 5},
		{"less bytes than one has", redislog.Options{HistoryBytes: 1}, 1},
	} {
		l := s.log(tt.name, &tt.options)
		texts := probe.Numbered("e", tt.n)
		var got []string
		err := l.Follow(probe.Within(t, probe.Patience), backplane.Newest, func(batch []backplane.Entry, _ bool) error {
			if len(batch) == 0 {
				probe.Append(t, l, texts...)
				return nil
			}
			for _, e := range batch {
				got = append(got, string(e.Data))
			}
			return errEnough
		})
		if err != errEnough || !slices.Equal(got, texts) {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
}

// No character of a name has a meaning.
func TestNames(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	names := []string{
		"a", "A", "a:id:b", "a b", "a+b", "a%20b", "{a}", "}{", "*", "a.>", "ü €", "\x00\xff\n",
		"log:a", strings.Repeat("n", backplane.MaxKey),
	}
	var logs []*redislog.Log
	for _, name := range names {
		for _, space := range []string{"", "}x{", "sse:log"} {
			l := s.log(name, &redislog.Options{Space: space})
			if _, err := l.Append(t.Context(), "id", []byte(name+" in "+space)); err != nil {
				t.Fatal(err)
			}
			logs = append(logs, l)
		}
	}
	for i, l := range logs {
		name, space := names[i/3], []string{"", "}x{", "sse:log"}[i%3]
		if got, err := probe.Read(t, l, backplane.Oldest, 1); err != nil || !slices.Equal(got, []string{name + " in " + space}) {
			t.Errorf("%.20q in %q: %.50q, %v", name, space, got, err)
		}
	}
	for _, key := range s.do("KEYS", "*").([]any) {
		if !strings.HasPrefix(key.(string), "{") || strings.ContainsAny(key.(string), " \n\x00") {
			t.Errorf("key %q", key)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	client := s.client()
	s.do("SET", "{sse}:log:string", "x")
	s.do("SET", "{sse}:store:string:changes", "x")
	guarded := startRedis(t, "--requirepass", "secret")
	closed := redis.NewClient(&redis.Options{Addr: s.addr()})
	closed.Close()
	for _, tt := range []struct {
		what   string
		client redis.UniversalClient
		name   string
		want   error  // nil: any
		says   string // part of the error
	}{
		{"no name", client, "", backplane.ErrSize, "name"},
		{"a long name", client, strings.Repeat("n", backplane.MaxKey+1), backplane.ErrSize, "512"},
		{"no client", nil, "a", nil, "no client"},
		{"a closed client", closed, "a", backplane.ErrClosed, "client"},
		{"another kind of value", client, "string", nil, "WRONGTYPE"},
		{"no password", guarded.client(), "a", nil, "AUTH"},
	} {
		_, errLog := redislog.Open(probe.Within(t, probe.Patience), tt.client, tt.name, nil)
		_, errStore := redislog.OpenStore(probe.Within(t, probe.Patience), tt.client, tt.name, nil)
		for _, err := range []error{errLog, errStore} {
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", tt.what, err)
			}
		}
	}
}

func TestOpenWithoutServer(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	client := s.client()
	s.kill()
	var err error
	probe.Prompt(t, time.Second, "Open, after its context has ended,", func() time.Duration {
		ctx := probe.Within(t, 500*time.Millisecond)
		_, err = redislog.Open(ctx, client, "a", nil)
		deadline, _ := ctx.Deadline()
		return time.Since(deadline)
	})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `log "a"`) {
		t.Errorf("error %v", err)
	}
	_, err = redislog.OpenStore(probe.Within(t, 500*time.Millisecond), client, "a", nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `store "a"`) {
		t.Errorf("error %v", err)
	}

	// Open also waits for a server that starts.
	opened := make(chan error)
	go func() {
		_, err := redislog.Open(probe.Within(t, probe.Patience), client, "a", nil)
		opened <- err
	}()
	time.Sleep(300 * time.Millisecond) // until it has tried
	s.start()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestClientIsClosed(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	client := s.client()
	l, st := both(t, client)
	f := probe.Follow(t, l, backplane.Newest)
	v := probe.Watch(t, st, "")
	client.Close()
	if err := f.End(); !errors.Is(err, backplane.ErrClosed) {
		t.Errorf("Follow: got %v, want ErrClosed", err)
	}
	if err := v.End(); !errors.Is(err, backplane.ErrClosed) {
		t.Errorf("Watch: got %v, want ErrClosed", err)
	}
	if _, err := l.Append(t.Context(), "id", nil); !errors.Is(err, backplane.ErrClosed) || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Append: %v", err)
	}
	if _, err := st.Swap(t.Context(), "key", 0, nil, 0); !errors.Is(err, backplane.ErrClosed) || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Swap: %v", err)
	}
}
