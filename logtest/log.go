package logtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
)

var logTests = []test[Open]{
	{"order", testOrder},
	{"resume", testResume},
	{"trimmed", testTrimmed},
	{"overtaken", testOvertaken},
	{"forged", testForged},
	{"repeated", testRepeated},
	{"slow", testSlow},
	{"empty", testEmpty},
	{"newest", testNewest},
	{"names", testNames},
	{"contents", testContents},
	{"sizes", testSizes},
	{"cancelled", testCancelled},
	{"refused", testRefused},
}

// write runs two writers on each log, which append count entries each, and returns the
// cursors by the entries' data. The data is the writer's number, a hyphen and a number.
func write(t *testing.T, logs []backplane.Log, count int) map[string]backplane.Cursor {
	t.Helper()
	var mu sync.Mutex
	appended := make(map[string]backplane.Cursor)
	var wg sync.WaitGroup
	for w := range 2 * len(logs) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for i := range count {
				data := fmt.Sprintf("%d-%d", w, i)
				c, err := logs[w/2].Append(ctx, data, []byte(data))
				if err != nil {
					t.Errorf("append %s: %v", data, err)
					return
				}
				mu.Lock()
				appended[data] = c
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return appended
}

// All followers at all processes get all entries in one order, in which each writer's
// entries have the order of its calls.
func testOrder(t *testing.T, open Open) {
	const count = 200
	name := unique("order")
	logs := []backplane.Log{open(t, name, 0), open(t, name, 0), open(t, name, 0)}
	var followers []*follower
	for _, l := range logs {
		followers = append(followers, follow(t, l, backplane.Oldest), follow(t, l, backplane.Oldest))
	}
	appended := write(t, logs, count)
	all := followers[0].first(6 * count)
	for _, f := range append(followers, follow(t, open(t, name, 0), backplane.Oldest)) {
		same(t, "another follower", f.first(6*count), all)
	}
	next := make(map[string]int)
	for i, e := range all {
		if e.Cursor.Seq != uint64(i)+1 { //nolint:gosec // an index
			t.Fatalf("entry %d of a new log: got number %d", i+1, e.Cursor.Seq)
		}
		data := string(e.Data)
		if c := appended[data]; c != e.Cursor || c != backplane.CursorOf(c.Seq, data) {
			t.Errorf("entry %s: got cursor %v, Append returned %v", data, e.Cursor, c)
		}
		writer, _, _ := strings.Cut(data, "-")
		if want := fmt.Sprintf("%s-%d", writer, next[writer]); data != want {
			t.Fatalf("got entry %s before %s of the same writer", data, want)
		}
		next[writer]++
	}
}

// A follower resumes at another process, while entries are appended.
func testResume(t *testing.T, open Open) {
	const count = 100
	name := unique("resume")
	logs := []backplane.Log{open(t, name, 0), open(t, name, 0), open(t, name, 0)}
	first := follow(t, logs[0], backplane.Oldest)
	var writing sync.WaitGroup
	writing.Go(func() { write(t, logs, count) })
	resumed := make(map[int]*follower)
	for _, n := range []int{1, count, 2 * count, 4 * count} {
		last := first.first(n)[n-1].Cursor
		resumed[n] = follow(t, open(t, name, 0), last)
	}
	writing.Wait()
	all := first.first(6 * count)
	for n, f := range resumed {
		same(t, fmt.Sprintf("resumed after %d", n), f.first(6*count-n), all[n:])
	}
	last := follow(t, logs[1], all[len(all)-1].Cursor)
	same(t, "resumed after the last", last.untilLive(), nil)
}

func numbered(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return s
}

// An id is appended once, from any number of processes.
func testRepeated(t *testing.T, open Open) {
	name := unique("repeated")
	logs := []backplane.Log{open(t, name, 0), open(t, name, 0), open(t, name, 0)}
	f := follow(t, logs[0], backplane.Oldest)
	const count = 20
	var want []backplane.Cursor
	for i := range count {
		cursors := make([]backplane.Cursor, 2*len(logs))
		var wg sync.WaitGroup
		for n := range cursors {
			wg.Go(func() { cursors[n] = appendAll(t, logs[n/2], fmt.Sprint("entry ", i))[0] })
		}
		wg.Wait()
		for _, c := range cursors {
			if c != cursors[0] {
				t.Fatalf("calls with one id: got cursors %v, want the same", cursors)
			}
		}
		want = append(want, cursors[0])
	}
	for i := range count { // later
		if c := appendAll(t, logs[i%3], fmt.Sprint("entry ", i))[0]; c != want[i] {
			t.Errorf("a later call: got cursor %v, want %v of the first", c, want[i])
		}
	}
	last := appendAll(t, logs[1], "the last")[0]
	if all := f.first(count + 1); all[count].Cursor != last {
		t.Errorf("last entry: got cursor %v, want %v", all[count].Cursor, last)
	}
}

// A slow follower misses no entry that is kept.
func testSlow(t *testing.T, open Open) {
	const count = 3000
	name := unique("slow")
	l := open(t, name, 0)
	gate := make(chan struct{})
	slow, quick := followGated(t, l, backplane.Oldest, gate), follow(t, l, backplane.Oldest)
	appendAll(t, open(t, name, 0), numbered("entry ", count)...)
	all := quick.first(count)
	close(gate)
	same(t, "slow", slow.first(count), all)
	same(t, "until live", follow(t, l, backplane.Oldest).untilLive(), all)
}

// Names identify logs, even names that have a meaning to a broker.
func testNames(t *testing.T, open Open) {
	long := strings.Repeat("n", 400)
	names := []string{"a", "A", "a.b", "a.>", "a.*", "*", ">", "a b", "a\tb", "ü €", "a/b", `a\b`, "a-b", "a_b", "a=b", "..", "{a}", "\x00\r\n", "\xff", long + "1", long + "2"}
	prefix := unique("")
	var followers []*follower
	for _, n := range names {
		followers = append(followers, follow(t, open(t, prefix+n, 0), backplane.Oldest))
	}
	for _, n := range names {
		appendAll(t, open(t, prefix+n, 0), "one in "+n, "two in "+n)
	}
	for i, n := range names {
		for j, e := range followers[i].first(2) {
			if want := []string{"one in " + n, "two in " + n}[j]; string(e.Data) != want {
				t.Errorf("log %q: entry %d: got %q, want %q", n, j, e.Data, want)
			}
		}
	}
	for i := range names { // and there are no more entries
		followers[i].cancel()
		if err := followers[i].end(); !errors.Is(err, context.Canceled) {
			t.Errorf("log %q: Follow: got %v, want %v", names[i], err, context.Canceled)
		}
		if n := len(followers[i].entries); n != 2 {
			t.Errorf("log %q: got %d entries, want 2", names[i], n)
		}
	}
}

// Data and ids may contain any bytes.
func testContents(t *testing.T, open Open) {
	name := unique("contents")
	l := open(t, name, 0)
	f := follow(t, open(t, name, 0), backplane.Oldest)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	ids := []string{"a", "A", "a ", " a", "a b", "ü €", "a\r\nb: c", "a\nb", "a\x00", "\xff", "=YQ", string(all), strings.Repeat("n", backplane.MaxKey), strings.Repeat("n", backplane.MaxKey-1)}
	contents := [][]byte{all, nil, {}, {0}, []byte("\r\n"), make([]byte, backplane.MaxData)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, id := range ids {
		c, err := l.Append(ctx, id, contents[i%len(contents)])
		if want := backplane.CursorOf(uint64(i)+1, id); err != nil || c != want { //nolint:gosec // an index
			t.Fatalf("append with id %q: got %v, %v; want %v", id, c, err, want)
		}
	}
	for i, e := range f.first(len(ids)) {
		if want := contents[i%len(contents)]; string(e.Data) != string(want) || e.Cursor.Nonce != backplane.CursorOf(0, ids[i]).Nonce {
			t.Errorf("id %q, data %.80q: got %v %.80q", ids[i], want, e.Cursor, e.Data)
		}
	}
}

// A call with a size that is not allowed changes nothing.
func testSizes(t *testing.T, open Open) {
	l := open(t, unique("sizes"), 0)
	for _, tt := range []struct {
		id   string
		data int
	}{
		{"", 1},
		{strings.Repeat("n", backplane.MaxKey+1), 1},
		{"large", backplane.MaxData + 1},
	} {
		if _, err := l.Append(t.Context(), tt.id, make([]byte, tt.data)); !errors.Is(err, backplane.ErrSize) {
			t.Errorf("id of %d bytes, data of %d: got %v, want ErrSize", len(tt.id), tt.data, err)
		}
	}
	if c := appendAll(t, l, "large")[0]; c.Seq != 1 {
		t.Errorf("first entry: got number %d, want 1", c.Seq)
	}
}

// A context that has ended stops every call, and nothing is appended.
func testCancelled(t *testing.T, open Open) {
	l := open(t, unique("cancelled"), 0)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	if _, err := l.Append(done, "id", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Append: got %v, want %v", err, context.Canceled)
	}
	if err := l.Follow(done, backplane.Oldest, func([]backplane.Entry, bool) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Follow: got %v, want %v", err, context.Canceled)
	}
	f := follow(t, l, backplane.Oldest)
	f.untilLive()
	f.cancel()
	if err := f.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("Follow: got %v, want %v", err, context.Canceled)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v, want at most 10 s", took)
	}
	if c := appendAll(t, l, "id")[0]; c.Seq != 1 {
		t.Errorf("first entry: got number %d, want 1", c.Seq)
	}
}

// An error of fn ends Follow at once.
func testRefused(t *testing.T, open Open) {
	l := open(t, unique("refused"), 0)
	appendAll(t, l, "one", "two")
	refused, calls := errors.New("refused"), 0
	ctx, cancel := context.WithCancel(t.Context())
	err := l.Follow(ctx, backplane.Oldest, func([]backplane.Entry, bool) error {
		cancel() // Follow must return fn's error, not the context's
		calls++
		return refused
	})
	if !errors.Is(err, refused) || calls != 1 {
		t.Errorf("Follow: got %v after %d calls, want %v after 1", err, calls, refused)
	}
}
