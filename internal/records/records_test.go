package records_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/internal/records"
)

// parse parses records such as "a1 b2-", the second of which is deleted.
func parse(text string) (rs []backplane.Record) {
	for field := range strings.FieldsSeq(text) {
		r := backplane.Record{Key: field[:1], Value: []byte{}}
		if field, gone := strings.CutSuffix(field[1:], "-"); gone {
			r.Value = nil
			fmt.Sscan(field, &r.Rev)
		} else {
			fmt.Sscan(field, &r.Rev)
		}
		rs = append(rs, r)
	}
	return rs
}

func format(rs []backplane.Record) string {
	var texts []string
	for _, r := range rs {
		text := fmt.Sprint(r.Key, r.Rev)
		if r.Value == nil {
			text += "-"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// A watcher passes on what is news, and after a loss what brings its reader to the present state.
func TestKnown(t *testing.T) {
	var k records.Known
	for i, tt := range []struct {
		whole     bool
		got, want string
	}{
		{true, "b2 a1 c3-", "a1 b2"},
		{false, "a1 b4 c3- d5", "b4 d5"},
		{false, "d6- d6- e7- b4", "d6-"},
		{false, "d8 a9- a10", "d8 a9- a10"},
		{true, "a10 b4 d8", ""},
		{true, "b4 d12", "a11- d12"}, // a is missing: after all that was passed on
		{true, "b3 d13- f1", "b13- f1 b3 d13-"},
		{false, "f2 b14", "f2 b14"},
	} {
		changes := parse(tt.got)
		var batch []backplane.Record
		if tt.whole {
			present := make(map[string]backplane.Record)
			for _, r := range changes {
				present[r.Key] = r
			}
			batch = k.Replace(present)
		} else {
			batch = k.Update(changes)
		}
		if got := format(batch); got != tt.want {
			t.Errorf("step %d: got %q, want %q", i, got, tt.want)
		}
	}
	if got := k.Replace(nil); len(got) != 2 || slices.ContainsFunc(got, func(r backplane.Record) bool { return r.Value != nil || r.Rev != 15 }) {
		t.Errorf("an empty state: got %q, want b15- and f15-, in any order", format(got))
	}
}
