package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
	"example.org/sse/natslog"
)

// A user without a permission is told which one, in the server's words.
func TestNATSPermissions(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 1)
	b.stop(0)
	may := func(subjects ...string) *server.SubjectPermission { return &server.SubjectPermission{Allow: subjects} }
	user := func(name string, publish ...string) *server.User {
		return &server.User{Username: name, Password: "x", Permissions: &server.Permissions{Publish: may(publish...), Subscribe: may("_INBOX.>")}}
	}
	b.options[0].Users = []*server.User{user("nothing", "x"), user("reader", "$JS.API.>"), {Username: "all", Password: "x"}}
	b.start(0)
	connect := func(name string) *nats.Conn {
		quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // they are in the errors
		nc, err := nats.Connect(b.servers[0].ClientURL(), append(natslog.ConnOptions(), nats.UserInfo(name, "x"), quiet)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	short, cancel := context.WithTimeout(t.Context(), 3*time.Second) // longer than a request
	defer cancel()
	if _, err := natslog.Open(short, connect("nothing"), "log", nil); err == nil || !strings.Contains(err.Error(), `"$JS.API.STREAM.INFO.SSE_log"`) {
		t.Errorf("Open without permissions: got error %v, want the subject that is not allowed", err)
	}
	if _, err := natslog.Open(t.Context(), connect("all"), "log", nil); err != nil {
		t.Fatal(err)
	}
	l, err := natslog.Open(t.Context(), connect("reader"), "log", nil)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel = context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := l.Append(short, "id", nil); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"sse.log._log"`) {
		t.Errorf("Append without permission: got error %v, want the subject that is not allowed", err)
	}
}

// An account may require a limit for the size of each stream. A store that is full says so
// at once, and keeps what it has.
func TestNATSMaxBytes(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 1)
	limits := map[string]server.JetStreamAccountLimits{"": {
		MaxMemory: -1, MaxStore: 1 << 30, MaxStreams: -1, MaxConsumers: -1, MaxBytesRequired: true,
	}}
	if err := b.servers[0].GlobalAccount().UpdateJetStreamLimits(limits); err != nil {
		t.Fatal(err)
	}
	nc := b.connect(t, 0)
	if _, err := natslog.OpenStore(t.Context(), nc, "unlimited", nil); err == nil || !strings.Contains(err.Error(), "max bytes") {
		t.Errorf("a store without a limit: got error %v, want the account's reason", err)
	}
	if _, err := natslog.Open(t.Context(), nc, "log", nil); err != nil {
		t.Errorf("a log, which has a limit: %v", err)
	}
	s, err := natslog.OpenStore(t.Context(), nc, "limited", &natslog.StoreOptions{MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Swap(t.Context(), "first", 0, []byte("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 60<<10)
	if _, err := s.Swap(t.Context(), "large", 0, large, 0); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = s.Swap(t.Context(), "more", 0, large, 0)
	if err == nil || errors.Is(err, backplane.ErrIndeterminate) || !strings.Contains(err.Error(), "maximum bytes") || time.Since(begin) > 30*time.Second {
		t.Errorf("a full store: got error %v after %v, want the server's", err, time.Since(begin))
	}
	if got, err := s.Swap(t.Context(), "first", 0, nil, 0); !errors.Is(err, backplane.ErrConflict) || got.Rev != first.Rev {
		t.Errorf("the first record: got %+v, %v, want revision %d", got, err, first.Rev)
	}
}
