package wire_test

import (
	"testing"
	"time"

	"example.org/sse/internal/wire"
)

// FuzzDecode: what Encode has written, Decode reads, and encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	f.Add("", "", "", int64(0))
	f.Add("tick", "a\nb\n\n", "7", int64(time.Second))
	f.Add("id: 1", ": \r\n data: x\r", "event: y", int64(1))
	f.Fuzz(func(t *testing.T, typ, data, id string, retry int64) {
		e := wire.Event{Type: typ, Data: data, ID: id, Retry: time.Duration(retry)}
		if e.Check() != nil || retry > int64(1<<62) {
			return
		}
		want := e.Chunk()
		got := wire.Decode(want.Block())
		if again := got.Chunk(); string(again) != string(want) {
			t.Errorf("%+v became %+v: %q, want %q", e, got, again, want)
		}
		if typ == "message" {
			typ = ""
		}
		if got.ID != wire.ValidUTF8(id) || got.Type != wire.ValidUTF8(typ) {
			t.Errorf("%+v became %+v", e, got)
		}
	})
}
